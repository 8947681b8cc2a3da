// Benchmark of the ledger: rows a second into intake and through settle, with the memory they take.
// Run: node bench/ledger.ts [--rows N] [--runs N]; the numbers are medians with the smallest and largest run.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { invariant } from '../src/base/invariant.ts';
import { openLedger } from '../src/ledger/open_ledger.ts';
import type { Ledger, NewBatch, Settlement, StoredBatch } from '../src/ledger/ledger.ts';
import { packRecipients } from '../src/mail/batch.ts';

const batchRows = 250;
const batchesPerPart = 10;
const batchesPerSettle = 8;
const columns = ['email', 'first_name', 'last_name', 'city', 'plan'];

interface Run {
  readonly intakePerSecond: number;
  readonly settlePerSecond: number;
  readonly resultsPerSecond: number;
  readonly longestCallMs: number;
  readonly residentBytes: number;
  readonly fileBytes: number;
}

/** Adds up the time of calls and remembers the longest: that long the event loop stood still. */
class Stopwatch {
  sumMs = 0;
  longestMs = 0;

  async time<T>(work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const result = await work();
    const ms = performance.now() - startedAt;
    this.sumMs += ms;
    this.longestMs = Math.max(this.longestMs, ms);
    return result;
  }
}

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '250000' }, runs: { type: 'string', default: '5' } },
});
const batchCount = Math.ceil(Number(values.rows) / batchRows);
const runs: Run[] = [];
for (let n = 0; n < Number(values.runs); n++) runs.push(await runOnce(batchCount));

console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Node ${process.version}, in ${tmpdir()}`,
);
console.log(`${batchCount * batchRows} rows in batches of ${batchRows}, ${runs.length} runs`);
report('intake, rows/s', (run) => run.intakePerSecond);
report('settle, delivery rows/s', (run) => run.settlePerSecond);
report('results, rows/s', (run) => run.resultsPerSecond);
report('longest call, ms', (run) => run.longestCallMs);
report('file, MB', (run) => run.fileBytes / 1e6);
report('resident memory, MiB', (run) => run.residentBytes / 1_048_576);

/** Makes the n-th batch of a list with rows of about 60 bytes. */
function makeBatch(n: number): NewBatch {
  const firstRow = n * batchRows + 1;
  const recipients = Array.from({ length: batchRows }, (_, index) => {
    const row = firstRow + index;
    const address = `recipient.${row}@example.com`;
    return { row, line: row + 1, address, cells: [address, 'Ada', 'Lovelace', 'London', 'gold'] };
  });
  const payload = packRecipients(recipients);
  return {
    recipientCount: batchRows,
    firstRow,
    lastRow: firstRow + batchRows - 1,
    payload,
    lane: '',
    zone: '',
  };
}

async function runOnce(batchCount: number): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-bench-'));
  const ledger = await openLedger({ directory });
  try {
    const { id } = await ledger.createCampaign({ name: 'bench', planDigest: '', createdAt: 0 });
    const intake = await storeAll(ledger, id, batchCount);
    const settle = await settleAll(ledger, id);
    const results = new Stopwatch();
    await results.time(() => readAll(ledger, id, batchCount * batchRows));
    const { differences } = await ledger.auditCampaign(id);
    invariant(differences.length === 0, `the audit found ${JSON.stringify(differences)}`);
    const perSecond = (watch: Stopwatch): number => (batchCount * batchRows * 1000) / watch.sumMs;
    return {
      intakePerSecond: perSecond(intake),
      settlePerSecond: perSecond(settle),
      resultsPerSecond: perSecond(results),
      longestCallMs: Math.max(intake.longestMs, settle.longestMs),
      residentBytes: process.memoryUsage().rss,
      fileBytes: statSync(join(directory, 'ledger.db')).size,
    };
  } finally {
    await ledger.close();
    rmSync(directory, { recursive: true });
  }
}

async function storeAll(ledger: Ledger, campaignId: number, batchCount: number): Promise<Stopwatch> {
  const watch = new Stopwatch();
  for (let at = 0; at < batchCount; at += batchesPerPart) {
    const length = Math.min(batchesPerPart, batchCount - at);
    const batches = Array.from({ length }, (_, index) => makeBatch(at + index));
    const rows = (at + length) * batchRows;
    await watch.time(() => ledger.storeIntake(campaignId, { batches, refused: [], rows, columns }, 0));
  }
  await ledger.completeIntake(campaignId, { rows: batchCount * batchRows, listDigest: '', columns });
  return watch;
}

/** Claims and settles as the dispatcher does, eight batches a transaction; both count. */
async function settleAll(ledger: Ledger, campaignId: number): Promise<Stopwatch> {
  const watch = new Stopwatch();
  for (;;) {
    const claimed = await watch.time(() => ledger.claimDue(campaignId, 0, batchesPerSettle));
    if (claimed.length === 0) break;
    const settlements = claimed.map((batch) => acceptBatch(batch));
    await watch.time(() => ledger.settle(settlements));
  }
  await ledger.finishCampaign(campaignId, 1);
  return watch;
}

function acceptBatch(batch: StoredBatch): Settlement {
  const deliveries = Array.from({ length: batch.recipientCount }, (_, index) => ({
    row: batch.firstRow + index,
    fate: 'accepted' as const,
    finishedAt: 1_760_000_000_000 + index,
    attempts: 1,
    relay: 'primary',
    replyCode: 250,
    enhancedStatus: '2.0.0',
    reply: `250 2.0.0 Ok: queued as 4cXm${batch.firstRow + index}z9Q7hL`,
    classification: '',
  }));
  return { campaignId: batch.campaignId, batchId: batch.id, deliveries, deferrals: [], successors: [] };
}

async function readAll(ledger: Ledger, campaignId: number, rows: number): Promise<void> {
  let read = 0;
  for await (const page of ledger.readResults(campaignId)) {
    for (const result of page) if (result.delivery?.fate === 'accepted') read++;
  }
  invariant(read === rows, `${read} of ${rows} rows came back`);
}

function report(name: string, pick: (run: Run) => number): void {
  const sorted = runs.map((run) => pick(run)).sort((a, b) => a - b);
  const [low, median, high] = [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  console.log(`${name.padEnd(24)} ${show(median)} (${show(low)} – ${show(high)})`);
}

function show(value: number | undefined): string {
  return (value ?? 0).toLocaleString('en', { maximumFractionDigits: (value ?? 0) < 1000 ? 1 : 0 });
}
