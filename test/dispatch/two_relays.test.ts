// Two relays, one of them for some lanes only, or for some campaigns only: who has to wait stops nobody else.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Dispatcher } from '../../src/dispatch/dispatcher.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { packRecipients, unpackRecipients } from '../../src/mail/batch.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { emptyTransactionTimes } from '../../src/mail/transaction_times.ts';
import { judgeLocally, judgeReply, type Verdict } from '../../src/mail/verdict.ts';
import type { RelayShare } from '../../src/schedule/relay_choice.ts';
import type { BatchReport, BatchTask, Hold } from '../../src/worker/contract.ts';
import { playedThreads, unguarded } from './played_threads.ts';

const accepted = judgeReply('end', makeReply(250, 'ok'));
const throttled = judgeReply('end', makeReply(421, '4.7.28 Our system has detected an unusual rate of mail'));
const [first, second] = ['first', 'second'];

/** Handles of limits. */
const [ofRelay, ofLane] = [1, 2];

interface Sent {
  readonly lane: string;
  readonly relay: string;
}

/** A dispatcher with two relays whose threads are played; `held` is how long a thread says that limits hold a lane. */
async function open(
  context: TestContext,
  answer: (one: Sent) => Verdict,
  held: (one: Sent) => Hold | undefined = () => undefined,
  holdMs = 0,
  clock: { readonly aheadMs: number } = { aheadMs: 0 },
) {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-relays-'));
  const ledger = await openLedger({ directory });
  const sent: Sent[] = [];
  const play = (task: BatchTask): BatchReport => {
    const [lane, relay] = [task.planKey, [first, second][task.relay] ?? ''];
    const hold = held({ lane, relay });
    const verdict = hold === undefined ? answer({ lane, relay }) : judgeLocally('stopped', 'held');
    if (hold === undefined) sent.push({ lane, relay });
    const { kind } = verdict;
    const outcomes = unpackRecipients(task.payload).map(({ row }) => ({
      row,
      kind,
      at: Date.now(),
      verdict,
    }));
    return {
      batchId: task.batchId,
      outcomes,
      transactionTimes: {},
      composeTimes: emptyTransactionTimes(),
      permitWaits: emptyTransactionTimes(),
      held: hold,
      relayFailure: undefined,
      journal: { writer: 0, oldestNeeded: 0 },
      journalFailure: undefined,
    };
  };
  const dispatcher = new Dispatcher(
    {
      relays: [first, second].map((name) => ({ name, maxSessions: 10 })),
      slowDown: () => {},
      isLimitOfRelay: (limit) => limit === ofRelay,
      isPatient: true,
      tellsRecipients: false,
      clock: { now: () => Date.now() + clock.aheadMs, monotonic: () => performance.now() },
      random: () => 0.5,
      publish: () => {},
    },
    ledger,
    { ...playedThreads(1), run: (task) => delay(holdMs).then(() => play(task)) },
    { read: () => new Map(), trim: () => {} },
  );
  const running = dispatcher.run();
  context.after(async () => {
    dispatcher.stop();
    await running;
    await ledger.close();
    rmSync(directory, { recursive: true });
  });
  /** Stores a campaign of one recipient a batch, in these lanes, and begins to send it. */
  const begin = async (name: string, relays: readonly RelayShare[], lanes: readonly string[]) => {
    const { id } = await ledger.createCampaign({ name, planDigest: 'd', createdAt: 0 });
    const batches = lanes.map((lane, index) => ({
      recipientCount: 1,
      firstRow: index + 1,
      lastRow: index + 1,
      lane,
      zone: '',
      payload: packRecipients([{ row: index + 1, line: index + 2, address: 'a@b.example', cells: [] }]),
    }));
    await ledger.storeIntake(id, { batches, refused: [], rows: lanes.length, columns: [] }, 0);
    await ledger.completeIntake(id, { rows: lanes.length, listDigest: 'x', columns: [] });
    const rule = { firstDelayMs: 60_000, factor: 1, maxDelayMs: 60_000, giveUpAfterMs: 3_600_000 };
    const over = dispatcher.add({
      id,
      name,
      relays,
      weight: 1,
      time: { windows: [], zone: 'UTC' },
      retry: { ...rule, jitter: 0 },
      inDoubt: 'resend',
      guard: unguarded.guard,
      frame: (lane, relay) => ({
        relay,
        limits: [],
        slots: [],
        bytes: [],
        weight: 1,
        mostSenderRefusals: Infinity,
        planKey: lane,
        plan: new SharedArrayBuffer(0),
      }),
      ended: () => {},
    });
    dispatcher.notifyListComplete(id);
    return { id, over };
  };
  return { dispatcher, sent, begin };
}

const describe = ({ lane, relay }: Sent): string => `${lane} by ${relay}`;
const shareOf = (name: string, lanes?: readonly string[]): RelayShare => ({
  name,
  weight: 1,
  rank: 0,
  lanes,
});

test('a lane whose relay is held waits, the others go by theirs, and it goes at once when the relay is let go', async (context) => {
  const { dispatcher, sent, begin } = await open(context, () => accepted);
  dispatcher.relays.find(first)?.hold(true);
  const relays = [shareOf(first), shareOf(second, ['gmail'])];
  const { over } = await begin('c', relays, ['yahoo', 'gmail', 'yahoo', 'gmail']);
  // That this comes back at all is half of the test: it was a loop without an end.
  await delay(200);
  assert.deepEqual(sent.map(describe), ['gmail by second', 'gmail by second']);
  dispatcher.relays.find(first)?.hold(false);
  dispatcher.rouse();
  const begunAt = performance.now();
  assert.equal((await over).kind, 'finished');
  assert.ok(performance.now() - begunAt < 1000);
  assert.deepEqual(sent.slice(2).map(describe), ['yahoo by first', 'yahoo by first']);
});

test('a provider that throttles one relay is left alone by that relay, though another one is in the configuration', async (context) => {
  const { sent, begin } = await open(context, ({ relay }) => (relay === first ? throttled : accepted));
  await begin('by-first', [shareOf(first)], Array<string>(20).fill('gmail'));
  await delay(200);
  assert.equal(sent.length, 1, 'nothing more for ten minutes');
  const { over } = await begin('by-second', [shareOf(second)], ['gmail', 'gmail']);
  await over;
  assert.deepEqual(sent.slice(1).map(describe), ['gmail by second', 'gmail by second']);
});

test('a lane that limits hold for long is not asked again before, gives its hand to others, and is when limits change', async (context) => {
  let [isHeld, asked] = [true, 0];
  const { dispatcher, sent, begin } = await open(
    context,
    () => accepted,
    ({ lane }) => {
      if (lane !== 'slow' || !isHeld) return undefined;
      asked += 1;
      return { limit: ofLane, isOwn: false, untilAt: Date.now() + 3_600_000 };
    },
  );
  const { id, over } = await begin('c', [shareOf(first)], ['slow', 'slow', 'slow', 'fast', 'fast', 'fast']);
  await delay(200);
  assert.deepEqual([asked, sent.length], [1, 3], 'one hand is enough for all: it is asked once');
  isHeld = false;
  dispatcher.recall(id);
  await over;
  assert.equal(sent.length, 6);
});

test('where a relay has used up its own limit, batches go by the other one, and each is asked once', async (context) => {
  let asked = 0;
  const { sent, begin } = await open(
    context,
    () => accepted,
    ({ relay }) => {
      if (relay !== first) return undefined;
      asked += 1;
      return { limit: ofRelay, isOwn: false, untilAt: Date.now() + 3_600_000 };
    },
  );
  const { over } = await begin('c', [shareOf(first), shareOf(second)], Array<string>(40).fill('x'));
  await over;
  assert.equal(asked, 1);
  assert.deepEqual([sent.length, new Set(sent.map(describe)).size], [40, 1]);
});

test('a lane that limits hold is left alone while a relay is weak, and while another campaign goes', async (context) => {
  let asked = 0;
  const isDown = judgeReply('mail', makeReply(421, '4.3.2 shutting down'));
  const { dispatcher, sent, begin } = await open(
    context,
    ({ relay }) => (relay === second ? isDown : accepted),
    ({ lane }) => {
      if (lane !== 'slow') return undefined;
      asked += 1;
      return { limit: ofLane, isOwn: false, untilAt: Date.now() + 3_600_000 };
    },
    20,
  );
  await begin('slow', [shareOf(first)], ['slow', 'slow']);
  await begin('by-weak', [shareOf(second)], ['x', 'x', 'x']);
  await begin('free', [shareOf(first)], Array<string>(20).fill('x'));
  await delay(2500);
  // The weak one has been asked again and again, and the free one is through.
  assert.ok(sent.filter(({ relay }) => relay === second).length >= 2);
  assert.equal(sent.filter(({ relay }) => relay === first).length, 20);
  assert.equal(asked, 1);
  assert.equal(dispatcher.inHand <= 1, true);
});

test('what a thread says of a limit that was raised meanwhile counts no longer', async (context) => {
  let asked = 0;
  const { dispatcher, sent, begin } = await open(
    context,
    () => accepted,
    () => ((asked += 1) === 1 ? { limit: ofLane, isOwn: false, untilAt: Date.now() + 3_600_000 } : undefined),
    100,
  );
  const { id, over } = await begin('c', [shareOf(first)], ['slow']);
  while (dispatcher.inHand === 0) await delay(1);
  // The batch is under way and will say that the old limit holds it for an hour.
  dispatcher.recall(id);
  await over;
  assert.deepEqual([asked, sent.length], [2, 1]);
});

test('a provider that was throttled once goes on when its relay, paused meanwhile with all others, is resumed', async (context) => {
  const clock = { aheadMs: 0 };
  let answers = 0;
  const answer = (): Verdict => ((answers += 1) === 1 ? throttled : accepted);
  const { dispatcher, sent, begin } = await open(context, answer, undefined, 50, clock);
  const { over } = await begin('c', [shareOf(first)], Array<string>(5).fill('gmail'));
  while (sent.length < 1) await delay(5);
  await delay(100);
  // The ten minutes are over, and what came back is due again.
  clock.aheadMs = 3_600_000;
  dispatcher.rouse();
  while (dispatcher.inHand === 0) await delay(1);
  for (const name of [first, second]) dispatcher.relays.find(name)?.hold(true);
  await delay(200);
  const before = sent.length;
  dispatcher.relays.find(first)?.hold(false);
  dispatcher.rouse();
  assert.equal((await over).kind, 'finished');
  assert.ok(before < 6 && sent.length === 6);
});

test('a relay that may be tried again in the moment between looking and falling asleep is tried at once', async (context) => {
  const isDown = judgeReply('mail', makeReply(421, '4.3.2 shutting down'));
  let answers = 0;
  let readings: number[] = [];
  const clock = {
    get aheadMs() {
      const [at] = readings;
      if (readings.length > 1) readings = readings.slice(1);
      return at === undefined ? 0 : at - Date.now();
    },
  };
  const answer = (): Verdict => ((answers += 1) <= 2 ? isDown : accepted);
  const { dispatcher, sent, begin } = await open(context, answer, undefined, 0, clock);
  const { over } = await begin('c', [shareOf(first)], ['x', 'x', 'x']);
  while ((dispatcher.relays.find(first)?.blockedUntil ?? 0) === 0) await delay(1);
  await delay(20);
  const untilAt = dispatcher.relays.find(first)?.blockedUntil ?? 0;
  const before = sent.length;
  // One reading to look, one to see for how long to sleep.
  readings = [untilAt - 1, untilAt];
  dispatcher.rouse();
  await delay(100);
  assert.ok(sent.length > before, 'it sleeps');
  readings = [untilAt + 120_000];
  dispatcher.rouse();
  await over;
});
