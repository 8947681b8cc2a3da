// A long run with mixed faults, looked at every second: ledger, results, metrics and events tell the same, and it adds up.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { emptyTally, fates, sumTally, type Tally } from '../../src/mail/outcome.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { Folder, makeList, summaryIn, type Running } from './posthaste.ts';

/** 600 for the long run: npm run soak. */
const seconds = Number(process.env['POSTHASTE_SOAK_SECONDS'] ?? 12);
const perSecond = 60;
const rows = seconds * perSecond;

const faults = [
  'connect 5%: 421 4.3.2 too busy',
  'mail 1%: 451 4.3.0 queue file write error',
  'rcpt 8% first 2: 450 4.2.0 greylisted',
  'rcpt 3%: 550 5.1.1 no such user',
  'rcpt 1%: 452 4.2.2 mailbox full',
  'end 2%: 554 5.7.1 looks like spam',
  'end 1% first: drop-after-taken',
  'end 1% first: drop',
  'end 1% first: delay 300ms',
  'data 1% first: 421 4.3.2 closing',
].map(parseFault);

const campaign = `name: soak
from: Shop <hello@mail.example.com>
subject: "{{ first_name }}, spring is here"
text: "Dear {{ first_name }}, it is spring.\\n"
list: { address: email }
rate: ${perSecond}/s
inDoubt: hold
retry: { first: 300ms, factor: 1.5, max: 2s, giveUpAfter: 6s }
`;

/** What one look saw. */
interface Look {
  readonly ledger: string;
  readonly results: string;
  readonly metrics: string;
  /** Rows that the ledger had, and those of them that had no fate. */
  readonly rows: number;
  readonly pending: number;
}

test(`for ${seconds} s of mixed faults ledger, results, metrics and events tell the same, and the rows add up`, async (context) => {
  const { sandbox, folder, running } = await begin(context);
  const looks: Look[] = [];
  const metrics = await metricsOf(running);
  while (running.child.exitCode === null && running.child.signalCode === null) {
    const look = await lookAt(folder, running, metrics);
    if (look !== undefined) looks.push(look);
    await delay(1000);
  }
  const ended = await running.ended;
  assert.deepEqual([ended.code, ended.signal], [0, null], ended.stderr.slice(-2000));

  const states = statesOf(ended.stderr);
  assertInOrder(
    states,
    looks.map((look) => look.ledger),
  );
  assertInOrder(
    states,
    looks.map((look) => look.metrics),
  );
  for (const { ledger, results } of looks) assert.equal(results, ledger);
  const { end, rows: _rows, ...counts } = summaryIn(ended);
  assert.deepEqual([end, keyOf({ ...emptyTally(), ...pick(counts) })], ['finished', states.at(-1)]);
  assert.equal(sumTally(resultTally(folder.read('out.csv'))), rows + 2, 'every row is in the results');
  assert.ok(counts.accepted > rows * 0.8 && counts.rejected > 0 && counts.inDoubt > 0 && counts.expired > 0);
  assert.ok(looks.length >= 3, `${looks.length} looks`);
  context.diagnostic(
    `${looks.length} looks at ${rows + 2} rows: ${JSON.stringify(counts)}; ${sandbox.stats().taken} taken`,
  );
});

async function begin(context: TestContext) {
  const sandbox = await startSandbox({ faults, latencyMs: 1 });
  context.after(() => sandbox.close());
  const folder = new Folder(context, {
    'campaign.yaml': campaign,
    // One row that is no address, and one that is there twice.
    'list.csv': `${makeList(rows)}nobody,Nobody\nreader1@example.com,Again\n`,
    'posthaste.yaml': 'log: { level: debug }\nthreads: 2\n',
  });
  const relay = `smtp://127.0.0.1:${sandbox.port}?maxConnections=10&maxMessages=200`;
  const args = ['send', 'campaign.yaml', 'list.csv', '--relay', relay, '--state', 'state', '--json'];
  const running = folder.start([...args, '--results', 'out.csv', '--metrics', '127.0.0.1:0']);
  return { sandbox, folder, running };
}

async function metricsOf(running: Running): Promise<string> {
  const pattern = /metrics on (http:\S+)/;
  await running.said(pattern);
  return pattern.exec(running.text())?.[1] ?? assert.fail('no metrics');
}

/** Stops the process for as long as its state is copied, and reads the copy: what a crash at this instant would leave. */
async function lookAt(folder: Folder, running: Running, url: string): Promise<Look | undefined> {
  const copy = join(folder.path, 'copy');
  const metrics = await scrape(url);
  if (metrics === undefined || !(await pause(running))) return undefined;
  try {
    cpSync(join(folder.path, 'state'), copy, { recursive: true });
  } finally {
    running.child.kill('SIGCONT');
  }
  const ledger = await openLedger({ directory: copy });
  try {
    const record = (await ledger.findCampaign('soak')) ?? assert.fail('no campaign');
    const audit = await ledger.auditCampaign(record.id);
    assert.deepEqual(audit.differences, []);
    assert.deepEqual(audit.tally, record.tally);
    const results = emptyTally();
    for await (const page of ledger.readResults(record.id))
      for (const { delivery } of page) if (delivery !== undefined) results[delivery.fate] += 1;
    const pending = audit.pendingRecipients;
    if (record.intake === 'complete') assert.equal(sumTally(audit.tally) + pending, rows + 2);
    return { ledger: keyOf(record.tally), results: keyOf(results), metrics, rows: audit.rows, pending };
  } finally {
    await ledger.close();
    rmSync(copy, { recursive: true });
  }
}

/** False where the process has ended meanwhile. */
async function pause({ child }: Running): Promise<boolean> {
  child.kill('SIGSTOP');
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) return false;
    // proc(5): the state is behind the name; T is stopped.
    const state = /\) (\w)/.exec(readFileSync(`/proc/${child.pid}/stat`, 'utf8'))?.[1];
    if (state === 'T') return true;
    if (state === 'Z') {
      await once(child, 'exit');
      return false;
    }
    await delay(1);
  }
}

/** The tally that Prometheus would see; undefined where nobody answers any more. */
async function scrape(url: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await (await fetch(url)).text();
  } catch {
    return undefined;
  }
  const tally = emptyTally();
  for (const [, fate, value] of text.matchAll(/^posthaste_rows_total\{fate="(\w+)"\} (\d+)$/gm)) {
    const known = fates.find((one) => one === fate) ?? assert.fail(`fate ${fate}`);
    tally[known] = Number(value);
  }
  return keyOf(tally);
}

/** The tallies after each event, as the debug log tells of them. */
function statesOf(log: string): string[] {
  const tally = emptyTally();
  const states = [keyOf(tally)];
  for (const line of log.split('\n')) {
    if (!line.startsWith('{')) continue;
    const event: { kind?: string; fates?: Partial<Tally>; invalid?: number; duplicate?: number } =
      JSON.parse(line);
    const { kind, fates: ended, invalid = 0, duplicate = 0 } = event;
    if (kind === 'intakeProgressed') {
      tally.invalid += invalid;
      tally.duplicate += duplicate;
    } else if (kind === 'batchSettled' || kind === 'rowsEnded') {
      for (const fate of fates) tally[fate] += ended?.[fate] ?? 0;
    }
    states.push(keyOf(tally));
  }
  return states;
}

/** Each of `seen` is one of the states, and none is earlier than the one before. */
function assertInOrder(states: readonly string[], seen: readonly string[]): void {
  let at = 0;
  for (const one of seen) {
    const found = states.indexOf(one, at);
    assert.ok(found >= 0, `${one} is no state that events tell of, or one that was over`);
    at = found;
  }
}

function resultTally(csv: string): Tally {
  const tally = emptyTally();
  for (const fate of fates) tally[fate] = csv.split(`,${fate},`).length - 1;
  return tally;
}

function pick(counts: Readonly<Record<string, unknown>>): Partial<Tally> {
  return Object.fromEntries(fates.map((fate) => [fate, Number(counts[fate])]));
}

function keyOf(tally: Tally): string {
  return fates.map((fate) => `${fate} ${tally[fate]}`).join(', ');
}
