// Holds the picker to its shares, and to never letting one lane delay another.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Heap } from '../../src/base/heap.ts';
import { Picker, type Pick } from '../../src/schedule/picker.ts';

/** Picks until nothing may go, each batch coming back at once. */
function pickAll(picker: Picker, now: number, most = Infinity): Pick[] {
  const picks: Pick[] = [];
  while (picks.length < most) {
    const pick = picker.next(now);
    if (pick === undefined) break;
    picker.noteReturned(pick.lane);
    picks.push(pick);
  }
  return picks;
}

function addMany(picker: Picker, campaign: number, lane: string, batches: number, recipients = 100): void {
  for (let index = 0; index < batches; index += 1) picker.add(campaign, lane, recipients);
}

function countBy<T>(picks: readonly Pick[], key: (pick: Pick) => T): Map<T, number> {
  const counts = new Map<T, number>();
  for (const pick of picks) counts.set(key(pick), (counts.get(key(pick)) ?? 0) + 1);
  return counts;
}

test('campaigns get recipients in proportion to their weights', () => {
  const picker = new Picker();
  for (const [id, weight] of [
    [1, 1],
    [2, 2],
    [3, 5],
  ] as const) {
    picker.setCampaign(id, weight);
    addMany(picker, id, 'a', 1000);
  }
  const counts = countBy(pickAll(picker, 0, 800), ({ campaign }) => campaign);
  assert.deepEqual(
    [1, 2, 3].map((id) => counts.get(id)),
    [100, 200, 500],
  );
});

test('shares are of recipients: small batches come more often', () => {
  const picker = new Picker();
  picker.setCampaign(1, 1);
  picker.setCampaign(2, 1);
  addMany(picker, 1, 'a', 1000, 250);
  addMany(picker, 2, 'a', 1000, 50);
  const counts = countBy(pickAll(picker, 0, 600), ({ campaign }) => campaign);
  assert.deepEqual([counts.get(1), counts.get(2)], [100, 500]);
});

test('a weight counts from the next batch on', () => {
  const picker = new Picker();
  picker.setCampaign(1, 1);
  picker.setCampaign(2, 1);
  addMany(picker, 1, 'a', 1000);
  addMany(picker, 2, 'a', 1000);
  pickAll(picker, 0, 100);
  picker.setCampaign(1, 3);
  const counts = countBy(pickAll(picker, 0, 400), ({ campaign }) => campaign);
  assert.ok(Math.abs((counts.get(1) ?? 0) - 300) <= 1);
});

test('time in which a campaign had nothing to send is no credit', () => {
  const picker = new Picker();
  picker.setCampaign(1, 1);
  picker.setCampaign(2, 1);
  addMany(picker, 1, 'a', 2000);
  pickAll(picker, 0, 1000);
  addMany(picker, 2, 'a', 1000);
  const counts = countBy(pickAll(picker, 0, 100), ({ campaign }) => campaign);
  assert.deepEqual([counts.get(1), counts.get(2)], [50, 50]);
});

test('what was picked and given back is no part of a share', () => {
  const picker = new Picker();
  picker.setCampaign(1, 2);
  picker.setCampaign(2, 1);
  for (let index = 0; index < 500; index += 1) {
    picker.add(1, 'a', 100);
    assert.deepEqual(pickAll(picker, 0, 1), [{ campaign: 1, lane: 'a' }]);
    picker.refund(1, 100);
  }
  addMany(picker, 1, 'a', 100);
  addMany(picker, 2, 'a', 100);
  const counts = countBy(pickAll(picker, 0, 90), ({ campaign }) => campaign);
  assert.deepEqual([counts.get(1), counts.get(2)], [60, 30]);
});

test('a lane that is blocked delays no other, and goes on when its time has come', () => {
  const picker = new Picker();
  for (const id of [1, 2]) {
    picker.setCampaign(id, 1);
    addMany(picker, id, 'slow', 5);
    addMany(picker, id, 'free', 5);
  }
  picker.setLane('slow', { blockedUntil: 1000 });
  assert.deepEqual([...countBy(pickAll(picker, 0), ({ lane }) => lane)], [['free', 10]]);
  assert.equal(picker.next(999), undefined);
  assert.equal(picker.nextAt(), 1000);
  assert.deepEqual([...countBy(pickAll(picker, 1000), ({ lane }) => lane)], [['slow', 10]]);
});

test('a lane whose stop is made longer or shorter meanwhile goes on at the last time that was said', () => {
  const picker = new Picker();
  picker.setCampaign(1, 1);
  addMany(picker, 1, 'a', 1);
  picker.setLane('a', { blockedUntil: 1000 });
  assert.equal(picker.next(0), undefined);
  picker.setLane('a', { blockedUntil: 3000 });
  assert.equal(picker.next(2000), undefined);
  picker.setLane('a', { blockedUntil: 2500 });
  assert.deepEqual(picker.next(2500), { campaign: 1, lane: 'a' });
});

test('a lane with enough batches in hand waits for one of them, and leaves the room to others', () => {
  const picker = new Picker();
  picker.setCampaign(1, 1);
  addMany(picker, 1, 'slow', 10);
  addMany(picker, 1, 'free', 3);
  picker.setLane('slow', { mostInHand: 2 });
  const lanes = Array.from({ length: 6 }, () => picker.next(0)?.lane ?? 'none');
  assert.deepEqual(
    lanes.toSorted((a, b) => a.localeCompare(b)),
    ['free', 'free', 'free', 'none', 'slow', 'slow'],
  );
  picker.noteReturned('slow');
  assert.deepEqual([picker.next(0)?.lane, picker.next(0)?.lane], ['slow', undefined]);
});

test('a paused campaign waits with all it has; a dropped one is gone', () => {
  const picker = new Picker();
  for (const id of [1, 2, 3]) {
    picker.setCampaign(id, 1);
    addMany(picker, id, 'a', 2);
  }
  picker.setLane('a', { blockedUntil: 10 });
  assert.equal(picker.next(0), undefined);
  picker.pause(1);
  picker.drop(2);
  assert.deepEqual([...countBy(pickAll(picker, 10), ({ campaign }) => campaign)], [[3, 2]]);
  picker.resume(1);
  assert.deepEqual([...countBy(pickAll(picker, 10), ({ campaign }) => campaign)], [[1, 2]]);
});

test('lanes that nobody waits in and nothing is known of are forgotten', () => {
  const picker = new Picker();
  picker.setCampaign(1, 1);
  for (let index = 0; index < 1000; index += 1) picker.add(1, `d${index}.example`, 1);
  picker.setLane('d7.example', { mostInHand: 2 });
  assert.equal(pickAll(picker, 0).length, 1000);
  assert.equal(picker.laneCount, 1);
});

test('whatever happens, every batch of a campaign that is not dropped is picked once, from a lane that may go', () => {
  const lane = fc.constantFrom('a', 'b', 'c');
  const campaign = fc.constantFrom(1, 2, 3);
  const action = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('add' as const),
        campaign,
        lane,
        recipients: fc.integer({ min: 1, max: 300 }),
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('next' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('return' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('block' as const), lane, forMs: fc.nat(50) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('limit' as const),
        lane,
        most: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom('pause' as const, 'resume' as const), campaign }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), forMs: fc.nat(40) }) },
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 150 }), (actions) => {
      const picker = new Picker();
      const waiting = new Map<string, number>();
      const inHand: string[] = [];
      const blocked = new Map<string, number>();
      const most = new Map<string, number>();
      const paused = new Set<number>();
      for (const id of [1, 2, 3]) picker.setCampaign(id, id);
      let now = 0;
      const pickOne = (): boolean => {
        const pick = picker.next(now);
        if (pick === undefined) {
          const missed = [...waiting].filter(([key, count]) => count > 0 && mayGo(key));
          assert.deepEqual(missed, [], 'something could go and was not picked');
          return false;
        }
        const key = `${pick.campaign} ${pick.lane}`;
        assert.ok((waiting.get(key) ?? 0) > 0 && mayGo(key), `${key} was picked`);
        waiting.set(key, (waiting.get(key) ?? 0) - 1);
        inHand.push(pick.lane);
        return true;
      };
      const mayGo = (key: string): boolean => {
        const [id, name = ''] = key.split(' ');
        const held = inHand.filter((one) => one === name).length;
        return (
          !paused.has(Number(id)) && now >= (blocked.get(name) ?? 0) && held < (most.get(name) ?? Infinity)
        );
      };
      for (const one of actions) {
        if (one.kind === 'add') {
          picker.add(one.campaign, one.lane, one.recipients);
          const key = `${one.campaign} ${one.lane}`;
          waiting.set(key, (waiting.get(key) ?? 0) + 1);
        } else if (one.kind === 'next') pickOne();
        else if (one.kind === 'return') {
          const back = inHand.shift();
          if (back !== undefined) picker.noteReturned(back);
        } else if (one.kind === 'block') {
          blocked.set(one.lane, now + one.forMs);
          picker.setLane(one.lane, { blockedUntil: now + one.forMs });
        } else if (one.kind === 'limit') {
          most.set(one.lane, one.most);
          picker.setLane(one.lane, { mostInHand: one.most });
        } else if (one.kind === 'pause') {
          paused.add(one.campaign);
          picker.pause(one.campaign);
        } else if (one.kind === 'resume') {
          paused.delete(one.campaign);
          picker.resume(one.campaign);
        } else if ('forMs' in one) now += one.forMs;
      }
      for (const id of [1, 2, 3]) picker.resume(id);
      paused.clear();
      now += 1000;
      for (;;) {
        for (const back of inHand.splice(0)) picker.noteReturned(back);
        if (!pickOne()) break;
      }
      assert.ok([...waiting.values()].every((count) => count === 0));
    }),
    { numRuns: 300 },
  );
});

test('a heap gives back in order what was put into it, the first of equals first', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (keys) => {
      const heap = new Heap<number>();
      for (const [index, key] of keys.entries()) heap.push(key, index);
      const expected = keys.map((key, index) => [key, index] as const).sort(([a], [b]) => a - b);
      for (const [key, index] of expected) assert.deepEqual([heap.firstKey, heap.pop()], [key, index]);
      assert.equal(heap.pop(), undefined);
    }),
  );
});
