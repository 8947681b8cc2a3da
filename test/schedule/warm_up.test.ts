import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leftToday, warmUpToday, type WarmUpPlan } from '../../src/schedule/warm_up.ts';

/** Three days, the second of which is the one in Berlin with 23 hours. */
const plan: WarmUpPlan = {
  firstDay: Date.parse('2026-03-28T00:00:00Z'),
  zone: 'Europe/Berlin',
  steps: [
    { day: 1, volume: 50 },
    { day: 2, volume: 100 },
    { day: 3, volume: 500 },
  ],
  endDay: 4,
};

function today(text: string) {
  const { day, volume, untilAt } = warmUpToday(plan, Date.parse(text));
  return [day, volume, new Date(untilAt).toISOString()];
}

test('each day has its volume, by the dates of its zone', () => {
  assert.deepEqual(today('2026-03-27T22:59:59Z'), [0, 0, '2026-03-27T23:00:00.000Z']);
  assert.deepEqual(today('2026-03-27T23:00:00Z'), [1, 50, '2026-03-28T23:00:00.000Z']);
  assert.deepEqual(today('2026-03-28T23:00:00Z'), [2, 100, '2026-03-29T22:00:00.000Z']);
  assert.deepEqual(today('2026-03-29T22:00:00Z'), [3, 500, '2026-03-30T22:00:00.000Z']);
  assert.deepEqual(today('2026-03-30T22:00:00Z'), [4, Infinity, '2026-03-31T22:00:00.000Z']);
});

test('a day without a step of its own has that of the one before', () => {
  const sparse = {
    ...plan,
    steps: [
      { day: 1, volume: 50 },
      { day: 10, volume: 900 },
    ],
    endDay: 20,
  };
  const volumes = [1, 9, 10, 19, 20].map(
    (day) => warmUpToday(sparse, plan.firstDay + (day - 1) * 86_400_000 + 43_200_000).volume,
  );
  assert.deepEqual(volumes, [50, 50, 900, 900, Infinity]);
});

test('three days of a list of 1,000: no day holds more than its volume, and all are sent on the fourth', () => {
  let now = Date.parse('2026-03-28T09:00:00Z');
  let [left, sentToday, day] = [1000, 0, 0];
  const sent: number[] = [];
  while (left > 0) {
    const current = warmUpToday(plan, now);
    if (current.day !== day) [day, sentToday] = [current.day, 0];
    const count = Math.min(40, left, leftToday(plan, now, sentToday));
    left -= count;
    sentToday += count;
    sent[day - 1] = sentToday;
    now = count === 0 ? current.untilAt : now + 1000;
  }
  assert.deepEqual(sent, [50, 100, 500, 350]);
});
