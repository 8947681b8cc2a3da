import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CampaignDesk } from '../../src/dispatch/campaign_desk.ts';
import { CampaignDesks } from '../../src/dispatch/campaign_desks.ts';
import { unguarded } from './played_threads.ts';

function deskOf(id: number): CampaignDesk {
  return new CampaignDesk({
    id,
    name: `c${id}`,
    frame: () => assert.fail('nothing is sent'),
    time: { windows: [], zone: 'UTC' },
    retry: { firstDelayMs: 1, factor: 1, maxDelayMs: 1, giveUpAfterMs: 1, jitter: 0 },
    inDoubt: 'resend',
    guard: unguarded.guard,
    relays: [],
    weight: 1,
    ended: () => {},
  });
}

/** A thousand desks that were all seen at 1000, with room at one of two relays. */
function openDesks(): { desks: CampaignDesks; all: CampaignDesk[] } {
  const desks = new CampaignDesks();
  const all = Array.from({ length: 1000 }, (_, id) => deskOf(id));
  for (const desk of all) desks.add(desk);
  assert.equal(desks.takeUnseen(1000, '10').desks.length, 1000);
  return { desks, all };
}

test('of a thousand desks only those are looked at to which something has come, each once', () => {
  const { desks, all } = openDesks();
  const [first, second] = [all[7], all[9]];
  assert.ok(first !== undefined && second !== undefined);
  desks.touch(first);
  desks.touch(first);
  desks.touch(second);
  assert.deepEqual(
    desks.takeUnseen(1001, '10').desks.map(({ desk, isTouched }) => [desk.campaign.id, isTouched]),
    [
      [7, true],
      [9, true],
    ],
  );
  assert.deepEqual(desks.takeUnseen(1002, '10').desks, []);
});

test('all are looked at when a relay gets room or loses it, and when room is not known any more', () => {
  const { desks } = openDesks();
  assert.equal(desks.takeUnseen(1001, '11').desks.length, 1000);
  assert.equal(desks.takeUnseen(1001, '11').desks.length, 0);
  assert.equal(desks.takeUnseen(1001, '01').desks.length, 1000);
  desks.forgetRoom();
  assert.equal(desks.takeUnseen(1001, '01').desks.length, 1000);
});

test('all are looked at when the time of one changes, when the clock was set back, and not before', () => {
  const { desks } = openDesks();
  desks.noteChange(5000);
  desks.noteChange(9000);
  assert.equal(desks.changesAt, 5000);
  assert.equal(desks.takeUnseen(4999, '10').desks.length, 0);
  assert.equal(desks.takeUnseen(5000, '10').desks.length, 1000);
  assert.equal(desks.changesAt, Infinity);
  assert.equal(desks.takeUnseen(4000, '10').desks.length, 1000);
});

test('those that have ended are not looked at, and are there until they are removed', () => {
  const { desks, all } = openDesks();
  const [first] = all;
  assert.ok(first !== undefined);
  assert.ok(desks.decide(first, { kind: 'stopped' }));
  assert.ok(!desks.decide(first, { kind: 'finished' }), 'the first reason stands');
  desks.touch(first);
  assert.deepEqual(desks.takeUnseen(1001, '10').desks, []);
  assert.equal(desks.takeUnseen(1001, '11').desks.length, 999);
  assert.deepEqual([...desks.ended()], [first]);
  desks.remove(first);
  assert.deepEqual([[...desks.ended()], desks.size, desks.get(0)], [[], 999, undefined]);
});
