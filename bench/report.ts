// What benchmarks print: the machine, and samples as a median with its spread.
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';

const packageSchema = z.object({ version: z.string() });

/** "2 × Intel Xeon, 24 GiB, Node v24.15.0, linux x64" */
export function describeMachine(): string {
  const cores = cpus();
  const memory = `${Math.round(totalmem() / 1_073_741_824)} GiB`;
  const model = cores[0]?.model ?? 'unknown CPU';
  return `${cores.length} × ${model}, ${memory}, Node ${process.version}, ${process.platform} ${process.arch}`;
}

/** "load average 0.4": what this machine did in the last minute, ourselves included. */
export function describeLoad(): string {
  return `load average ${show(loadavg()[0] ?? Number.NaN, 1)}`;
}

/** The installed version of a dependency. */
export function versionOf(dependency: string): string {
  const path = join(import.meta.dirname, '..', 'node_modules', dependency, 'package.json');
  return packageSchema.parse(JSON.parse(readFileSync(path, 'utf8'))).version;
}

/** The median of at least one sample; of an even number, the lower of the two in the middle. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

/** "12,345 (12,001–12,800)": the median and its spread. */
export function showSamples(samples: readonly number[], digits = 0): string {
  const [low, high] = [Math.min(...samples), Math.max(...samples)];
  return `${show(median(samples), digits)} (${show(low, digits)}–${show(high, digits)})`;
}

/** "1 round", "3 rounds" */
export function showRounds(rounds: number): string {
  return rounds === 1 ? '1 round' : `${rounds} rounds`;
}

/** "12,345" */
export function show(value: number, digits = 0): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** One line on stdout: what it is, then the figures. */
export function printLine(label: string, figures: string): void {
  process.stdout.write(`${label.padEnd(30)} ${figures}\n`);
}

/** A whole number of at least 1 from the command line. */
export function readCount(option: string, text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new Error(`--${option} is a whole number from 1, not "${text}"`);
  return count;
}
