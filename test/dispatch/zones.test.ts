// Scenarios of days in moments: send windows on the clocks of each recipient.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ZoneGates } from '../../src/dispatch/zone_gates.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { unpackRecipients } from '../../src/mail/batch.ts';
import type { PosthasteEvent } from '../../src/mail/event.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { emptyTransactionTimes } from '../../src/mail/transaction_times.ts';
import { judgeLocally, judgeReply, type Verdict } from '../../src/mail/verdict.ts';
import type { CampaignTime } from '../../src/schedule/campaign_time.ts';
import type { BatchReport, BatchTask } from '../../src/worker/contract.ts';
import { oneCampaign } from './one_campaign.ts';
import { playedThreads, unguarded } from './played_threads.ts';
import { accepted, beginning, hour, makeWorld, minute, run, unclear, type Attempt } from './world.ts';

const everyDay = [0, 1, 2, 3, 4, 5, 6];
/** 09:00 to 17:00; it is 12:00 in UTC when the world begins. */
const office: CampaignTime = {
  windows: [{ weekdays: everyDay, fromMinute: 9 * 60, toMinute: 17 * 60 }],
  zone: 'UTC',
  hasOwnZones: true,
};
const zones = ['', 'Asia/Tokyo', 'America/Los_Angeles'];
const zoneOf = (row: number): string => zones[(row - 1) % zones.length] ?? '';

type World = Awaited<ReturnType<typeof makeWorld>>;

function makeZones(context: TestContext, rows: number): Promise<World> {
  return makeWorld(context, rows, 1, () => 'x', zoneOf);
}

/** By zone, when its recipients were tried. */
function attemptsByZone(world: World): Record<string, string[]> {
  const byZone: Record<string, string[]> = {};
  for (const { row, at } of world.attempts)
    (byZone[zoneOf(row)] ??= []).push(new Date(beginning + at).toISOString().slice(0, 16));
  return byZone;
}

function waitsOf(events: readonly PosthasteEvent[]): string[] {
  return events.flatMap((event) =>
    event.kind === 'campaignWaits' ? [new Date(event.untilAt).toISOString().slice(0, 16)] : [],
  );
}

test('each zone has its messages in its own window, and while all are closed it is said until when', async (context) => {
  const world = await makeZones(context, 6);
  const { end, tally } = await run(world, { answer: () => accepted, time: office });
  assert.deepEqual([end, tally.accepted], ['finished', 6]);
  assert.deepEqual(attemptsByZone(world), {
    '': ['2026-03-27T12:00', '2026-03-27T12:00'],
    'America/Los_Angeles': ['2026-03-27T16:00', '2026-03-27T16:00'],
    'Asia/Tokyo': ['2026-03-28T00:00', '2026-03-28T00:00'],
  });
  assert.deepEqual(waitsOf(world.events), ['2026-03-27T16:00', '2026-03-28T00:00']);
  assert.ok(world.attempts.every(({ attempt }) => attempt === 1));
});

test('DST: on the night of the change each zone opens by its own clocks', async (context) => {
  const nightly = ['Europe/Berlin', 'Africa/Lagos', 'Europe/London'];
  const world = await makeWorld(
    context,
    3,
    1,
    () => 'x',
    (row) => nightly[row - 1] ?? '',
  );
  const time: CampaignTime = {
    startAt: Date.parse('2026-03-28T22:00Z'),
    windows: [{ weekdays: everyDay, fromMinute: 3 * 60 + 30, toMinute: 5 * 60 }],
    zone: 'UTC',
    hasOwnZones: true,
  };
  await run(world, { answer: () => accepted, time });
  // 29 March 2026, 01:00 UTC: the clocks of Berlin jump to 03:00, those of London to 02:00; Lagos has no such night.
  assert.deepEqual(
    world.attempts.map(({ row, at }) => [nightly[row - 1], new Date(beginning + at).toISOString()]),
    [
      ['Europe/Berlin', '2026-03-29T01:30:00.000Z'],
      ['Africa/Lagos', '2026-03-29T02:30:00.000Z'],
      ['Europe/London', '2026-03-29T02:30:00.000Z'],
    ],
  );
});

test('a retry that comes due in the recipient’s night waits for the morning, as the attempt that it is', async (context) => {
  const world = await makeZones(context, 2);
  const full = judgeReply('rcpt', makeReply(452, '4.2.2 mailbox full'));
  // Four hours later it is 16:00 in UTC and 01:00 in Tokyo, which is tried at 09:00 for the first time.
  const answer = ({ row, attempt, at }: Attempt): Verdict => {
    if (row === 2) return accepted;
    return attempt === 1 ? full : at < 6 * hour ? unclear : accepted;
  };
  const late = { ...office, windows: [{ weekdays: everyDay, fromMinute: 540, toMinute: 16 * 60 + 3 }] };
  await run(world, { answer, time: late });
  assert.deepEqual(
    world.attempts.filter(({ row }) => row === 1).map(({ attempt, at }) => [attempt, at]),
    [
      [1, 0],
      [2, 4 * hour],
      [3, 21 * hour],
    ],
  );
});

test('without zones of their own all recipients have the campaign’s, whatever their batches say', async (context) => {
  const world = await makeZones(context, 3);
  await run(world, { answer: () => accepted, time: { ...office, hasOwnZones: false } });
  assert.deepEqual([...new Set(world.attempts.map(({ at }) => at))], [0]);
});

test('whose window does not come before the deadline expires, and the others are sent', async (context) => {
  const world = await makeZones(context, 6);
  const time = { ...office, deadlineAt: beginning + 5 * hour };
  const { end, tally } = await run(world, { answer: () => accepted, time });
  assert.deepEqual([end, tally.accepted, tally.expired], ['finished', 4, 2]);
  assert.equal(attemptsByZone(world)['Asia/Tokyo'], undefined);
  assert.ok(world.now < beginning + 5 * hour);
});

test('after a restart whoever waited still waits, and goes by the windows of that run', async (context) => {
  const world = await makeZones(context, 6);
  const stopped = { answer: () => accepted, time: office, stopAt: beginning + hour };
  for (const stopAt of [beginning + hour, beginning + 2 * hour]) {
    assert.equal((await run(world, { ...stopped, stopAt })).end, 'stopped');
    assert.equal(world.attempts.length, 2);
  }
  assert.deepEqual(waitsOf(world.events), ['2026-03-27T16:00', '2026-03-27T16:00']);
  const allDay = { ...office, windows: [{ weekdays: everyDay, fromMinute: 0, toMinute: 1440 }] };
  assert.equal((await run(world, { ...stopped, time: allDay, stopAt: Infinity })).tally.accepted, 6);
  assert.ok(world.attempts.every(({ at }) => at <= 2 * hour + minute));
});

const isLast = (row: number): boolean => row > 700;

test('hundreds of batches of closed zones hold nobody up who is behind them', async (context) => {
  const world = await makeWorld(
    context,
    710,
    1,
    () => 'x',
    (row) => (isLast(row) ? '' : 'Asia/Tokyo'),
  );
  await run(world, { answer: () => accepted, time: office, stopAt: beginning + hour });
  assert.deepEqual(
    world.attempts.map(({ row }) => isLast(row)),
    Array.from({ length: 10 }, () => true),
  );
  assert.ok(world.attempts.every(({ at }) => at < minute));
  assert.deepEqual(waitsOf(world.events), ['2026-03-28T00:00']);
});

const unsent = judgeLocally('stopped', 'recalled');

/** A dispatcher over threads that hold each batch until it is recalled, or until the test finishes it. */
async function holdAll(context: TestContext, deadline?: string) {
  const world = await makeZones(context, 2);
  const ledger = await openLedger({ directory: world.directory });
  const clock = { now: () => Date.parse('2026-03-28T00:00Z') };
  const held = new Map<number, (verdict: Verdict) => void>();
  let recalls = 0;
  const events: PosthasteEvent[] = [];
  const dispatcher = oneCampaign(
    {
      campaignId: 1,
      ...unguarded,
      retry: { firstDelayMs: minute, factor: 2, maxDelayMs: hour, giveUpAfterMs: 48 * hour, jitter: 0 },
      // Open to 10:00 in UTC, which is 19:00 in Tokyo.
      time: {
        ...office,
        windows: [{ weekdays: everyDay, fromMinute: 0, toMinute: 10 * 60 }],
        deadlineAt: deadline === undefined ? undefined : Date.parse(deadline),
      },
      inDoubt: 'resend',
      clock: { now: () => clock.now(), monotonic: () => clock.now() },
      random: () => 0.5,
      publish: (event) => events.push(event),
    },
    ledger,
    {
      ...playedThreads(4),
      recallCampaign: () => void (recalls += 1),
      run: (task) => new Promise((resolve) => holdBatch(held, task, resolve)),
    },
    { read: () => new Map(), trim: () => {} },
  );
  const look = async (at: string): Promise<void> => {
    const fixedAt = Date.parse(at);
    clock.now = () => fixedAt;
    dispatcher.look();
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
  };
  const ended = dispatcher.run();
  context.after(async () => {
    dispatcher.stop();
    for (const giveBack of held.values()) giveBack(unsent);
    await ended;
    await ledger.close();
  });
  /** From then on it runs by itself. */
  const letRun = (at: string): void => {
    const [fromAt, startedAt] = [Date.parse(at), Date.now()];
    clock.now = () => fromAt + Date.now() - startedAt;
    dispatcher.look();
  };
  return { letRun, ledger, dispatcher, ended, held, events, look, recalls: () => recalls };
}

function holdBatch(
  held: Map<number, (verdict: Verdict) => void>,
  task: BatchTask,
  resolve: (report: BatchReport) => void,
): void {
  const [row = 0] = unpackRecipients(task.payload).map((one) => one.row);
  held.set(row, (verdict) => {
    held.delete(row);
    resolve({
      batchId: task.batchId,
      outcomes: [{ row, kind: verdict.kind, at: 0, verdict }],
      transactionTimes: {},
      composeTimes: emptyTransactionTimes(),
      permitWaits: emptyTransactionTimes(),
      held: undefined,
      relayFailure: undefined,
      journal: { writer: 0, oldestNeeded: 0 },
      journalFailure: undefined,
    });
  });
}

test('when the window of a zone closes, what is in hand is recalled; what came back waits, and other zones go on', async (context) => {
  const { ledger, dispatcher, ended, held, events, look, recalls } = await holdAll(context);
  await look('2026-03-28T00:30Z');
  assert.deepEqual([[...held.keys()], recalls()], [[1, 2], 0]);
  await look('2026-03-28T01:00Z');
  assert.equal(recalls(), 1);
  // A batch of an open zone that comes back with it goes out again; one that is not back yet is recalled again, but not at once.
  held.get(1)?.(unsent);
  await look('2026-03-28T01:00:01Z');
  assert.deepEqual([[...held.keys()], recalls()], [[2, 1], 1]);
  await look('2026-03-28T01:00:06Z');
  assert.equal(recalls(), 2);
  held.get(2)?.(unsent);
  await look('2026-03-28T01:00:07Z');
  assert.deepEqual([[...held.keys()], waitsOf(events)], [[1], []]);
  held.get(1)?.(accepted);
  await look('2026-03-28T01:00:08Z');
  assert.deepEqual(
    [dispatcher.waitsUntil(), waitsOf(events)],
    [Date.parse('2026-03-28T15:00Z'), ['2026-03-28T15:00']],
  );
  assert.equal((await ledger.pending(1)).oldestDueAt, Date.parse('2026-03-28T15:00Z'));
  await look('2026-03-28T15:00Z');
  assert.deepEqual([[...held.keys()], dispatcher.waitsUntil()], [[2], undefined]);
  // On the wire when it closes: finished, and no attempt more.
  await look('2026-03-29T01:00Z');
  held.get(2)?.(accepted);
  assert.deepEqual(await ended, { kind: 'finished' });
  assert.deepEqual((await ledger.findCampaign('c'))?.tally.accepted, 2);
});

test('what does not come back at the deadline is not asked for all the time', async (context) => {
  const { held, look, recalls } = await holdAll(context, '2026-03-28T00:45Z');
  await look('2026-03-28T00:30Z');
  await look('2026-03-28T00:45Z');
  const [count, atDeadline] = [held.size, recalls()];
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([count, atDeadline > 0, recalls() - atDeadline], [2, true, 0]);
});

test('the closing of a zone is not slept through', { timeout: 20_000 }, async (context) => {
  const { held, look, letRun, recalls } = await holdAll(context);
  await look('2026-03-28T00:30Z');
  letRun('2026-03-28T00:59:59.700Z');
  for (let tries = 0; recalls() === 0 && tries < 1000; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(recalls(), 1);
  held.get(2)?.(accepted);
  held.get(1)?.(accepted);
});

function at(text: string): number {
  return Date.parse(`2026-03-28T${text}Z`);
}

test('a zone is asked for when it closes, and as long as something of it is out', () => {
  const gates = new ZoneGates({ ...office, windows: [{ weekdays: everyDay, fromMinute: 0, toMinute: 600 }] });
  assert.equal(gates.nextRecallAt(at('00:30')), Infinity);
  gates.noteLaunched('Asia/Tokyo');
  gates.noteLaunched('');
  gates.noteLaunched('');
  assert.deepEqual([gates.mustRecall(at('00:59')), gates.nextRecallAt(at('00:59'))], [false, at('01:00')]);
  assert.deepEqual([gates.mustRecall(at('01:00')), gates.mustRecall(at('01:00'))], [true, false]);
  assert.equal(gates.nextRecallAt(at('01:00')), at('01:00:05'));
  gates.noteReturned('Asia/Tokyo');
  assert.equal(gates.nextRecallAt(at('01:00')), at('10:00'));
  gates.noteReturned('');
  assert.deepEqual([gates.mustRecall(at('10:00')), gates.opensAt(at('15:00'), at('10:00'))], [true, true]);
  assert.equal(gates.opensAt(at('16:00'), at('10:00')), false);
});
