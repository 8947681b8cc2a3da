import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Problem } from '../../src/config/problem.ts';
import { readLanes } from '../../src/config/read_lanes.ts';
import { makeLaneOf } from '../../src/schedule/lanes.ts';

function read(value: unknown) {
  const problems: Problem[] = [];
  const origin = {
    value,
    place: () => ({ file: 'posthaste.yaml' }),
    nameOf: (path: readonly unknown[]) => path.join('.'),
  };
  return { lanes: readLanes(value, origin, [], problems), problems };
}

test('the big providers have lanes without a word of configuration, and nobody is in two of them', () => {
  const { lanes, problems } = read({});
  assert.deepEqual(problems, []);
  const groups = lanes?.groups ?? assert.fail('no lanes');
  const laneOf = makeLaneOf({ groups, others: 'shared' });
  assert.deepEqual(
    ['gmail.com', 'googlemail.com', 'hotmail.com', 'aol.com', 'me.com', 'web.de', 'example.com'].map(laneOf),
    ['gmail', 'gmail', 'microsoft', 'yahoo', 'apple', 'gmx', 'other'],
  );
  const patterns = groups.flatMap(({ domains, mx }) => domains.concat(mx));
  assert.equal(new Set(patterns).size, patterns.length);
});

test('a group of the user has its limits, and takes the place of a provider’s of the same name', () => {
  const { lanes } = read({
    others: 'domain',
    groups: {
      gmail: { domains: ['gmail.com'], rate: ['20/s', '50000/d'], maxConnections: 3, newConnections: '1/s' },
    },
  });
  const gmail = lanes?.groups.filter(({ name }) => name === 'gmail') ?? [];
  assert.deepEqual(gmail, [
    {
      name: 'gmail',
      domains: ['gmail.com'],
      mx: [],
      limits: {
        rates: [
          { count: 20, perMs: 1000 },
          { count: 50_000, perMs: 86_400_000 },
        ],
        bytesPerSecond: undefined,
        maxConnections: 3,
        newConnections: { count: 1, perMs: 1000 },
      },
    },
  ]);
  assert.equal(lanes?.others, 'domain');
  assert.equal(read({ providers: false }).lanes?.groups.length, 0);
});

test('wrong names and patterns are told, each in its place', () => {
  for (const groups of [
    { 'gmail.com': {} },
    { a: { domains: ['Gmail.com'] } },
    { a: { domains: ['*gmail.com'] } },
    { a: { mx: ['*.*.com'] } },
    { a: { rate: 'fast' } },
    { a: { speed: 1 } },
  ]) {
    const { lanes, problems } = read({ groups });
    assert.equal(lanes, undefined);
    assert.equal(problems.length, 1, JSON.stringify(groups));
  }
});
