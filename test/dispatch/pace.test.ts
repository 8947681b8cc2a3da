// Scenarios of days in moments: when recipients are tried again, and when a campaign may send.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeReply, type Verdict } from '../../src/mail/verdict.ts';
import {
  accepted,
  always,
  beginning,
  hour,
  makeWorld,
  minute,
  refused,
  run,
  second,
  unclear,
  type Attempt,
} from './world.ts';

test('greylisting: the delay that the server names is kept, and the second attempt is taken', async (context) => {
  const world = await makeWorld(context, 3);
  const greylisted = judgeReply('rcpt', makeReply(450, '4.2.0 Greylisted for 300 seconds'));
  const answer = ({ attempt, at }: Attempt): Verdict =>
    attempt > 1 && at >= 300 * second ? accepted : greylisted;
  assert.equal((await run(world, { answer })).tally.accepted, 3);
  assert.deepEqual(
    world.attempts.filter(({ row }) => row === 1).map(({ at }) => at),
    [0, 300 * second],
  );
});

test('greylisting that names no delay is tried again after a minute, beside a full mailbox that waits for hours', async (context) => {
  const world = await makeWorld(context, 2);
  const greylisted = judgeReply('rcpt', makeReply(450, '4.2.0 Greylisted'));
  const full = judgeReply('rcpt', makeReply(452, '4.2.2 mailbox full'));
  const answer = ({ row, attempt }: Attempt): Verdict =>
    attempt > 1 ? accepted : row === 1 ? greylisted : full;
  assert.equal((await run(world, { answer })).tally.accepted, 2);
  assert.deepEqual(
    world.attempts.filter(({ attempt }) => attempt === 2).map(({ row, at }) => [row, at]),
    [
      [1, minute],
      [2, 4 * hour],
    ],
  );
});

function putOffSome({ row, attempt }: Attempt): Verdict {
  return row % 10 < 3 && (attempt === 1 || (attempt === 2 && row % 100 < 9)) ? unclear : accepted;
}

test('30 % 4xx over three attempts, with a restart in between: everybody has one fate, and nobody an attempt too many', async (context) => {
  const world = await makeWorld(context, 1000);
  // Of the 300 who are put off, 90 are put off a second time.
  const first = await run(world, { answer: putOffSome, stopAt: beginning + 3 * minute });
  assert.equal(first.end, 'stopped');
  const second = await run(world, { answer: putOffSome, stopAt: beginning + 10 * minute });
  assert.equal(second.end, 'stopped');
  const { end, tally } = await run(world, { answer: putOffSome });
  assert.deepEqual([end, tally.accepted], ['finished', 1000]);
  for (let row = 1; row <= 1000; row += 1) {
    const own = world.attempts.filter((one) => one.row === row);
    assert.deepEqual(
      own.map(({ attempt }) => attempt),
      Array.from({ length: own.length }, (_, index) => index + 1),
    );
    const expected = row % 10 >= 3 ? 1 : row % 100 < 9 ? 3 : 2;
    assert.equal(own.length, expected, `row ${row}`);
  }
});

test('the last row of a campaign that takes a week is given as much time as the first', async (context) => {
  const world = await makeWorld(context, 8, 1);
  const { tally } = await run(world, { answer: () => unclear, batchMs: 21 * hour });
  assert.equal(tally.expired, 8);
  for (let row = 1; row <= 8; row += 1)
    assert.ok(world.attempts.filter((one) => one.row === row).length > 1, `row ${row} had one attempt`);
});

test('a relay that is down for a week, once it has been seen, costs nobody an attempt or a fate', async (context) => {
  const world = await makeWorld(context, 20, 10);
  const answer = ({ row, at }: Attempt): Verdict => {
    if (row <= 10 || at >= 7 * 24 * hour) return accepted;
    // Each try takes long here, so that a week has 168 of them.
    world.now += hour;
    return refused;
  };
  const { tally } = await run(world, { answer });
  assert.equal(tally.accepted, 20);
  assert.ok(world.attempts.every(({ attempt }) => attempt === 1));
});

test('nothing is sent before the start, and that it waits is said once', async (context) => {
  const world = await makeWorld(context, 5);
  const time = { ...always, startAt: beginning + 3 * hour };
  assert.equal((await run(world, { answer: () => accepted, time })).tally.accepted, 5);
  assert.deepEqual([...new Set(world.attempts.map(({ at }) => at))], [3 * hour]);
  assert.deepEqual(
    world.events.filter(({ kind }) => kind === 'campaignWaits'),
    [{ kind: 'campaignWaits', campaign: 'c', untilAt: beginning + 3 * hour }],
  );
});

test('at the deadline whoever waits expires, tried or not, whenever they were due', async (context) => {
  const world = await makeWorld(context, 30, 10);
  const time = { ...always, deadlineAt: beginning + 100 * minute };
  // Two batches come to an attempt before the deadline; the third does not.
  const { end, tally } = await run(world, { answer: () => unclear, time, batchMs: 55 * minute });
  assert.deepEqual([end, tally.expired], ['finished', 30]);
  assert.ok(world.attempts.every(({ at }) => at < 100 * minute));
  const tried = new Set(world.attempts.map(({ row }) => row));
  assert.ok(tried.size < 30);
  assert.ok(world.events.some(({ kind }) => kind === 'rowsEnded'));
});

test('where no window comes before the deadline, the rest expires when the last one closes', async (context) => {
  const world = await makeWorld(context, 30, 10);
  const windows = [{ weekdays: [0, 1, 2, 3, 4, 5, 6], fromMinute: 9 * 60, toMinute: 13 * 60 }];
  const time = { windows, zone: 'UTC', deadlineAt: beginning + 6 * hour };
  const full = judgeReply('rcpt', makeReply(452, '4.2.2 mailbox full'));
  const answer = ({ row }: Attempt): Verdict => (row === 1 ? full : accepted);
  const { end, tally } = await run(world, { answer, time, batchMs: 40 * minute });
  assert.deepEqual([end, tally.accepted, tally.expired], ['finished', 19, 11]);
  // And not when row 1 would have been due, before the deadline.
  assert.ok(world.now < beginning + 3 * hour);
});

test('a campaign that is done when its window closes ends then, and not when it opens again', async (context) => {
  const world = await makeWorld(context, 5);
  const windows = [{ weekdays: [0, 1, 2, 3, 4, 5, 6], fromMinute: 9 * 60, toMinute: 13 * 60 }];
  assert.equal(
    (await run(world, { answer: () => accepted, time: { windows, zone: 'UTC' }, batchMs: 2 * hour })).end,
    'finished',
  );
  assert.ok(world.now < beginning + 3 * hour);
});

test('DST: a window of 02:00 to 04:00 in Berlin has an hour on the night of the change, two on the others', async (context) => {
  const world = await makeWorld(context, 50, 1);
  const time = {
    windows: [{ weekdays: [0, 1, 2, 3, 4, 5, 6], fromMinute: 120, toMinute: 240 }],
    zone: 'Europe/Berlin',
  };
  assert.equal((await run(world, { answer: () => accepted, time, batchMs: 5 * minute })).tally.accepted, 50);
  const byNight = new Map<string, number>();
  for (const { at } of world.attempts) {
    const night = new Date(beginning + at).toISOString().slice(0, 10);
    byNight.set(night, (byNight.get(night) ?? 0) + 1);
  }
  // 28 March: 01:00 to 03:00 UTC. 29 March: the clocks jump from 02:00 to 03:00 at 01:00 UTC.
  assert.deepEqual(
    [...byNight],
    [
      ['2026-03-28', 24],
      ['2026-03-29', 12],
      ['2026-03-30', 14],
    ],
  );
});
