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
import type { BatchTask } from '../../src/worker/contract.ts';
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
const unlimited: Needs = { memory: createLimiter([]), limits: [], slots: [] };

interface Needs {
  readonly memory: LimiterMemory;
  readonly limits: readonly number[];
  readonly slots: readonly number[];
  readonly bytes?: BatchTask['bytes'];
  readonly composer?: Composer;
  /** Of the clock, which the test moves. */
  readonly time?: { ms: number };
}

/** Work with one batch of `rows` in it, which needs permits of `limits`. */
function openWork(
  fails: () => never,
  { memory, limits, slots, bytes = [], composer = composerThat(fails), time = { ms: 0 } }: Needs = unlimited,
  rows: readonly number[] = [1, 2, 3],
) {
  const { campaign } = planOf([], {});
  const clock = { now: () => time.ms, monotonic: () => time.ms };
  const compiled = () => ({
    envelope: makeEnvelope(campaign),
    composer,
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
      bytes,
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
  work.giveBackLate(patience);
  // Those with an hour to wait, for the batches here may wait for half a minute.
  assert.deepEqual(
    noted.map(({ row, kind }) => [row, kind]),
    [[102, 'unsent']],
  );
  work.giveBackLate({ ...patience, waitMs: 1000 });
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
  work.giveBackLate(patience);
  assert.equal(noted.length, 0);
  work.giveBackLate({ ...patience, ageMs: -1, most: 0 });
  assert.equal(noted.length, 0);
  assert.equal(work.giveBackLate({ ...patience, ageMs: -1 }), 1);
  assert.deepEqual(
    noted.map(({ row, kind }) => [row, kind]),
    [
      [102, 'unsent'],
      [103, 'unsent'],
    ],
  );
});

const patience = { waitMs: Infinity, ageMs: 60_000, most: Infinity };

function upTo(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
/** Work whose messages have the sizes of their rows, under a limit of 1,000 bytes a second. */
function openWeighed(sizes: readonly number[], burst = 1000, perMs = 1000) {
  const table = new LimitTable();
  const handle = table.put({ kind: 'bytes', name: 'box', rate: { count: 1000, perMs }, burst });
  const time = { ms: 1000 };
  const composed: number[] = [];
  const composer: Composer = {
    compose({ row }) {
      composed.push(row);
      const sizeBytes = sizes[row] ?? 0;
      if (sizeBytes === 0) return { kind: 'invalid', reason: 'no address' };
      return {
        kind: 'message',
        message: 'x'.repeat(sizeBytes),
        messageId: `${row}@b.example`,
        isUtf8: false,
      };
    },
  };
  const needs = {
    memory: table.memory,
    limits: [handle],
    slots: [],
    bytes: [{ limit: handle, text: 'relay box bytes 1kB/s' }],
    composer,
    time,
  };
  const opened = openWork(neverFails, needs, [...sizes.keys()]);
  const extensions = parseExtensions([], false);
  const take = () => {
    const one = opened.work.take(extensions);
    return one !== undefined && 'row' in one ? one.row : one?.delayMs;
  };
  const limiter = attachLimiter(table.memory, 99);
  return { ...opened, take, time, composed, granted: () => limiter.granted(handle), limiter, handle };
}

test('a message waits for its bytes and is composed once', () => {
  const { take, time, composed, granted } = openWeighed([400, 400, 400]);
  assert.deepEqual([take(), take()], [0, 1]);
  const waitMs = take();
  assert.ok(waitMs !== undefined && waitMs > 1000 && waitMs < 1010, `${waitMs}`);
  assert.deepEqual(composed, [0, 1, 2]);
  assert.equal(granted(), 800);
  time.ms += waitMs;
  assert.equal(take(), 2);
  assert.deepEqual(composed, [0, 1, 2]);
});

test('while the pace of bytes lets nobody go, nothing is composed', () => {
  const { take, composed } = openWeighed([400, 400], 1);
  assert.equal(take(), 0);
  assert.ok((take() ?? 0) > 300);
  assert.deepEqual(composed, [0]);
});

test('called back while its message waits for bytes, nobody is lost, nothing is charged, and the journal hears of no start', () => {
  const { work, take, time, granted, noted } = openWeighed([800, 800, 100]);
  assert.equal(take(), 0);
  assert.ok((take() ?? 0) > 900);
  work.giveBackSome(() => true, judgeLocally('stopped', 'paused'));
  assert.deepEqual(
    noted.map(({ row, kind }) => [row, kind]),
    [
      [1, 'unsent'],
      [2, 'unsent'],
    ],
  );
  assert.equal(granted(), 800);
  time.ms += 2000;
  assert.equal(take(), undefined);
  assert.equal(granted(), 800);
});

test('a message that is more than the limit ever grants is rejected with the limit’s name, and those behind it go', () => {
  const { take, noted, granted } = openWeighed([1001, 300, 2000]);
  assert.equal(take(), 1);
  assert.equal(take(), undefined);
  assert.deepEqual(
    noted.map(({ row, kind, verdict }) => [row, kind, verdict.code, verdict.text]),
    [
      [
        0,
        'rejected',
        'message-over-limit',
        'the message has 1001 bytes, more than "relay box bytes 1kB/s" ever grants',
      ],
      [
        2,
        'rejected',
        'message-over-limit',
        'the message has 2000 bytes, more than "relay box bytes 1kB/s" ever grants',
      ],
    ],
  );
  assert.equal(granted(), 300);
});

test('where bytes are limited, rows of which no message can be made take none', () => {
  const { take, noted, granted } = openWeighed([0, 100, 0]);
  assert.equal(take(), 1);
  assert.equal(take(), undefined);
  assert.deepEqual(
    noted.map(({ row, kind }) => [row, kind]),
    [
      [0, 'invalid'],
      [2, 'invalid'],
    ],
  );
  assert.equal(granted(), 100);
});

test('a message that the relay will not take gives its bytes back', () => {
  const { work, take, limiter, handle, noted } = openWeighed([900, 100]);
  const small = parseExtensions(['SIZE 500'], false);
  assert.ok(work.take(small) !== undefined);
  assert.deepEqual(
    noted.map(({ row, verdict }) => [row, verdict.code]),
    [[0, 'message-oversize']],
  );
  assert.equal(take(), undefined);
  assert.equal(limiter.take([handle], 1000, 900), undefined);
});

test('a message that has waited for a minute is composed anew, for it tells when it was made', () => {
  const { take, time, composed } = openWeighed([800, 800], 1000, 3_600_000);
  assert.equal(take(), 0);
  const waitMs = take() ?? 0;
  assert.ok(waitMs > 3_600_000);
  time.ms += waitMs;
  assert.equal(take(), 1);
  assert.deepEqual(composed, [0, 1, 1]);
});

test('a new session is granted by its limits, and by none where there are none', () => {
  const table = new LimitTable();
  const handle = table.put({ kind: 'rate', name: 'opening', rate: { count: 10, perMs: 1000 } });
  const time = { ms: 1000 };
  const { work } = openWork(neverFails, { memory: table.memory, limits: [], slots: [], time });
  assert.deepEqual([work.takeOpening(0), work.takeOpening(1)], [undefined, undefined]);
  work.limitOpening([handle]);
  assert.equal(work.takeOpening(0), undefined);
  assert.deepEqual(work.takeOpening(0), { kind: 'wait', delayMs: 101 });
  // Whoever has one leaves the next to a thread that has none.
  assert.deepEqual(work.takeOpening(1), { kind: 'wait', delayMs: 500 });
  time.ms += 500;
  assert.equal(work.takeOpening(1), undefined);
  const wait = work.takeOpening(1);
  assert.ok(wait !== undefined && wait.delayMs > 101, `${wait?.delayMs}`);
});
