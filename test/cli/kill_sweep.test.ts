// Killed at random instants, again and again: nobody is lost, and nobody gets it twice but those who were reported in doubt.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../src/base/random.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { namedInDoubt } from '../crash/mailing.ts';
import { campaignYaml, Folder, makeList, summaryIn, type Ended } from './posthaste.ts';

/** 100000 and 20 for the long run: npm run sweep. */
const rows = Number(process.env['POSTHASTE_SWEEP_ROWS'] ?? 12_000);
const kills = Number(process.env['POSTHASTE_SWEEP_KILLS'] ?? 8);
const seed = Number(process.env['POSTHASTE_SWEEP_SEED'] ?? Date.now() % 1_000_000);

interface Swept {
  readonly folder: Folder;
  readonly last: Ended;
  /** How often each row's message was taken. */
  readonly taken: ReadonlyMap<number, number>;
  /** Rows that some run reported in doubt. */
  readonly reported: ReadonlySet<number>;
}

async function sweep(
  context: TestContext,
  relay: string,
  campaign: string,
  config = 'log: { level: info }\n',
): Promise<Swept> {
  const sandbox = await startSandbox({ keep: 'envelopes', latencyMs: 2 });
  context.after(() => sandbox.close());
  const folder = new Folder(context, {
    'campaign.yaml': campaign,
    'list.csv': makeList(rows),
    'posthaste.yaml': config,
  });
  const url = `smtp://127.0.0.1:${sandbox.port}?maxConnections=10&maxMessages=1000&${relay}`;
  const args = ['send', 'campaign.yaml', 'list.csv', '--relay', url, '--state', 'state', '--json'];
  const random = seededRandom(seed);
  const reported = new Set<number>();
  const pace = rows / (kills + 1);
  for (let kill = 1; kill <= kills; kill += 1) {
    const running = folder.start([...args, '--results', 'out.csv']);
    // After a random number of messages more, and then a random instant within the next ones.
    const target = takenBy(sandbox) + Math.floor(random() * pace * 1.2);
    while (takenBy(sandbox) < target && running.child.exitCode === null) await delay(1);
    await delay(random() * 20);
    running.child.kill('SIGKILL');
    noteReported(await running.ended, reported);
  }
  const last = await folder.run([...args, '--results', 'out.csv']);
  noteReported(last, reported);
  return { folder, last, taken: countTaken(sandbox), reported };
}

function takenBy(sandbox: Sandbox): number {
  return sandbox.stats().taken;
}

function countTaken(sandbox: Sandbox): Map<number, number> {
  const taken = new Map<number, number>();
  for (const { recipients } of sandbox.messages()) {
    const row = Number(/^reader(\d+)@/.exec(recipients[0] ?? '')?.[1]);
    taken.set(row, (taken.get(row) ?? 0) + 1);
  }
  return taken;
}

function noteReported({ stderr }: Ended, reported: Set<number>): void {
  for (const { row, address } of namedInDoubt(stderr)) {
    assert.equal(address, `reader${row}@example.com`);
    reported.add(row);
  }
}

function assertNobodyLost({ last, taken }: Swept): void {
  assert.equal(last.code, 0, last.stderr);
  const lost = Array.from({ length: rows }, (_, index) => index + 1).filter((row) => !taken.has(row));
  assert.deepEqual(lost, [], `seed ${seed}`);
}

function sentTwice({ taken }: Swept): number[] {
  return [...taken].filter(([, times]) => times > 1).map(([row]) => row);
}

for (const [name, relay] of [
  ['standard', 'pipelining=standard'],
  ['deep', 'pipelining=deep'],
] as const) {
  test(`${name}: after each kill -9 the same command goes on; who got it twice was reported in doubt before`, async (context) => {
    const swept = await sweep(context, relay, campaignYaml);
    assertNobodyLost(swept);
    const unreported = sentTwice(swept).filter((row) => !swept.reported.has(row));
    assert.deepEqual(unreported, [], `seed ${seed}`);
    assert.equal(summaryIn(swept.last).accepted, rows);
    const journal = join(swept.folder.path, 'state/journal');
    assert.deepEqual(existsSync(journal) ? readdirSync(journal) : [], [], 'journals go once all is settled');
    context.diagnostic(
      `${rows} rows, ${kills} kills, seed ${seed}: ${swept.reported.size} reported in doubt, ${sentTwice(swept).length} sent twice, 0 lost`,
    );
  });
}

test('durability: power, which syncs before each group of ends, keeps the same promise', async (context) => {
  const swept = await sweep(context, 'pipelining=standard', campaignYaml, 'durability: power\n');
  assertNobodyLost(swept);
  const unreported = sentTwice(swept).filter((row) => !swept.reported.has(row));
  assert.deepEqual(unreported, [], `seed ${seed}`);
});

test('with inDoubt: hold nobody gets it twice, and who is held is in the results', async (context) => {
  const swept = await sweep(context, 'pipelining=deep', `${campaignYaml}inDoubt: hold\n`);
  assert.equal(swept.last.code, 0, swept.last.stderr);
  assert.deepEqual(sentTwice(swept), [], `seed ${seed}`);
  const { accepted, inDoubt } = summaryIn(swept.last);
  assert.deepEqual([accepted + inDoubt, inDoubt], [rows, swept.reported.size]);
  const held = swept.folder
    .read('out.csv')
    .split('\r\n')
    .filter((line) => line.includes(',inDoubt,'))
    .map((line) => Number(/^reader(\d+)@/.exec(line)?.[1]));
  assert.deepEqual(new Set(held), swept.reported);
  // Whoever is neither held nor has it is lost.
  for (let row = 1; row <= rows; row += 1)
    assert.ok(swept.taken.has(row) || swept.reported.has(row), `row ${row}`);
});

test('the audit proves after a kill that all rows are there, and says what the journal alone knows', async (context) => {
  const sandbox = await startSandbox({ keep: 'envelopes', latencyMs: 2 });
  context.after(() => sandbox.close());
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(2000) });
  const relay = `smtp://127.0.0.1:${sandbox.port}?maxConnections=5`;
  const args = ['send', 'campaign.yaml', 'list.csv', '--relay', relay, '--state', 'state', '--json'];
  const running = folder.start(args);
  while (takenBy(sandbox) < 700) await delay(1);
  running.child.kill('SIGKILL');
  await running.ended;
  const open = await folder.run(['audit', 'spring', '--state', 'state', '--json']);
  assert.equal(open.code, 75, open.stderr);
  const report: Record<string, unknown> = JSON.parse(open.stdout);
  assert.deepEqual([report['differences'], report['finished']], [[], false]);
  // Taken by the relay is: settled, or answered in the journal, or in doubt.
  const { accepted }: { accepted: number } = JSON.parse(JSON.stringify(report['tally']));
  const known = accepted + Number(report['unsettled']);
  assert.ok(known <= takenBy(sandbox) && known + Number(report['inDoubt']) >= takenBy(sandbox), open.stdout);

  await folder.run(args);
  const closed = await folder.run(['audit', 'campaign.yaml', '--state', 'state']);
  assert.equal(closed.code, 0, closed.stderr);
  assert.match(closed.stdout, /accepted +2,000\n +rows +2,000\nit adds up/);
  const unknown = await folder.run(['audit', 'summer', '--state', 'state']);
  assert.equal(unknown.code, 66);
  assert.match(unknown.stderr, /no campaign "summer".*\n.*spring/);
});
