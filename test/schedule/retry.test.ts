import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { groupByDue } from '../../src/schedule/due_groups.ts';
import { endOfWait, planWait, relayBackOffMs, type RetryPolicy } from '../../src/schedule/retry.ts';

const policy: RetryPolicy = {
  firstDelayMs: 1000,
  factor: 2,
  maxDelayMs: 5000,
  giveUpAfterMs: 20_000,
  jitter: 0.2,
  byCategory: {
    greylisted: { firstDelayMs: 100 },
    'mailbox-full': { firstDelayMs: 4000, giveUpAfterMs: 90_000 },
  },
};
const middle = (): number => 0.5;

function delayOf(attempt: number, namedDelayMs?: number): number {
  return planWait(policy, { attempt, category: 'unclassified', namedDelayMs }).delayMs;
}

test('delays grow by the factor up to the longest', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((attempt) => delayOf(attempt)),
    [1000, 2000, 4000, 5000, 5000],
  );
});

function planAttempts(category: 'greylisted' | 'mailbox-full') {
  return [1, 2, 9].map((attempt) => planWait(policy, { attempt, category }));
}

test('a category has its own delays, and the rest of the policy', () => {
  assert.deepEqual(
    planAttempts('greylisted').map(({ delayMs, giveUpAfterMs }) => [delayMs, giveUpAfterMs]),
    [
      [100, 20_000],
      [200, 20_000],
      [5000, 20_000],
    ],
  );
  assert.deepEqual(
    planAttempts('mailbox-full').map(({ delayMs, giveUpAfterMs }) => [delayMs, giveUpAfterMs]),
    [
      [4000, 90_000],
      [5000, 90_000],
      [5000, 90_000],
    ],
  );
});

test('jitter spreads a delay to both sides, and a named one only backwards', () => {
  const times = { now: 0, firstAttemptAt: 0 };
  const wait = { delayMs: 1000, isNamed: false, giveUpAfterMs: 20_000 };
  const ends = (isNamed: boolean) =>
    [0, 0.5, 0.999_999].map((drawn) => endOfWait({ ...wait, isNamed }, 0.2, times, () => drawn));
  assert.deepEqual(ends(false), [800, 1000, 1200]);
  assert.deepEqual(ends(true), [1000, 1100, 1200]);
});

test('a named delay is kept, but for the longest delay', () => {
  assert.equal(delayOf(1, 3000), 3000);
  assert.equal(delayOf(1, 3_600_000), 5000);
});

test('a server that names a short delay each time is believed less each time', () => {
  assert.deepEqual(
    [1, 2, 3, 4].map((attempt) => delayOf(attempt, 10)),
    [1000, 2000, 4000, 5000],
  );
});

test('an attempt that would be too late after the first one is not made', () => {
  const wait = { delayMs: 1000, isNamed: false, giveUpAfterMs: 20_000 };
  const ends = (now: number) => endOfWait(wait, 0, { now, firstAttemptAt: 500 }, middle);
  assert.equal(ends(19_500), 20_500);
  assert.equal(ends(19_501), undefined);
});

test('an attempt at the deadline or later is not made', () => {
  const wait = { delayMs: 1000, isNamed: false, giveUpAfterMs: 20_000 };
  const ends = (deadlineAt: number) => endOfWait(wait, 0, { now: 0, firstAttemptAt: 0, deadlineAt }, middle);
  assert.equal(ends(1001), 1000);
  assert.equal(ends(1000), undefined);
});

function waitOf(delayMs: number, isNamed = true) {
  return { delayMs, isNamed, giveUpAfterMs: 1e9 };
}

test('rows with like waits go on together, at the end of the longest', () => {
  const waits = new Map([
    [1, waitOf(300_000)],
    [2, waitOf(301_000)],
    [3, waitOf(14_400_000, false)],
    [4, waitOf(299_000)],
  ]);
  assert.deepEqual(groupByDue(waits, 0, { now: 0, firstAttemptAt: 0 }, middle), [
    { dueAt: 301_000, rows: [1, 2, 4] },
    { dueAt: 14_400_000, rows: [3] },
  ]);
});

test('whatever delays are named, each row is in one group, no sooner than asked and at most half as late again', () => {
  const delays = fc.array(fc.integer({ min: 1000, max: 2_592_000_000 }), { minLength: 1, maxLength: 250 });
  fc.assert(
    fc.property(delays, (list) => {
      const waits = new Map(
        list.map((delayMs, row) => [row, { delayMs, isNamed: true, giveUpAfterMs: 1e12 }] as const),
      );
      const groups = groupByDue(waits, 0, { now: 7, firstAttemptAt: 7 }, Math.random);
      assert.deepEqual(
        groups.flatMap(({ rows }) => rows).sort((a, b) => a - b),
        list.map((_, row) => row),
      );
      assert.ok(groups.length <= 37);
      for (const { rows, dueAt = 0 } of groups)
        for (const row of rows) {
          const asked = waits.get(row)?.delayMs ?? 0;
          assert.ok(dueAt - 7 >= asked && dueAt - 7 <= asked * 1.5 + 1, `${asked} became ${dueAt - 7}`);
        }
    }),
  );
});

test('a relay that fails is left alone for longer each time, up to a minute', () => {
  assert.deepEqual([1, 2, 3, 7, 50].map(relayBackOffMs), [1000, 2000, 4000, 60_000, 60_000]);
});
