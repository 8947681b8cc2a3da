import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MxLanes, type LookUpResult, type MxAnswer } from '../../src/schedule/mx_lanes.ts';

const groups = [
  { name: 'big', mx: ['*.big.example'] },
  { name: 'filter', mx: ['*.filter.example', 'mx.filter.example'] },
];
const options = { capacity: 3, keptMs: 1000, failedKeptMs: 100, maxLookUps: 2, mostSilent: 3, restMs: 500 };

/** `hosts` by domain; of domains that are not there the DNS says that it cannot tell, unless it is silent. */
function make(hosts: Readonly<Record<string, readonly string[]>>, more: Partial<typeof options> = {}) {
  const asked: string[] = [];
  const notes: LookUpResult[] = [];
  const world = { now: 0, isSilent: false };
  const lookUp = (domain: string): Promise<MxAnswer> => {
    asked.push(domain);
    const found = hosts[domain];
    if (world.isSilent) return Promise.resolve({ kind: 'silent', reason: 'no answer' });
    return Promise.resolve(
      found === undefined ? { kind: 'failed', reason: 'SERVFAIL' } : { kind: 'answered', hosts: found },
    );
  };
  const lanes = new MxLanes(
    groups,
    lookUp,
    { ...options, ...more },
    () => world.now,
    (result) => notes.push(result),
  );
  return { lanes, asked, notes, world };
}

test('the first host that somebody is known to run says whose a domain is; case and a last dot mean nothing', async () => {
  const { lanes, notes } = make({
    'a.example': ['own.a.example', 'MX1.Big.Example.', 'mx.filter.example'],
    'b.example': [],
    'c.example': ['big.example', 'notbig.example'],
  });
  assert.equal(lanes.recall('a.example'), undefined);
  assert.equal(await lanes.find('a.example'), 'big');
  assert.equal(lanes.recall('a.example'), 'big');
  assert.equal(await lanes.find('b.example'), undefined);
  assert.equal(await lanes.find('c.example'), undefined);
  assert.deepEqual(notes, ['operator', 'other', 'other']);
});

test('an answer is kept for its time, a failure for less, and nobody is asked twice at once', async () => {
  const { lanes, asked, world } = make({ 'a.example': ['mx.big.example'] });
  await Promise.all(['a.example', 'a.example'].map(async (domain) => lanes.find(domain)));
  world.now = 999;
  assert.equal(lanes.find('a.example'), 'big', 'what is known needs no waiting');
  world.now = 1000;
  assert.equal(lanes.recall('a.example'), undefined);
  assert.equal(asked.length, 1);
  await lanes.find('a.example');
  assert.equal(asked.length, 2);
  await lanes.find('down.example');
  world.now = 1099;
  await lanes.find('down.example');
  assert.equal(asked.length, 3);
  world.now = 1100;
  await lanes.find('down.example');
  assert.equal(asked.length, 4);
});

test('no more domains are remembered than there is room for; the oldest goes', async () => {
  const names = ['a', 'b', 'c', 'd'];
  const { lanes } = make(Object.fromEntries(names.map((name) => [name, ['x.big.example']])));
  for (const domain of names) await lanes.find(domain);
  assert.equal(lanes.size, 3);
  assert.deepEqual([lanes.recall('a'), lanes.recall('d')], [undefined, 'big']);
});

test('no more are asked for at a time than may be; who comes later has its turn in order', async () => {
  const answers: (() => void)[] = [];
  const asked: string[] = [];
  const lookUp = (domain: string): Promise<MxAnswer> => {
    asked.push(domain);
    return new Promise((resolve) =>
      answers.push(() => resolve({ kind: 'answered', hosts: ['mx.big.example'] })),
    );
  };
  const lanes = new MxLanes(groups, lookUp, { ...options, capacity: 10 }, () => 0);
  const found = Promise.all(['a', 'b', 'c', 'd'].map(async (domain) => lanes.find(domain)));
  for (let given = 0; given < 4; given += 1) {
    assert.deepEqual(asked, ['a', 'b', 'c', 'd'].slice(0, given + 2));
    answers[given]?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(await found, ['big', 'big', 'big', 'big']);
});

test('a DNS that is silent is left alone for a while, and those that wait for their turn with it', async () => {
  const { lanes, asked, notes, world } = make({ z: ['mx.big.example'] }, { maxLookUps: 1 });
  world.isSilent = true;
  const names = ['a', 'b', 'c', 'd', 'e'];
  assert.deepEqual(
    await Promise.all(names.map(async (name) => lanes.find(name))),
    names.map(() => undefined),
  );
  assert.deepEqual(asked, ['a', 'b', 'c']);
  assert.deepEqual(notes, ['silent', 'silent', 'silent', 'skipped', 'skipped']);
  world.isSilent = false;
  world.now = 499;
  assert.equal(lanes.find('z'), undefined);
  world.now = 500;
  assert.equal(await lanes.find('z'), 'big');
});

test('an answer between them, if only that it cannot tell, says that the DNS is there', async () => {
  const { lanes, asked, world } = make({});
  for (const [index, isSilent] of [true, true, false, true, true, false].entries()) {
    world.isSilent = isSilent;
    await lanes.find(`domain${index}`);
  }
  assert.equal(asked.length, 6);
});
