import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { chooseRelay, patienceMs, type RelayCandidate } from '../../src/schedule/relay_choice.ts';

const now = 1_000_000;

function relay(name: string, changed: Partial<RelayCandidate> = {}): RelayCandidate {
  return { name, weight: 1, rank: 0, blockedUntil: 0, isDead: false, ...changed };
}

function batch(firstRow: number, lane = 'other') {
  return { campaignId: 1, lane, firstRow };
}

function choose(relays: readonly RelayCandidate[], batches = 10_000, lane?: string): string[] {
  return Array.from({ length: batches }, (_, row) => {
    const choice = chooseRelay(relays, batch(row * 250 + 1, lane), now);
    return choice.kind === 'relay' ? choice.name : choice.kind;
  });
}

function shareOf(name: string, chosen: readonly string[]): number {
  return chosen.filter((one) => one === name).length / chosen.length;
}

test('batches go by weight', () => {
  const chosen = choose([relay('a', { weight: 1 }), relay('b', { weight: 3 }), relay('c', { weight: 6 })]);
  for (const [name, share] of [
    ['a', 0.1],
    ['b', 0.3],
    ['c', 0.6],
  ] as const)
    assert.ok(Math.abs(shareOf(name, chosen) - share) < 0.02, `${name}: ${shareOf(name, chosen)}`);
});

test('a batch has the same relay each time, whatever the order in which they are named', () => {
  const relays = [relay('a'), relay('b'), relay('c')];
  assert.deepEqual(choose(relays, 500), choose(relays.toReversed(), 500));
});

test('only the batches of a dead relay move on, and they come back when it is well', () => {
  const relays = [relay('a'), relay('b'), relay('c')];
  const before = choose(relays, 3000);
  const after = choose([relay('a'), relay('b', { isDead: true }), relay('c')], 3000);
  for (const [index, name] of before.entries()) {
    if (name === 'b') assert.ok(after[index] === 'a' || after[index] === 'c');
    else assert.equal(after[index], name);
  }
  assert.ok(Math.abs(shareOf('a', after) - 0.5) < 0.05);
  assert.deepEqual(choose(relays, 3000), before);
});

test('a batch waits for its relay where that is free within a minute, and moves on where it is not', () => {
  const soon = chooseRelay([relay('a', { blockedUntil: now + patienceMs })], batch(1), now);
  assert.deepEqual(soon, { kind: 'wait', untilAt: now + patienceMs });
  const [later, free] = [relay('a', { blockedUntil: now + patienceMs + 1 }), relay('b')];
  assert.deepEqual([...new Set(choose([later, free], 100))], ['b']);
  assert.deepEqual(chooseRelay([later], batch(1), now), { kind: 'wait', untilAt: now + patienceMs + 1 });
});

test('failover: a relay of a higher rank is used only while none of the lower can be', () => {
  const spare = relay('spare', { rank: 1 });
  assert.deepEqual([...new Set(choose([relay('main'), spare], 200))], ['main']);
  assert.deepEqual([...new Set(choose([relay('main', { isDead: true }), spare], 200))], ['spare']);
  assert.deepEqual(
    [...new Set(choose([relay('main', { blockedUntil: now + 600_000 }), spare], 200))],
    ['spare'],
  );
  assert.deepEqual([...new Set(choose([relay('main', { blockedUntil: now + 1000 }), spare], 200))], ['wait']);
});

test('a retry goes by the relay that it had, the spare even, unless that one is dead, blocked for long or gone', () => {
  const retry = { ...batch(1), previousRelay: 'spare' };
  const main = relay('main');
  const named = (spare: Partial<RelayCandidate>) =>
    chooseRelay([main, relay('spare', { rank: 1, ...spare })], retry, now);
  assert.deepEqual(named({}), { kind: 'relay', name: 'spare' });
  assert.deepEqual(named({ blockedUntil: now + 1000 }), { kind: 'wait', untilAt: now + 1000 });
  for (const gone of [{ isDead: true }, { blockedUntil: now + 600_000 }, { lanes: ['gmail'] }])
    assert.deepEqual(named(gone), { kind: 'relay', name: 'main' });
  assert.deepEqual(chooseRelay([main], retry, now), { kind: 'relay', name: 'main' });
});

test('weight 0 is for failover within a rank', () => {
  assert.deepEqual([...new Set(choose([relay('a'), relay('b', { weight: 0 })], 500))], ['a']);
  assert.deepEqual(
    [...new Set(choose([relay('a', { isDead: true }), relay('b', { weight: 0 })], 500))],
    ['b'],
  );
});

test('a relay for some lanes takes no other, and a lane that nobody is for has none', () => {
  const gmail = relay('g', { lanes: ['gmail'] });
  assert.deepEqual([...new Set(choose([gmail, relay('a', { rank: 1 })], 200, 'gmail'))], ['g']);
  assert.deepEqual([...new Set(choose([gmail, relay('a', { rank: 1 })], 200, 'yahoo'))], ['a']);
  assert.deepEqual(chooseRelay([gmail], batch(1, 'yahoo'), now), { kind: 'none' });
  assert.deepEqual(chooseRelay([relay('a', { isDead: true })], batch(1), now), { kind: 'none' });
});

test('whatever the relays are, the chosen one is alive, free and for the lane, and nobody waits beside a free one of the same kind', () => {
  const candidate = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    weight: fc.integer({ min: 0, max: 5 }),
    rank: fc.integer({ min: 0, max: 2 }),
    lanes: fc.option(fc.subarray(['x', 'y']), { nil: undefined }),
    blockedUntil: fc.constantFrom(0, now, now + 1000, now + 600_000),
    isDead: fc.boolean(),
  });
  const relays = fc.uniqueArray(candidate, { selector: ({ name }) => name, maxLength: 4 });
  fc.assert(
    fc.property(relays, fc.nat(1000), (list, row) => {
      const choice = chooseRelay(list, batch(row, 'x'), now);
      const usable = list.filter(({ isDead, lanes }) => !isDead && (lanes?.includes('x') ?? true));
      if (choice.kind === 'none') return assert.equal(usable.length, 0);
      if (choice.kind === 'wait') {
        assert.ok(choice.untilAt > now);
        return assert.ok(usable.some(({ blockedUntil }) => blockedUntil === choice.untilAt));
      }
      const chosen = usable.find(({ name }) => name === choice.name) ?? assert.fail('not usable');
      assert.ok(chosen.blockedUntil <= now);
      const better = usable.filter(
        ({ rank, blockedUntil }) => rank < chosen.rank && blockedUntil - now <= patienceMs,
      );
      assert.deepEqual(better, []);
    }),
  );
});
