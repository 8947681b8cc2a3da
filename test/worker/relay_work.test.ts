// Whatever goes wrong in making one row's message is that row's, and neither the thread's nor the batch's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Composer } from '../../src/compose/compose.ts';
import { packRecipients } from '../../src/mail/batch.ts';
import { makeEnvelope } from '../../src/mail/envelope.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import { attachLimiter, createLimiter, type LimiterMemory } from '../../src/schedule/limiter.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';
import { parseExtensions } from '../../src/smtp/extensions.ts';
import { BatchRun } from '../../src/worker/batch_run.ts';
import { RelayWork } from '../../src/worker/relay_work.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeLocally, judgeReply } from '../../src/mail/verdict.ts';
import { planOf } from '../compose/campaigns.ts';

const recipientOf = (row: number) => ({ row, line: row + 1, address: `r${row}@b.example`, cells: [] });

const composerThat = (fails: () => never): Composer => ({
  compose({ row }) {
    if (row === 2) fails();
    return { kind: 'message', message: 'Subject: x\r\n\r\n', messageId: `${row}@b.example`, isUtf8: false };
  },
});

const neverFails = () => assert.fail('all rows can be made');
const unlimited = { memory: createLimiter([]), limits: [], slots: [] };

/** Work with one batch of `rows` in it, which needs permits of `limits`. */
function openWork(
  fails: () => never,
  {
    memory,
    limits,
    slots,
  }: { memory: LimiterMemory; limits: readonly number[]; slots: readonly number[] } = unlimited,
  rows: readonly number[] = [1, 2, 3],
) {
  const { campaign } = planOf([], {});
  const clock = { now: () => 0, monotonic: () => 0 };
  const compiled = () => ({
    envelope: makeEnvelope(campaign),
    composer: composerThat(fails),
    signer: undefined,
  });
  const work = new RelayWork(attachLimiter(memory), clock, compiled);
  const noted: Outcome[] = [];
  const reports: unknown[] = [];
  const journal = {
    writer: 0,
    oldestNeeded: 0,
    noteOutcome: (_: unknown, outcome: Outcome) => void noted.push(outcome),
    endBatch: () => {},
  };
  const addBatch = (needed: readonly number[], some: readonly number[], campaignId = 1, weight = 1): void => {
    const task = {
      batchId: 1,
      campaignId,
      attempt: 1,
      relay: 0,
      limits: needed,
      slots,
      weight,
      mostWaitMs: 30_000,
      mostSenderRefusals: 3,
      planKey: '1',
      plan: new SharedArrayBuffer(0),
      payload: packRecipients(some.map(recipientOf)),
    };
    work.add(new BatchRun(task, journal, (report) => void reports.push(report)));
  };
  addBatch(limits, rows);
  return { work, noted, reports, addBatch };
}

test('a row whose message is more than memory holds is invalid, and the rows behind it are sent', () => {
  const { work, noted } = openWork(() => {
    // What V8 says when a message becomes longer than a string can be.
    throw new RangeError('Invalid string length');
  });
  const extensions = parseExtensions([], false);
  const taken = [work.take(extensions), work.take(extensions), work.take(extensions)];
  assert.deepEqual(
    taken.map((one) => (one !== undefined && 'row' in one ? one.row : undefined)),
    [1, 3, undefined],
  );
  assert.deepEqual(
    noted.map(({ row, kind, verdict }) => [row, kind, verdict.text]),
    [[2, 'invalid', 'the message cannot be made: Invalid string length']],
  );
});

test('a bug of ours is nobody’s row: it escapes, to end the thread and not the list', () => {
  const { work, noted } = openWork(() => {
    throw new TypeError('bug');
  });
  const extensions = parseExtensions([], false);
  work.take(extensions);
  assert.throws(() => work.take(extensions), /bug/);
  assert.deepEqual(noted, []);
});

test('a slot is held until the message is settled, and a row that is not sent gives it back', () => {
  const table = new LimitTable();
  const slot = table.put({ kind: 'concurrent', name: 'lane', count: 1 });
  const { work, noted } = openWork(
    () => {
      throw new RangeError('too long');
    },
    { memory: table.memory, limits: [slot], slots: [slot] },
  );
  const extensions = parseExtensions([], false);
  const first = work.take(extensions);
  assert.ok(first !== undefined && 'row' in first);
  const second = work.take(extensions);
  assert.ok(second !== undefined && 'kind' in second && second.kind === 'wait');
  work.settle({ transaction: first, kind: 'accepted', verdict: judgeReply('end', makeReply(250, 'ok')) });
  // Row 2 cannot be made: were its slot not given back, row 3 would never go.
  const third = work.take(extensions);
  assert.ok(third !== undefined && 'row' in third && third.row === 3);
  assert.deepEqual(
    noted.map(({ row, kind }) => [row, kind]),
    [
      [1, 'accepted'],
      [2, 'invalid'],
    ],
  );
});

test('a lane whose limit binds does not hold up another, and within a lane the oldest batch is finished first', () => {
  const table = new LimitTable();
  const held = table.put({ kind: 'rate', name: 'held', rate: { count: 1, perMs: 3_600_000 } });
  const { work, addBatch } = openWork(neverFails, { memory: table.memory, limits: [held], slots: [] }, [1]);
  addBatch([], [11, 12]);
  addBatch([held], [3]);
  addBatch([], [13]);
  const extensions = parseExtensions([], false);
  const rows = Array.from({ length: 5 }, () => work.take(extensions)).map((one) =>
    one !== undefined && 'row' in one ? one.row : one?.kind,
  );
  assert.deepEqual(rows, [1, 11, 12, 13, 'wait']);
});

test('where no limit binds, campaigns have turns of a few messages, in their shares', () => {
  const { work, addBatch } = openWork(neverFails, undefined, upTo(101, 200));
  addBatch([], upTo(1001, 200), 2, 3);
  const extensions = parseExtensions([], false);
  const campaigns = Array.from({ length: 160 }, () => {
    const one = work.take(extensions);
    assert.ok(one !== undefined && 'row' in one);
    return one.row > 1000 ? 2 : 1;
  });
  const turns = campaigns.join('').match(/1+|2+/g) ?? [];
  assert.ok(Math.max(...turns.map(({ length }) => length)) <= 32, turns.join(' '));
  const second = campaigns.filter((one) => one === 2).length;
  assert.ok(second >= 112 && second <= 128, `${second} of 160 where three of four are asked for`);
});

test('a flow whose rows are called back in the middle of its turn is left, and the next one goes', () => {
  const { work, noted, addBatch } = openWork(neverFails, undefined, upTo(101, 10));
  addBatch([], upTo(1001, 2), 2);
  const extensions = parseExtensions([], false);
  const rowOf = (one: ReturnType<typeof work.take>) =>
    one !== undefined && 'row' in one ? one.row : one?.kind;
  assert.deepEqual([rowOf(work.take(extensions)), rowOf(work.take(extensions))], [101, 102]);
  work.giveBackSome(({ campaignId }) => campaignId === 1, judgeLocally('stopped', 'called back'));
  assert.equal(noted.length, 8);
  assert.deepEqual(
    upTo(1, 3).map(() => rowOf(work.take(extensions))),
    [1001, 1002, undefined],
  );
  addBatch([], [11, 12]);
  assert.deepEqual([rowOf(work.take(extensions)), rowOf(work.take(extensions))], [11, 12]);
});

test('what limits hold for longer than it may wait comes back, says for how long, and no permit is taken for it', () => {
  const table = new LimitTable();
  const hourly = table.put({ kind: 'rate', name: 'hourly', rate: { count: 1, perMs: 3_600_000 } });
  const often = table.put({ kind: 'rate', name: 'often', rate: { count: 1, perMs: 10_000 } });
  const { work, noted, reports, addBatch } = openWork(
    neverFails,
    { memory: table.memory, limits: [hourly], slots: [] },
    [101, 102],
  );
  addBatch([often], [201, 202]);
  const extensions = parseExtensions([], false);
  const rows = upTo(0, 3)
    .map(() => work.take(extensions))
    .map((one) => (one !== undefined && 'row' in one ? one.row : one?.kind));
  assert.deepEqual(rows, [101, 201, 'wait']);
  work.giveBackLate(Infinity, 60_000);
  // Those with an hour to wait, for the batches here may wait for half a minute.
  assert.deepEqual(
    noted.map(({ row, kind }) => [row, kind]),
    [[102, 'unsent']],
  );
  work.giveBackLate(1000, 60_000);
  assert.deepEqual(
    noted.map(({ row }) => row),
    [102, 202],
  );
  assert.equal(work.backlog, 0);
  assert.deepEqual(reports, [], 'two are under way yet');
  work.take(extensions);
  assert.deepEqual(attachLimiter(table.memory).granted(often), 1);
});

test('batches that are here for too long come back, whatever they wait for', () => {
  const { work, noted } = openWork(neverFails, undefined, [101, 102, 103]);
  work.take(parseExtensions([], false));
  work.giveBackLate(Infinity, 60_000);
  assert.equal(noted.length, 0);
  work.giveBackLate(Infinity, -1);
  assert.deepEqual(
    noted.map(({ row, kind }) => [row, kind]),
    [
      [102, 'unsent'],
      [103, 'unsent'],
    ],
  );
});

function upTo(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
