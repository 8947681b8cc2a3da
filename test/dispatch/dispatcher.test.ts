import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { BatchRunner } from '../../src/dispatch/hands.ts';
import type { DispatchJournals } from '../../src/dispatch/settling.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { packRecipients, unpackRecipients } from '../../src/mail/batch.ts';
import type { PosthasteEvent } from '../../src/mail/event.ts';
import type { Outcome, OutcomeKind } from '../../src/mail/outcome.ts';
import type { Verdict } from '../../src/mail/verdict.ts';
import { emptyTransactionTimes } from '../../src/mail/transaction_times.ts';
import type { BatchReport, BatchTask } from '../../src/worker/contract.ts';
import type { CampaignTime } from '../../src/schedule/campaign_time.ts';
import { oneCampaign } from './one_campaign.ts';
import { playedThreads, unguarded } from './played_threads.ts';

/** A real ledger with `rows` recipients in batches of `size`, and a dispatcher over threads that the test plays. */
async function open(
  context: TestContext,
  rows: number,
  size: number,
  runner: BatchRunner,
  journals: DispatchJournals = { read: () => new Map(), trim: () => {} },
  time: CampaignTime = { windows: [], zone: 'UTC' },
) {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-test-'));
  const ledger = await openLedger({ directory });
  context.after(async () => {
    await ledger.close();
    rmSync(directory, { recursive: true });
  });
  const campaign = await ledger.createCampaign({ name: 'c', planDigest: 'd', createdAt: 0 });
  await ledger.storeIntake(
    campaign.id,
    { batches: batchesOf(rows, size), refused: [], rows, columns: ['email'] },
    Date.now(),
  );
  await ledger.completeIntake(campaign.id, { rows, listDigest: 'x', columns: ['email'] });
  const events: PosthasteEvent[] = [];
  const dispatcher = oneCampaign(
    {
      campaignId: campaign.id,
      ...unguarded,
      retry: { firstDelayMs: 20, factor: 2, maxDelayMs: 100, giveUpAfterMs: 60_000, jitter: 0 },
      time,
      inDoubt: 'resend',
      clock: { now: () => Date.now(), monotonic: () => performance.now() },
      random: () => 0.5,
      publish: (event) => events.push(event),
    },
    ledger,
    runner,
    journals,
  );
  return { ledger, dispatcher, events, tally: async () => (await read(ledger)).tally };
}

async function read(ledger: Ledger) {
  const record = await ledger.findCampaign('c');
  assert.ok(record);
  return record;
}

function batchesOf(rows: number, size: number) {
  const batches = [];
  for (let first = 1; first <= rows; first += size) {
    const last = Math.min(first + size - 1, rows);
    const recipients = Array.from({ length: last - first + 1 }, (_, index) => {
      const row = first + index;
      return { row, line: row + 1, address: `r${row}@a.example`, cells: [`r${row}@a.example`] };
    });
    batches.push({
      recipientCount: recipients.length,
      firstRow: first,
      lastRow: last,
      lane: '',
      zone: '',
      payload: packRecipients(recipients),
    });
  }
  return batches;
}

function verdictOf(kind: OutcomeKind, scope: Verdict['scope'] = 'recipient'): Verdict {
  const replyCode = { accepted: 250, rejected: 550, deferred: 451, inDoubt: 0, unsent: 0, invalid: 0 }[kind];
  return {
    scope,
    stage: 'rcpt',
    kind: kind === 'invalid' ? 'unsent' : kind,
    code: 'test',
    session: 'keep',
    replyCode,
    enhancedStatus: '',
    category: '',
    retryable: kind === 'deferred' || kind === 'unsent',
    text: `${replyCode}`,
  };
}

function reportOf(
  task: BatchTask,
  kindOf: (row: number) => OutcomeKind,
  scope?: Verdict['scope'],
): BatchReport {
  const outcomes: Outcome[] = unpackRecipients(task.payload).map(({ row }) => ({
    row,
    kind: kindOf(row),
    at: Date.now(),
    verdict: verdictOf(kindOf(row), scope),
  }));
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

test('it runs every batch, never more than the threads have room for, and ends', async (context) => {
  let running = 0;
  let most = 0;
  const runner: BatchRunner = {
    ...playedThreads(3),
    async run(task) {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running -= 1;
      return reportOf(task, () => 'accepted');
    },
  };
  const { dispatcher, tally } = await open(context, 95, 10, runner);
  assert.deepEqual(await dispatcher.run(), { kind: 'finished' });
  assert.equal((await tally()).accepted, 95);
  assert.equal(most, 3);
});

test('deferred recipients come again when they are due, with a higher attempt, and only they', async (context) => {
  const seen: number[][] = [];
  const runner: BatchRunner = {
    ...playedThreads(2),
    run: (task) => {
      seen.push(unpackRecipients(task.payload).map((one) => one.row));
      return Promise.resolve(
        reportOf(task, (row) => (row === 2 && seen.length < 3 ? 'deferred' : 'accepted')),
      );
    },
  };
  const { dispatcher, tally } = await open(context, 3, 10, runner);
  await dispatcher.run();
  assert.deepEqual(seen, [[1, 2, 3], [2], [2]]);
  assert.equal((await tally()).accepted, 3);
});

test('events come after the commit', async (context) => {
  const runner: BatchRunner = {
    ...playedThreads(1),
    run: (task) => Promise.resolve(reportOf(task, () => 'rejected')),
  };
  const { dispatcher, events, tally } = await open(context, 4, 4, runner);
  await dispatcher.run();
  const settled = events.filter((event) => event.kind === 'batchSettled');
  assert.deepEqual(
    settled.map((event) => event.fates),
    [{ rejected: 4 }],
  );
  assert.equal((await tally()).rejected, 4);
});

test('batches that the relay’s trouble sent back are tried again after a pause, and nobody is charged', async (context) => {
  const instants: number[] = [];
  const runner: BatchRunner = {
    ...playedThreads(1),
    run: (task) => {
      instants.push(performance.now());
      const failed = instants.length === 1;
      return Promise.resolve(
        reportOf(task, () => (failed ? 'unsent' : 'accepted'), failed ? 'relay' : 'recipient'),
      );
    },
  };
  const { dispatcher, ledger, tally } = await open(context, 2, 2, runner);
  await dispatcher.run();
  assert.ok((instants[1] ?? 0) - (instants[0] ?? 0) >= 950);
  assert.equal((await tally()).accepted, 2);
  const record = await read(ledger);
  for await (const page of ledger.readResults(record.id))
    for (const row of page) assert.equal(row.delivery?.attempts, 1);
});

test('a permanent failure of the relay ends the run; everybody is still pending', async (context) => {
  const failure = {
    kind: 'failed',
    permanent: true,
    hint: '',
    verdict: verdictOf('unsent', 'relay'),
  } as const;
  const runner: BatchRunner = {
    ...playedThreads(2),
    run: (task) => Promise.resolve({ ...reportOf(task, () => 'unsent', 'relay'), relayFailure: failure }),
  };
  const { dispatcher, ledger } = await open(context, 20, 5, runner);
  assert.deepEqual(await dispatcher.run(), { kind: 'relayFailed', failure });
  assert.equal((await ledger.pending((await read(ledger)).id)).recipients, 20);
});

test('a thread that dies gives its batch back; three in a row end the run with our own error', async (context) => {
  let calls = 0;
  const dying: BatchRunner = {
    ...playedThreads(1),
    run: () => Promise.reject(new Error(`death ${(calls += 1)}`)),
  };
  const { dispatcher, ledger } = await open(context, 6, 3, dying);
  await assert.rejects(dispatcher.run(), { code: 'ERR_THREAD_CRASHED', exitCode: 70 });
  assert.equal(calls, 3);
  assert.equal((await ledger.pending((await read(ledger)).id)).recipients, 6);
});

test('a row that kills thread after thread pauses its campaign, though others go on; those beside it are not blamed', async (context) => {
  // Two batches are out together and die together; the one with row 4 is to blame. In between another one goes well.
  let composing: number[] = [];
  let deaths = 0;
  const together: (() => void)[] = [];
  const runner: BatchRunner = {
    ...playedThreads(2),
    composing: () => composing,
    run: (task) => {
      const rows = new Set(unpackRecipients(task.payload).map(({ row }) => row));
      if (rows.has(7)) return Promise.resolve(reportOf(task, (row) => (row === 7 ? 'deferred' : 'accepted')));
      if (rows.has(4)) composing = [task.batchId];
      return new Promise((_, reject) => {
        together.push(() => reject(new Error(`death ${(deaths += 1)}`)));
        if (together.length === 2) for (const die of together.splice(0)) die();
      });
    },
  };
  const { dispatcher, tally } = await open(context, 9, 3, runner);
  const end = await dispatcher.run();
  assert.ok(end.kind === 'paused');
  assert.match(end.pause.text, /^3 threads died one after the other over the rows from 4 on: death \d$/);
  assert.deepEqual([deaths, (await tally()).accepted], [6, 2]);
});

test('a row that kills thread after thread pauses its campaign where nothing else is left, too', async (context) => {
  let composing: number[] = [];
  const runner: BatchRunner = {
    ...playedThreads(1),
    composing: () => composing,
    run: (task) => {
      composing = [task.batchId];
      return Promise.reject(new Error('death'));
    },
  };
  const { dispatcher } = await open(context, 3, 3, runner);
  const end = await dispatcher.run();
  assert.equal(end.kind, 'paused');
});

test('what comes back for others’ sake waits until those are reported, and goes on where they pause nothing', async (context) => {
  const launched: string[] = [];
  let [finishFirst, isReported] = [() => {}, false];
  const runner: BatchRunner = {
    ...playedThreads(2),
    run: (task) => {
      const [first] = unpackRecipients(task.payload).map(({ row }) => row);
      launched.push(`${first}${isReported ? ' after' : ''}`);
      if (first !== 1) {
        const report = reportOf(task, () => (isReported ? 'accepted' : 'unsent'), 'us');
        return Promise.resolve({ ...report, isSpared: !isReported });
      }
      return new Promise((resolve) => {
        finishFirst = () => {
          isReported = true;
          resolve(reportOf(task, () => 'accepted'));
        };
      });
    },
  };
  const { dispatcher, tally } = await open(context, 6, 3, runner);
  const ending = dispatcher.run();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(launched, ['1', '4']);
  finishFirst();
  assert.equal((await ending).kind, 'finished');
  assert.deepEqual([launched, (await tally()).accepted], [['1', '4', '4 after'], 6]);
});

test('of a thread that dies, what its journal knows is settled, and only the rest is sent', async (context) => {
  const sent: string[] = [];
  let batchId = 0;
  const runner: BatchRunner = {
    ...playedThreads(1),
    run: (task) => {
      if (batchId === 0) {
        ({ batchId } = task);
        return Promise.reject(new Error('death'));
      }
      sent.push(
        unpackRecipients(task.payload)
          .map(({ row }) => `${task.attempt}:${row}`)
          .join(' '),
      );
      return Promise.resolve(reportOf(task, () => 'accepted'));
    },
  };
  const accepted = { row: 1, kind: 'accepted', at: 1, verdict: verdictOf('accepted') } as const;
  const { dispatcher, tally } = await open(context, 4, 4, runner, {
    read: () =>
      new Map([
        [
          batchId,
          {
            batchId,
            campaignId: 1,
            attempt: 1,
            isDamaged: false,
            outcomes: new Map([[1, accepted]]),
            ended: new Set([1, 2]),
          },
        ],
      ]),
    trim: () => {},
  });
  assert.deepEqual(await dispatcher.run(), { kind: 'finished' });
  // Row 2 may have been sent: it is charged an attempt, and tried again with inDoubt: resend.
  assert.deepEqual(sent.toSorted(), ['1:3 1:4', '2:2']);
  assert.equal((await tally()).accepted, 4);
});

test('a journal that cannot be written ends the run with the error of the disk; nobody is lost', async (context) => {
  const runner: BatchRunner = {
    ...playedThreads(1),
    run: (task) =>
      Promise.resolve({
        ...reportOf(task, () => 'unsent', 'us'),
        journalFailure: { code: 'ENOSPC', text: 'no space left on device' },
      }),
  };
  const { dispatcher, ledger } = await open(context, 4, 4, runner);
  await assert.rejects(dispatcher.run(), { code: 'ERR_STATE_FULL', exitCode: 74 });
  assert.equal((await ledger.pending((await read(ledger)).id)).recipients, 4);
});

test('told to stop, it claims nothing more and waits for what is in hand', async (context) => {
  const finish: (() => void)[] = [];
  const runner: BatchRunner = {
    ...playedThreads(1),
    run: (task) => new Promise((resolve) => finish.push(() => resolve(reportOf(task, () => 'accepted')))),
  };
  const { dispatcher, tally } = await open(context, 20, 5, runner);
  const end = dispatcher.run();
  while (finish.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  dispatcher.stop();
  finish[0]?.();
  assert.deepEqual(await end, { kind: 'stopped' });
  assert.equal((await tally()).accepted, 5);
});

/** Threads whose batches wait for a permit that never comes: only a recall brings them back, untried. */
function waitingThreads(first?: (task: BatchTask) => BatchReport): BatchRunner {
  const recalled: (() => void)[] = [];
  let runs = 0;
  const recall = (): void => {
    for (const one of recalled.splice(0)) one();
  };
  return {
    ...playedThreads(2),
    recall,
    recallCampaign: recall,
    run: (task) => {
      runs += 1;
      if (runs === 1 && first !== undefined) return Promise.resolve(first(task));
      return new Promise((resolve) => {
        recalled.push(() => resolve(reportOf(task, () => 'unsent', 'us')));
      });
    },
  };
}

test(
  'when the relay wants a pause, what waits in threads is called back',
  { timeout: 20_000 },
  async (context) => {
    const runner = waitingThreads((task) => reportOf(task, () => 'unsent', 'relay'));
    const { dispatcher, ledger, events } = await open(context, 4, 2, runner);
    const ended = dispatcher.run();
    while (!events.some(({ kind }) => kind === 'relayFailed') || dispatcher.inHand > 0)
      await new Promise((resolve) => setTimeout(resolve, 1));
    dispatcher.stop();
    runner.recall(0);
    assert.deepEqual(await ended, { kind: 'stopped' });
    assert.equal((await ledger.pending((await read(ledger)).id)).recipients, 4);
  },
);

test(
  'at the deadline, what waits in threads for a permit is called back and expires',
  { timeout: 20_000 },
  async (context) => {
    const time = { windows: [], zone: 'UTC', deadlineAt: Date.now() + 1000 };
    const { dispatcher, tally } = await open(context, 6, 2, waitingThreads(), undefined, time);
    assert.deepEqual(await dispatcher.run(), { kind: 'finished' });
    assert.equal((await tally()).expired, 6);
  },
);
