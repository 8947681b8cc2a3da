// Lanes as they are written: whose domains they are, what limits they have, and what is wrong with them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePart } from '../../src/config/issues.ts';
import { lanesSchema } from '../../src/config/lanes_schema.ts';
import type { Problem } from '../../src/config/problem.ts';
import { completeLanes, readProviders } from '../../src/config/read_lanes.ts';
import { makeLaneOf } from '../../src/schedule/lanes.ts';

function read(value: unknown) {
  const problems: Problem[] = [];
  const origin = {
    value,
    place: () => ({ file: 'posthaste.yaml' }),
    nameOf: (path: readonly unknown[]) => path.join('.'),
  };
  const written = parsePart({ schema: lanesSchema, origin, path: [] }, value, problems);
  return { lanes: written === undefined ? undefined : completeLanes(written, origin, problems), problems };
}

test('no domain and no MX host of the shipped providers is in two groups', () => {
  const problems: Problem[] = [];
  const groups = Object.values(readProviders(problems));
  assert.deepEqual(problems, []);
  assert.ok(groups.length > 20);
  const patterns = groups.flatMap(({ domains, mx }) => domains.concat(mx));
  assert.equal(new Set(patterns).size, patterns.length);
});

test('a lane that names no domains has those of the provider of its name, and lanes that nobody names are not there', () => {
  const { lanes, problems } = read({
    groups: { gmail: { rate: '20/s' }, yahoo: { domains: ['yahoo.com'] } },
  });
  assert.deepEqual(problems, []);
  const laneOf = makeLaneOf(lanes ?? assert.fail('no lanes'));
  assert.deepEqual(
    ['gmail.com', 'googlemail.com', 'yahoo.com', 'aol.com', 'hotmail.com', 'example.com'].map(laneOf),
    ['gmail', 'gmail', 'yahoo', 'other', 'other', 'other'],
  );
});

test('a lane has the limits that are written, the shortest window first', () => {
  const { lanes } = read({
    others: 'domain',
    groups: {
      gmail: { domains: ['gmail.com'], rate: ['50000/d', '20/s'], burst: 5, maxConnections: 3 },
      other: { rate: '1/s' },
    },
  });
  const [second, day] = [1000, 86_400_000];
  assert.deepEqual(lanes, {
    others: 'domain',
    groups: [
      {
        name: 'gmail',
        domains: ['gmail.com'],
        pace: {
          rates: [
            { count: 20, perMs: second },
            { count: 50_000, perMs: day },
          ],
          burst: 5,
        },
        maxConnections: 3,
      },
      {
        name: 'other',
        domains: [],
        pace: { rates: [{ count: 1, perMs: second }], burst: undefined },
        maxConnections: undefined,
      },
    ],
  });
});

test('wrong names, patterns and limits are told, each in its place', () => {
  for (const groups of [
    { 'gmail.com': {} },
    { a: { domains: ['Gmail.com'] } },
    { a: { domains: ['*gmail.com'] } },
    { a: { domains: [] } },
    { a: { domains: ['a.example'], rate: 'fast' } },
    { a: { domains: ['a.example'], rate: ['1/s', '2/s'] } },
    { a: { domains: ['a.example'], speed: 1 } },
  ]) {
    const { lanes, problems } = read({ groups });
    assert.equal(lanes, undefined);
    assert.equal(problems.length, 1, JSON.stringify(groups));
  }
  const [problem] = read({ groups: { gmial: { rate: '1/s' } } }).problems;
  assert.match(problem?.what ?? '', /lanes.groups.gmial names no domains/);
  assert.equal(problem?.suggestion, 'gmail');
});
