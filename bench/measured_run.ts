// A measured run: one Node program from its start to its exit, with the time, CPU and memory that it took.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import * as z from 'zod';
import { endWithUs } from './cleanup.ts';
import { usageVariable, type Usage } from './usage.ts';

/** The object that every measured program prints as the last line of stdout. */
const summarySchema = z.object({ rows: z.number(), accepted: z.number(), perSecond: z.number() });
const usageSchema = z.object({ cpuUs: z.number(), peakBytes: z.number() });

export interface MeasuredRun extends Usage {
  /** From start to exit: loading the program is part of the price. */
  readonly seconds: number;
  /** What it says itself. */
  readonly summary: Readonly<z.output<typeof summarySchema>>;
}

/** Longest run that is waited for. */
const timeoutMs = 1_800_000;
const preload = new URL('usage.ts', import.meta.url).href;

/**
 * Runs a script of this project, named from its top, with Node. `folder` takes a file of ours. Throws, with what it
 * said on stderr, unless it exits with 0 and prints a summary. `alsoPreload` is a module that it loads first, as each of its threads does.
 */
export async function runMeasured(
  script: string,
  args: readonly string[],
  folder: string,
  alsoPreload?: string,
): Promise<MeasuredRun> {
  const usagePath = join(folder, 'usage.json');
  const startedAt = performance.now();
  const { stdout, stderr, end } = await runNode(script, args, usagePath, alsoPreload);
  const seconds = (performance.now() - startedAt) / 1000;
  if (end !== '0') throw new Error(`${script} ended with ${end}; on stderr it said:\n${stderr}`);
  const usage: Usage = usageSchema.parse(JSON.parse(readFileSync(usagePath, 'utf8')));
  return { seconds, ...usage, summary: summarySchema.parse(JSON.parse(lastLine(stdout))) };
}

async function runNode(
  script: string,
  args: readonly string[],
  usagePath: string,
  alsoPreload: string | undefined,
): Promise<{ stdout: string; stderr: string; end: string }> {
  const main = join(import.meta.dirname, '..', script);
  const imports = [preload, ...(alsoPreload === undefined ? [] : [alsoPreload])].flatMap((url) => [
    '--import',
    url,
  ]);
  const child = spawn(process.execPath, [...imports, main, ...args], {
    env: { ...process.env, [usageVariable]: usagePath },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  endWithUs(child, 'SIGKILL');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { stdout, stderr, end: child.signalCode ?? String(child.exitCode) };
}

function lastLine(output: string): string {
  return output.trimEnd().split('\n').at(-1) ?? '';
}
