import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { makeLaneOf, type LaneGroup } from '../../src/schedule/lanes.ts';

const groups: LaneGroup[] = [
  { name: 'mine', domains: ['special.gmail.example', '*.a.example'], mx: [] },
  { name: 'gmail', domains: ['gmail.example', '*.gmail.example'], mx: [] },
  { name: 'deep', domains: ['*.b.a.example'], mx: [] },
];

test('an exact name wins over a pattern, a longer pattern over a shorter one', () => {
  const laneOf = makeLaneOf({ groups, others: 'shared' });
  assert.deepEqual(
    [
      'gmail.example',
      'x.gmail.example',
      'special.gmail.example',
      'x.special.gmail.example',
      'x.a.example',
      'x.b.a.example',
    ].map(laneOf),
    ['gmail', 'gmail', 'mine', 'gmail', 'mine', 'deep'],
  );
});

test('a pattern is for what is below it, not for itself and not for names that only end alike', () => {
  const laneOf = makeLaneOf({ groups, others: 'shared' });
  assert.deepEqual(
    ['a.example', 'xa.example', 'example', '', '.', 'x.a.example.'].map(laneOf),
    Array(6).fill('other'),
  );
});

test('domains of no group share a lane, or have one each', () => {
  assert.equal(makeLaneOf({ groups, others: 'shared' })('c.example'), 'other');
  assert.equal(makeLaneOf({ groups, others: 'domain' })('c.example'), 'c.example');
});

test('names of the language itself are domains like any other', () => {
  const laneOf = makeLaneOf({ groups: [], others: 'domain' });
  assert.deepEqual(['constructor', '__proto__'].map(laneOf), ['constructor', '__proto__']);
});

test('whatever the patterns are, a domain has the lane that trying each of them gives', () => {
  const label = fc.constantFrom('a', 'b', 'c');
  const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const pattern = fc.tuple(fc.boolean(), domain).map(([below, name]) => (below ? `*.${name}` : name));
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 12 }), domain, (patterns, one) => {
      const laneOf = makeLaneOf({
        groups: patterns.map((name) => ({ name, domains: [name], mx: [] })),
        others: 'shared',
      });
      const takes = patterns.filter((name) =>
        name.startsWith('*.') ? one.endsWith(name.slice(1)) && one.length >= name.length : one === name,
      );
      const best = takes.toSorted((a, b) => rank(b) - rank(a))[0];
      assert.equal(laneOf(one), best ?? 'other');
    }),
  );
});

function rank(pattern: string): number {
  return pattern.startsWith('*.') ? pattern.length : 1000;
}
