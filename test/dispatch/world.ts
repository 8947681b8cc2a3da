// A world for scenarios of days in moments: a real ledger and dispatcher, threads that the test plays, and a clock of its own.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DispatchEnd } from '../../src/dispatch/campaign_desk.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { packRecipients, unpackRecipients } from '../../src/mail/batch.ts';
import type { PosthasteEvent } from '../../src/mail/event.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { emptyTransactionTimes } from '../../src/mail/transaction_times.ts';
import { judgeFailure, judgeReply, type Verdict } from '../../src/mail/verdict.ts';
import type { CampaignTime } from '../../src/schedule/campaign_time.ts';
import type { RetryPolicy } from '../../src/schedule/retry.ts';
import type { BatchReport, BatchTask } from '../../src/worker/contract.ts';
import { oneCampaign } from './one_campaign.ts';
import { playedThreads, unguarded } from './played_threads.ts';
import type { GuardRules } from '../../src/schedule/campaign_guard.ts';

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const beginning = Date.parse('2026-03-27T12:00:00Z');
const retry: RetryPolicy = {
  firstDelayMs: 5 * minute,
  factor: 2,
  maxDelayMs: 4 * hour,
  giveUpAfterMs: 48 * hour,
  jitter: 0,
  byCategory: { greylisted: { firstDelayMs: minute }, 'mailbox-full': { firstDelayMs: 4 * hour } },
};
export const always: CampaignTime = { windows: [], zone: 'UTC' };
export const accepted = judgeReply('end', makeReply(250, 'ok'));
export const unclear = judgeReply('rcpt', makeReply(451, '4.3.0 try again later'));
export const refused = judgeFailure('connect', { kind: 'closed', text: 'ECONNREFUSED' });

export interface Attempt {
  readonly row: number;
  readonly attempt: number;
  /** Since the beginning. */
  readonly at: number;
}

/** A state directory with a list of `rows`, stored at the beginning; a batch is of the lane and the zone of its first row. */
export async function makeWorld(
  context: TestContext,
  rows: number,
  batchRows = 250,
  laneOf: (row: number) => string = () => 'x',
  zoneOf: (row: number) => string = () => '',
) {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-pace-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const world = { directory, now: beginning, attempts: [] as Attempt[], events: [] as PosthasteEvent[] };
  const ledger = await openLedger({ directory });
  const { id } = await ledger.createCampaign({ name: 'c', planDigest: 'd', createdAt: beginning });
  const recipients = Array.from({ length: rows }, (_, index) => ({
    row: index + 1,
    line: index + 2,
    address: `r${index + 1}@a.example`,
    cells: [],
  }));
  const batches = [];
  for (let first = 0; first < rows; first += batchRows) {
    const part = recipients.slice(first, first + batchRows);
    const [firstRow, lastRow] = [first + 1, first + part.length];
    batches.push({
      recipientCount: part.length,
      firstRow,
      lastRow,
      lane: laneOf(firstRow),
      zone: zoneOf(firstRow),
      payload: packRecipients(part),
    });
  }
  await ledger.storeIntake(id, { batches, refused: [], rows, columns: [] }, beginning);
  await ledger.completeIntake(id, { rows, listDigest: 'x', columns: [] });
  await ledger.close();
  return world;
}

type World = Awaited<ReturnType<typeof makeWorld>>;

interface Play {
  /** What an attempt meets. */
  readonly answer: (one: Attempt) => Verdict;
  readonly time?: CampaignTime;
  /** How long a batch is under way. */
  readonly batchMs?: number;
  /** Stops the run when it comes to this instant; the next run goes on. */
  readonly stopAt?: number;
  readonly guard?: GuardRules;
  /** Batches that threads take at once. */
  readonly hands?: number;
}

/** One run of the program; the clock jumps to whatever is next. */
export async function run(
  world: World,
  { answer, time = always, batchMs = 0, stopAt = Infinity, guard = unguarded.guard, hands = 1 }: Play,
) {
  const ledger = await openLedger({ directory: world.directory });
  try {
    const campaign = (await ledger.findCampaign('c')) ?? assert.fail('no campaign');
    let [isOver, waitsUntil] = [false, 0];
    const dispatcher = oneCampaign(
      {
        campaignId: campaign.id,
        ...unguarded,
        guard,
        retry,
        time,
        inDoubt: 'resend',
        clock: { now: () => world.now, monotonic: () => world.now },
        random: () => 0.5,
        publish: (event) => {
          world.events.push(event);
          if (event.kind === 'campaignWaits') waitsUntil = event.untilAt;
        },
      },
      ledger,
      { ...playedThreads(hands), run: (task) => Promise.resolve(play(world, task, answer, batchMs)) },
      { read: () => new Map(), trim: () => {} },
    );
    const ending: Promise<DispatchEnd> = dispatcher.run().finally(() => (isOver = true));
    // Nothing happens by itself any more after some turns: then the clock goes on, and the dispatcher is told to look.
    for (let step = 0; step < 5000; step += 1) {
      for (let turn = 0; turn < 10; turn += 1) await nextTurn();
      if (isOver) break;
      if (dispatcher.inHand > 0) continue;
      const dueAt = (await ledger.nextDueAt(campaign.id)) ?? world.now;
      const nextAt = Math.max(dueAt, waitsUntil, world.now + second);
      if (nextAt >= stopAt) dispatcher.stop();
      world.now = Math.min(nextAt, stopAt);
      dispatcher.look();
    }
    assert.ok(isOver, 'it did not end');
    const end = await ending;
    const { tally } = (await ledger.findCampaign('c')) ?? assert.fail('no campaign');
    return { end: end.kind, tally };
  } finally {
    await ledger.close();
  }
}

function play(world: World, task: BatchTask, answer: Play['answer'], batchMs: number): BatchReport {
  const outcomes: Outcome[] = unpackRecipients(task.payload).map(({ row }) => {
    const one = { row, attempt: task.attempt, at: world.now - beginning };
    const verdict = answer(one);
    if (verdict.kind !== 'unsent') world.attempts.push(one);
    return { row, kind: verdict.kind, at: world.now, verdict };
  });
  world.now += batchMs;
  return {
    batchId: task.batchId,
    outcomes,
    transactionTimes: {},
    composeTimes: emptyTransactionTimes(),
    permitWaits: emptyTransactionTimes(),
    held: undefined,
    relayFailure: undefined,
    journal: { writer: 0, oldestNeeded: 0 },
    journalFailure: undefined,
  };
}
