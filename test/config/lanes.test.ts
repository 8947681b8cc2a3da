// Lanes as they are written: whose domains they are, what limits they have, and what is wrong with them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePart } from '../../src/config/issues.ts';
import { lanesSchema } from '../../src/config/lanes_schema.ts';
import type { Problem } from '../../src/config/problem.ts';
import { completeLanes, readProviders } from '../../src/config/read_lanes.ts';
import { makeLaneOf, makePatternFinder } from '../../src/schedule/lanes.ts';

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
    mx: undefined,
    groups: [
      {
        name: 'gmail',
        domains: ['gmail.com'],
        mx: [],
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
        mx: [],
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

test('who takes the mail of a lane’s domains is written with it, or that of the provider of its name', () => {
  const { lanes, problems } = read({
    mx: { servers: ['192.0.2.1', '192.0.2.1:5353', '2001:db8::1', '[2001:db8::1]:53'], timeout: '500ms' },
    groups: {
      gmail: {},
      microsoft365: {},
      own: { domains: ['own.example'], mx: ['*.own.example', 'mx.host.example'] },
      yahoo: { domains: ['yahoo.com'] },
    },
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(lanes?.mx, {
    servers: ['192.0.2.1', '192.0.2.1:5353', '2001:db8::1', '[2001:db8::1]:53'],
    timeoutMs: 500,
    maxLookUps: 64,
  });
  const byName = new Map(lanes?.groups.map(({ name, mx }) => [name, mx]));
  assert.ok(byName.get('gmail')?.includes('*.google.com'));
  assert.ok(byName.get('microsoft365')?.includes('*.mail.protection.outlook.com'));
  assert.deepEqual(byName.get('own'), ['*.own.example', 'mx.host.example']);
  assert.deepEqual(byName.get('yahoo'), [], 'who names its domains names all of them');
});

test('without the switch no MX is looked up; with it alone, by the system’s servers', () => {
  assert.equal(read({ groups: { gmail: {} } }).lanes?.mx, undefined);
  assert.equal(read({ mx: false, groups: { gmail: {} } }).lanes?.mx, undefined);
  const { lanes } = read({ mx: true, groups: { gmail: {} } });
  assert.deepEqual(lanes?.mx, { servers: undefined, timeoutMs: 2000, maxLookUps: 64 });
});

test('what is wrong with the look-up is told in its place', () => {
  const groups = { gmail: {} };
  for (const server of [
    'dns.example.com',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '192.0.2',
    '[192.0.2.1]:53',
    'fe80::1%eth0',
    '',
  ]) {
    const [problem, ...more] = read({ mx: { servers: ['192.0.2.9', server] }, groups }).problems;
    assert.match(problem?.what ?? '', /^mx\.servers\S+ /, server);
    assert.match(problem?.expected ?? '', /^an IP address such as 192\.0\.2\.1/);
    assert.deepEqual(more, []);
  }
  for (const mx of [
    'yes',
    { timeout: '10ms' },
    { timeout: '1m' },
    { maxLookUps: 0 },
    { server: '192.0.2.1' },
  ])
    assert.equal(read({ mx, groups }).problems.length, 1, JSON.stringify(mx));
});

test('a lane that only an MX leads to needs the look-up, and the look-up such a lane', () => {
  const [off] = read({ groups: { microsoft365: {} } }).problems;
  assert.match(off?.what ?? '', /lanes.groups.microsoft365 has domains only by their MX/);
  const [idle] = read({ mx: true, groups: { own: { domains: ['own.example'] } } }).problems;
  assert.match(idle?.what ?? '', /lanes.mx has nothing to look for/);
});

test('the hosts of the big operators are theirs, and what only looks like them is nobody’s', () => {
  const providers = readProviders([]);
  const find = makePatternFinder(Object.entries(providers).map(([name, { mx }]) => [name, mx]));
  for (const [host, operator] of [
    ['aspmx.l.google.com', 'gmail'],
    ['alt1.aspmx.l.google.com', 'gmail'],
    ['aspmx2.googlemail.com', 'gmail'],
    ['smtp.google.com', 'gmail'],
    ['example-com.mail.protection.outlook.com', 'microsoft365'],
    ['outlook-com.olc.protection.outlook.com', 'microsoft'],
    ['mta5.am0.yahoodns.net', 'yahoo'],
    ['mx-aol.mail.gm0.yahoodns.net', 'yahoo'],
    ['mx01.mail.icloud.com', 'apple'],
    ['mx.zoho.eu', 'zoho'],
    ['mx0a-00123456.pphosted.com', 'proofpoint'],
    ['eu-smtp-inbound-1.mimecast.com', 'mimecast'],
    ['mx00.gmx.net', 'gmx'],
    ['mx-ha02.web.de', 'gmx'],
    ['mx00.ionos.de', 'ionos'],
    ['mx00.kundenserver.de', 'ionos'],
    ['mx1.mail.ovh.net', 'ovh'],
    ['ns1234567.ovh.net', undefined],
    ['notgoogle.com', undefined],
    ['mx.google.com.example', undefined],
  ] as const)
    assert.equal(find(host), operator, host);
});
