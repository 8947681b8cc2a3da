import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MxLanes } from '../../src/schedule/mx_lanes.ts';

const groups = [
  { name: 'big', domains: [], mx: ['*.big.example'] },
  { name: 'filter', domains: [], mx: ['*.filter.example', 'mx.filter.example'] },
];
const options = { capacity: 3, keptMs: 1000, failedKeptMs: 100, maxLookUps: 2 };

function make(hosts: Readonly<Record<string, readonly string[]>>) {
  const asked: string[] = [];
  const lanes = new MxLanes(
    groups,
    (domain) => {
      asked.push(domain);
      const found = hosts[domain];
      return found === undefined ? Promise.reject(new Error('SERVFAIL')) : Promise.resolve(found);
    },
    options,
  );
  return { lanes, asked };
}

test('the first host that somebody is known to run says whose a domain is; case and a last dot mean nothing', async () => {
  const { lanes } = make({
    'a.example': ['own.a.example', 'MX1.Big.Example.', 'mx.filter.example'],
    'b.example': [],
  });
  assert.equal(lanes.recall('a.example', 0), undefined);
  assert.equal(await lanes.learn('a.example', 0), 'big');
  assert.equal(lanes.recall('a.example', 0), 'big');
  assert.equal(await lanes.learn('b.example', 0), undefined);
});

test('an answer is kept for its time, a failure for less, and nobody is asked twice at once', async () => {
  const { lanes, asked } = make({ 'a.example': ['mx.big.example'] });
  await Promise.all([lanes.learn('a.example', 0), lanes.learn('a.example', 0)]);
  await lanes.learn('a.example', 999);
  assert.equal(lanes.recall('a.example', 1000), undefined);
  assert.equal(asked.length, 1);
  await lanes.learn('a.example', 1000);
  assert.equal(asked.length, 2);
  await lanes.learn('down.example', 0);
  await lanes.learn('down.example', 99);
  assert.equal(asked.length, 3);
  await lanes.learn('down.example', 100);
  assert.equal(asked.length, 4);
});

test('no more domains are remembered than there is room for; the oldest goes', async () => {
  const { lanes } = make({
    a: ['x.big.example'],
    b: ['x.big.example'],
    c: ['x.big.example'],
    d: ['x.big.example'],
  });
  for (const domain of ['a', 'b', 'c', 'd']) await lanes.learn(domain, 0);
  assert.equal(lanes.size, 3);
  assert.deepEqual([lanes.recall('a', 0), lanes.recall('d', 0)], [undefined, 'big']);
});

test('who comes while enough look-ups are under way gets no answer, and no place in a queue', async () => {
  let asked = 0;
  const silent = new MxLanes(
    groups,
    () => {
      asked += 1;
      return new Promise(() => {});
    },
    options,
  );
  void silent.learn('a', 0);
  void silent.learn('b', 0);
  assert.equal(await silent.learn('c', 0), undefined);
  assert.equal(asked, 2);
});
