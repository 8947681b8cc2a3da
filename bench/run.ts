// Runs the benchmarks one after the other, each as its own process, and ends with their main figures in one table.
// Run: npm run bench [-- NAME…] [-- --short]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { endWithUs } from './cleanup.ts';

interface Benchmark {
  /** A file beside this one, without its ending. */
  readonly name: string;
  /** What makes it short enough for a smoke test. */
  readonly shortArgs: readonly string[];
  /** The lines of its output that go into the table. */
  readonly mainFigures: RegExp;
}

const benchmarks: readonly Benchmark[] = [
  { name: 'intake', shortArgs: ['--rows', '50000', '--runs', '5'], mainFigures: /^median / },
  { name: 'compose', shortArgs: [], mainFigures: /^(posthaste|ratio)/ },
  { name: 'dkim', shortArgs: ['--short'], mainFigures: /^(openssl|posthaste|ratio)/ },
  { name: 'ledger', shortArgs: ['--rows', '50000', '--runs', '2'], mainFigures: /rows\/s/ },
  { name: 'limiter', shortArgs: ['--short'], mainFigures: /^limiter/ },
  { name: 'sandbox', shortArgs: [], mainFigures: /messages\/s/ },
  { name: 'flow', shortArgs: ['--short'], mainFigures: /^(posthaste|nodemailer|smtp-source)/ },
  { name: 'tls', shortArgs: ['--short'], mainFigures: /^(posthaste|nodemailer)/ },
  { name: 'round_trip', shortArgs: ['--short'], mainFigures: /^( {2}\w|round trip|\w+ : )/ },
  { name: 'smtp_cpu', shortArgs: ['--short'], mainFigures: /^\w+, CPU µs\/message  / },
  { name: 'durability', shortArgs: ['--short'], mainFigures: /^cost/ },
  { name: 'kill_sweep', shortArgs: ['--short'], mainFigures: /got it twice/ },
  { name: 'memory', shortArgs: ['--short'], mainFigures: /MiB {2}/ },
  { name: 'service', shortArgs: ['--short'], mainFigures: /^(status|a scrape|a lane|.*lanes|.*campaigns)/ },
  { name: 'big_list', shortArgs: ['--short'], mainFigures: /target/ },
];

interface Finished {
  readonly name: string;
  readonly seconds: number;
  readonly figures: readonly string[];
  /** undefined when all went well. */
  readonly problem: string | undefined;
}

const { values, positionals } = parseArgs({
  options: { short: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const finished: Finished[] = [];
for (const benchmark of choose(positionals)) {
  process.stdout.write(`\n== ${benchmark.name}\n`);
  finished.push(await run(benchmark));
}
printTable(finished);
if (finished.some(({ problem }) => problem !== undefined)) process.exitCode = 1;

function choose(names: readonly string[]): readonly Benchmark[] {
  const known = benchmarks.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Error(`there is no benchmark "${unknown}"; there are ${known.join(', ')}`);
  return names.length === 0 ? benchmarks : benchmarks.filter(({ name }) => names.includes(name));
}

async function run({ name, shortArgs, mainFigures }: Benchmark): Promise<Finished> {
  const script = join(import.meta.dirname, `${name}.ts`);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [script, ...(values.short ? shortArgs : [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithUs(child, 'SIGTERM');
  const exited = once(child, 'exit');
  const figures: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    process.stdout.write(`${line}\n`);
    if (mainFigures.test(line)) figures.push(line.trim());
  }
  const [code, signal]: unknown[] = await exited;
  const problem = describeProblem(code ?? signal, figures.length);
  return { name, seconds: (performance.now() - startedAt) / 1000, figures, problem };
}

/** A benchmark whose main figures are not found has changed what it prints: the table must follow. */
function describeProblem(code: unknown, figureCount: number): string | undefined {
  if (code !== 0) return `ended with ${String(code)}`;
  return figureCount === 0 ? 'its main figures are not in its output' : undefined;
}

function printTable(all: readonly Finished[]): void {
  process.stdout.write('\n== main figures\n');
  for (const { name, seconds, figures, problem } of all) {
    const outcome = problem === undefined ? '' : `: FAILED, ${problem}`;
    process.stdout.write(`${name} (${seconds.toFixed(0)} s)${outcome}\n`);
    for (const line of figures) process.stdout.write(`  ${line}\n`);
  }
}
