import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextAttemptAt, relayBackOffMs, type RetryPolicy } from '../../src/schedule/retry.ts';

const policy: RetryPolicy = {
  firstDelayMs: 1000,
  factor: 2,
  maxDelayMs: 5000,
  giveUpAfterMs: 20_000,
  jitter: 0.2,
};
const middle = (): number => 0.5;

test('delays grow by the factor up to the longest', () => {
  const delays = [1, 2, 3, 4, 5].map((attempt) => nextAttemptAt(policy, attempt, 0, 0, middle));
  assert.deepEqual(delays, [1000, 2000, 4000, 5000, 5000]);
});

test('jitter spreads a delay to both sides', () => {
  assert.equal(
    nextAttemptAt(policy, 1, 0, 0, () => 0),
    800,
  );
  assert.equal(
    nextAttemptAt(policy, 1, 0, 0, () => 0.999_999),
    1200,
  );
});

test('an attempt that would be too late is not made', () => {
  assert.equal(nextAttemptAt(policy, 1, 0, 19_000, middle), 20_000);
  assert.equal(nextAttemptAt(policy, 1, 0, 19_001, middle), undefined);
});

test('a relay that fails is left alone for longer each time, up to a minute', () => {
  assert.deepEqual([1, 2, 3, 7, 50].map(relayBackOffMs), [1000, 2000, 4000, 60_000, 60_000]);
});
