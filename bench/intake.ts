// Measures how many rows a second intake takes in on one thread, with every check on, into a real ledger or into nothing.
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { invariant } from '../src/base/invariant.ts';
import { systemClock } from '../src/base/clock.ts';
import { LedgerSink } from '../src/daemon/take_in.ts';
import { takeIn, type IntakeResult, type IntakeSink } from '../src/intake/intake.ts';
import { openSource } from '../src/intake/source.ts';
import { openLedger } from '../src/ledger/open_ledger.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '300000' },
    runs: { type: 'string', default: '7' },
    format: { type: 'string', default: 'csv' },
    quoted: { type: 'boolean', default: false },
    null: { type: 'boolean', default: false },
  },
});
const rowCount = Number(values.rows);
const runCount = Math.max(5, Number(values.runs));
invariant(Number.isSafeInteger(rowCount) && rowCount >= 2000, '--rows is a whole number from 2000');
invariant(values.format === 'csv' || values.format === 'ndjson', '--format is csv or ndjson');

/** Every 1,000th row has no valid address, every 1,000th repeats one. */
const wantedInvalid = Math.floor(rowCount / 1000);
const wantedDuplicate = Math.floor((rowCount + 500) / 1000);

const nullSink: IntakeSink = { begin: () => Promise.resolve(), store: () => Promise.resolve() };

const folder = await mkdtemp(join(tmpdir(), 'posthaste-bench-'));
try {
  const path = join(folder, 'list');
  await writeFile(path, makePieces());
  const { size } = await stat(path);
  console.log(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, Node ${process.version}`);
  console.log(
    `${rowCount} rows of ${(size / rowCount).toFixed(1)} bytes, ${values.format}${values.quoted ? ', quoted' : ''}, ` +
      (values.null ? 'nothing stored' : 'into the ledger'),
  );
  await measure(path);
} finally {
  await rm(folder, { recursive: true });
}

async function measure(path: string): Promise<void> {
  await takeOnce(path);
  const perSecond: number[] = [];
  const holdsMs: number[] = [];
  for (let run = 0; run < runCount; run++) {
    const hold = watchEventLoop();
    const startedAt = performance.now();
    check(await takeOnce(path));
    perSecond.push((rowCount / (performance.now() - startedAt)) * 1000);
    for (const holdMs of hold()) holdsMs.push(holdMs);
  }
  perSecond.sort((a, b) => a - b);
  holdsMs.sort((a, b) => a - b);
  const [slowest, median, fastest] = [0, perSecond.length >> 1, perSecond.length - 1].map((index) =>
    Math.round(perSecond[index] ?? 0),
  );
  console.log(`median ${median} rows/s (${slowest} to ${fastest} in ${runCount} runs)`);
  const [p99, longest] = [holdsMs[Math.floor(holdsMs.length * 0.99)] ?? 0, holdsMs.at(-1) ?? 0];
  console.log(
    `event loop held for ${p99.toFixed(1)} ms in 99 of 100 turns, ${longest.toFixed(1)} ms at most`,
  );
  console.log(`peak memory ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`);
}

async function takeOnce(path: string): Promise<IntakeResult> {
  const options = { batchRows: 250 };
  if (values.null) return takeIn(await openSource(path), options, nullSink);
  const directory = await mkdtemp(join(folder, 'state-'));
  const ledger = await openLedger({ directory });
  const campaign = await ledger.createCampaign({ name: 'bench', planDigest: '', createdAt: 0 });
  const sink = new LedgerSink(ledger, campaign, systemClock, {
    begin: () => {},
    batch: () => {},
    stored: () => {},
  });
  const result = await takeIn(await openSource(path), options, sink);
  const pending = await ledger.pending(campaign.id);
  invariant(pending.recipients === result.recipients, 'every recipient is pending in the ledger');
  await ledger.close();
  return result;
}

function check(result: IntakeResult): void {
  invariant(result.rows === rowCount, `${result.rows} rows, not ${rowCount}`);
  invariant(result.invalid === wantedInvalid, `${result.invalid} invalid rows, not ${wantedInvalid}`);
  invariant(result.duplicate === wantedDuplicate, `${result.duplicate} duplicates, not ${wantedDuplicate}`);
  invariant(result.recipients === rowCount - wantedInvalid - wantedDuplicate, 'every row has one fate');
}

/** Returns a function that stops watching and tells for how long the event loop was held, in ms. */
function watchEventLoop(): () => number[] {
  const holdsMs: number[] = [];
  let lastAt = performance.now();
  let handle = setImmediate(turn);
  function turn(): void {
    const at = performance.now();
    holdsMs.push(at - lastAt);
    lastAt = at;
    handle = setImmediate(turn);
  }
  return () => {
    clearImmediate(handle);
    return holdsMs;
  };
}

/** The list in pieces, so that the benchmark's own memory stays small beside what it measures. */
function* makePieces(): Generator<string> {
  let piece = values.format === 'csv' ? 'email,first_name,last_name,city,plan\n' : '';
  for (let row = 1; row <= rowCount; row++) {
    piece += `${values.format === 'csv' ? makeCsvLine(row) : makeNdjsonLine(row)}\n`;
    if (row % 1000 !== 0 && row < rowCount) continue;
    yield piece;
    piece = '';
  }
}

function makeCsvLine(row: number): string {
  return makeCells(row)
    .map((cell) => (values.quoted ? `"${cell}"` : cell))
    .join(',');
}

function makeNdjsonLine(row: number): string {
  const [email, first_name, last_name, city, plan] = makeCells(row);
  return JSON.stringify({ email, first_name, last_name, city, plan });
}

function makeCells(row: number): string[] {
  const plan = row % 3 === 0 ? 'premium' : 'basic';
  return [makeAddress(row), `First${row % 997}`, `Lastname${row % 4999}`, `City ${row % 1009}`, plan];
}

function makeAddress(row: number): string {
  if (row % 1000 === 0) return `user${row}.example.com`;
  return row % 1000 === 500 ? 'User499@example.com' : `user${row}@example.com`;
}
