// Whom a fault strikes: matches, shares, counters and limits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { FaultPlan } from '../../src/sandbox/fault_plan.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';

const occasion = {
  sessionNumber: 1,
  takenMessages: 0,
  openConnections: 1,
  openFromClient: 1,
  reversePath: 'from@a.example',
};
const busy = '450 4.2.1 busy';

function planOf(text: string, seed = 1, nowMs: () => number = () => 0): (...addresses: string[]) => boolean {
  const fault = parseFault(text);
  const plan = new FaultPlan([fault], seed, nowMs);
  return (...addresses) => plan.rule(fault.at, addresses, occasion) !== undefined;
}

const recipients = Array.from({ length: 20_000 }, (_, index) => `user${index}@example.com`);

test('a share strikes its part of the addresses, the same ones each time', () => {
  const strikes = planOf(`rcpt 5%: ${busy}`);
  const first = recipients.filter((address) => strikes(address));
  assert.ok(Math.abs(first.length - 1000) < 150, `${first.length} of 20000`);
  assert.deepEqual(
    recipients.filter((address) => strikes(address.toUpperCase())),
    first,
  );
});

test('another seed, or the same fault again, strikes others', () => {
  const seeds = [planOf(`rcpt 50%: ${busy}`, 1), planOf(`rcpt 50%: ${busy}`, 2)];
  const shared = recipients.filter((address) => seeds.every((strikes) => strikes(address))).length;
  assert.ok(Math.abs(shared - 5000) < 500, `${shared} of 20000 in both`);
  const twice = new FaultPlan([parseFault('rcpt 50%: drop'), parseFault('rcpt 50%: drop')], 1, () => 0);
  const struck = recipients.filter((address) => twice.rule('rcpt', [address], occasion) !== undefined).length;
  assert.ok(Math.abs(struck - 15_000) < 500, `${struck} of 20000 by one of two`);
});

test('0% strikes nobody and 100% everybody', () => {
  const [never, always] = [planOf(`rcpt 0%: ${busy}`), planOf(`rcpt 100%: ${busy}`)];
  assert.equal(
    recipients.some((address) => never(address)),
    false,
  );
  assert.ok(recipients.every((address) => always(address)));
});

test('a pattern with stars is for the whole address, without one for a part; case does not matter', () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['*@bad.example', 'X@BAD.example', true],
    ['*@bad.example', 'x@bad.example.org', false],
    ['x@*', 'x@a', true],
    ['x@*', 'xx@a', false],
    ['a*b*@c', 'a1b2b3@c', true],
    ['a*b*@c', 'a1@c', false],
    ['a@*@a', 'a@a', false],
    ['*', '', true],
    ['@bad', 'x@bad.example', true],
    ['x@bad.example', 'xx@bad.example', true],
  ];
  for (const [pattern, address, expected] of table) {
    assert.equal(planOf(`rcpt ${pattern}: ${busy}`)(address), expected, `${pattern} and ${address}`);
  }
});

test('a pattern with stars says the same as its regular expression', () => {
  const text = fc.array(fc.constantFrom('a', 'b', '@')).map((letters) => letters.join(''));
  const pattern = fc.array(fc.constantFrom('a', 'b', '@', '*')).map((letters) => `*${letters.join('')}`);
  fc.assert(
    fc.property(pattern, text, (glob, address) => {
      assert.equal(
        planOf(`rcpt ${glob}: ${busy}`)(address),
        new RegExp(`^${glob.replaceAll('*', '.*')}$`).test(address),
      );
    }),
    { numRuns: 2000 },
  );
});

test('at data and end the first recipient that matches decides', () => {
  assert.equal(planOf('end *@bad.example: drop')('x@good.example', 'y@bad.example'), true);
  const once = planOf('end first *@bad.example: drop');
  const all = [once('y@bad.example'), once('a@a', 'y@bad.example'), once('z@bad.example')];
  assert.deepEqual(all, [true, false, true]);
});

test('"first" strikes each address once, and "first 2" twice', () => {
  const strikes = planOf(`rcpt first: 451 4.7.1 greylisted`);
  assert.deepEqual(
    ['a@a', 'b@b', 'a@a', 'B@b', 'c@c'].map((one) => strikes(one)),
    [true, true, false, false, true],
  );
  const twice = planOf(`rcpt first 2: ${busy}`);
  assert.deepEqual(
    ['a@a', 'a@a', 'a@a'].map((one) => twice(one)),
    [true, true, false],
  );
});

test('"first" at a session stage counts all sessions', () => {
  const strikes = planOf('greeting first 2: 421 4.3.2 starting');
  assert.deepEqual([strikes(), strikes(), strikes()], [true, true, false]);
});

test('"every 3" strikes the third, the sixth and so on', () => {
  const strikes = planOf('end every 3: drop');
  assert.deepEqual(
    recipients.slice(0, 7).map((one) => strikes(one)),
    [false, false, true, false, false, true, false],
  );
});

test('"over" lets exactly its rate through in every window', () => {
  let nowMs = 0;
  const strikes = planOf('end over 3/s: 451 4.7.1 slow down', 1, () => nowMs);
  const passedAt: number[] = [];
  for (nowMs = 0; nowMs < 10_000; nowMs += 70) if (!strikes('a@a')) passedAt.push(nowMs);
  for (const end of passedAt) {
    assert.ok(
      passedAt.filter((at) => at > end - 1000 && at <= end).length <= 3,
      `window that ends at ${end}`,
    );
  }
  assert.ok(passedAt.length >= 28, `${passedAt.length} got through in 10 s`);
});

test('"over N sessions" strikes when more connections are open', () => {
  const plan = new FaultPlan([parseFault('connect over 2 sessions: 421 4.7.0 too many')], 1, () => 0);
  const at = (openConnections: number): boolean =>
    plan.rule('connect', [], { ...occasion, openConnections }) !== undefined;
  assert.deepEqual([at(1), at(2), at(3)], [false, false, true]);
});

test('faults of other stages and of no stage do not concern one', () => {
  const plan = new FaultPlan([parseFault('end: drop')], 1, () => 0);
  assert.deepEqual([plan.concerns('end'), plan.concerns('rcpt')], [true, false]);
});
