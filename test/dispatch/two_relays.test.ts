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
import type { BatchReport, BatchTask } from '../../src/worker/contract.ts';
import { playedThreads, unguarded } from './played_threads.ts';

const accepted = judgeReply('end', makeReply(250, 'ok'));
const throttled = judgeReply('end', makeReply(421, '4.7.28 Our system has detected an unusual rate of mail'));
const [first, second] = ['first', 'second'];

interface Sent {
  readonly lane: string;
  readonly relay: string;
}

/** A dispatcher with two relays whose threads are played; `held` is how long a thread says that limits hold a lane. */
async function open(
  context: TestContext,
  answer: (one: Sent) => Verdict,
  held: (one: Sent) => number | undefined = () => undefined,
) {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-relays-'));
  const ledger = await openLedger({ directory });
  const sent: Sent[] = [];
  const play = (task: BatchTask): BatchReport => {
    const [lane, relay] = [task.planKey, [first, second][task.relay] ?? ''];
    const heldMs = held({ lane, relay });
    const verdict = heldMs === undefined ? answer({ lane, relay }) : judgeLocally('stopped', 'held');
    if (heldMs === undefined) sent.push({ lane, relay });
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
      heldMs,
      relayFailure: undefined,
      journal: { writer: 0, oldestNeeded: 0 },
      journalFailure: undefined,
    };
  };
  const dispatcher = new Dispatcher(
    {
      relays: [first, second].map((name) => ({ name, maxSessions: 10 })),
      slowDown: () => {},
      isPatient: true,
      tellsRecipients: false,
      clock: { now: Date.now, monotonic: () => performance.now() },
      random: () => 0.5,
      publish: () => {},
    },
    ledger,
    { ...playedThreads(1), run: (task) => Promise.resolve(play(task)) },
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
      return 3_600_000;
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
