import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RelayHealth } from '../../src/dispatch/relay_health.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { emptyTransactionTimes } from '../../src/mail/transaction_times.ts';
import { judgeFailure, judgeReply, type Verdict } from '../../src/mail/verdict.ts';
import type { BatchReport } from '../../src/worker/contract.ts';

const minute = 60_000;
const accepted = judgeReply('end', makeReply(250, 'ok'));
const throttled = judgeReply('mail', makeReply(454, 'Throttling failure: Maximum sending rate exceeded.'));
const accessDenied = judgeReply('rcpt', makeReply(554, '5.7.1 <a@b.example>: Relay access denied'));
const refused = judgeFailure('connect', { kind: 'closed', text: 'ECONNREFUSED' });

function report(verdicts: readonly Verdict[], permanent?: boolean): BatchReport {
  const relayFailure =
    permanent === undefined
      ? undefined
      : ({ kind: 'failed', verdict: refused, permanent, hint: '' } as const);
  const outcomes = verdicts.map((verdict, index) => ({
    row: index + 1,
    kind: verdict.kind,
    at: index * 100,
    verdict,
  }));
  return {
    batchId: 1,
    outcomes,
    transactionTimes: {},
    composeTimes: emptyTransactionTimes(),
    permitWaits: emptyTransactionTimes(),
    heldMs: undefined,
    relayFailure,
    journal: { writer: 0, oldestNeeded: 0 },
    journalFailure: undefined,
  };
}

test('a relay that takes messages is left alone by nobody', () => {
  const health = new RelayHealth(10);
  assert.deepEqual(health.note(report([accepted]), 1000), {
    recovered: undefined,
    failed: undefined,
    giveUp: undefined,
  });
  assert.equal(health.blockedUntil, 0);
});

test('throttling blocks for longer each time, and a recovery is told once', () => {
  const health = new RelayHealth(10);
  assert.equal(throttled.scope, 'relay');
  assert.equal(health.note(report([accepted, throttled]), 1000).failed, throttled);
  assert.equal(health.blockedUntil, 1000 + 10 * minute);
  health.note(report([throttled]), 1500);
  assert.equal(health.blockedUntil, 1000 + 10 * minute, 'batches that come back together count once');
  assert.equal(health.mostInHand(1500, 4), 0);
  const due = health.blockedUntil;
  assert.deepEqual([health.mostInHand(due, 4), health.sessions, health.rateFactor], [1, 1, 0.5]);
  health.note(report([throttled]), due);
  assert.equal(health.blockedUntil, due + 20 * minute);
  const end = health.blockedUntil;
  assert.equal(health.note(report([accepted]), end).recovered, accepted);
  assert.equal(health.note(report([accepted]), end + 1).recovered, undefined);
  assert.deepEqual([health.sessions, health.mostInHand(end + 1, 1)], [1, Infinity]);
});

test('until a session is open one thread asks, and all of them from then on', () => {
  const health = new RelayHealth(10);
  assert.deepEqual([health.isUnmet, health.mostInHand(0, 4), health.mostInHand(0, 1)], [true, 1, Infinity]);
  health.noteOpened(5);
  assert.deepEqual([health.isUnmet, health.mostInHand(5, 4), health.sessions], [false, Infinity, 10]);
});

test('one message that the relay could not take stops nothing; three in a row do', () => {
  const hiccup = judgeReply('mail', makeReply(451, '4.3.2 overloaded'));
  assert.deepEqual([hiccup.scope, hiccup.session], ['relay', 'keep']);
  const health = new RelayHealth(10);
  health.note(report([hiccup, accepted, hiccup, hiccup, accepted, hiccup]), 0);
  assert.equal(health.blockedUntil, 0);
  health.note(report([accepted, hiccup, hiccup, hiccup]), 1000);
  assert.equal(health.blockedUntil, 2000);
});

test('a session that breaks counts once, however many messages were on its wire', () => {
  const broken = judgeFailure('idle', { kind: 'closed', text: 'closed' });
  const one = report([accepted, broken, broken, broken, broken]);
  const together = one.outcomes.map((outcome) => ({ ...outcome, at: 100 }));
  const health = new RelayHealth(10);
  health.note({ ...one, outcomes: together }, 0);
  assert.equal(health.blockedUntil, 0);
  health.note(one, 0);
  assert.equal(health.blockedUntil, 1000);
});

test('credentials that were good are tried at most three times a minute, and given up at last', () => {
  const health = new RelayHealth(10);
  health.note(report([accepted]), 0);
  const wrong = judgeReply('auth', makeReply(535, '5.7.8 wrong'));
  const failed = {
    ...report([wrong]),
    relayFailure: { kind: 'failed', verdict: wrong, permanent: true, hint: '' },
  } as const;
  const tries: number[] = [];
  let now = 0;
  while (health.note(failed, now).giveUp === undefined) {
    tries.push(now);
    now = Math.max(now, health.blockedUntil);
    assert.ok(tries.length < 10);
  }
  assert.ok(tries.length >= 3);
  for (const at of tries)
    assert.ok(tries.filter((one) => one >= at && one < at + minute).length <= 3, tries.join());
});

test('a refusal of the account that no patience mends gives the relay up', () => {
  const { giveUp } = new RelayHealth(10).note(report([accessDenied]), 0);
  assert.deepEqual([accessDenied.kind, accessDenied.scope], ['unsent', 'relay']);
  assert.equal(giveUp?.verdict, accessDenied);
});

test('a relay that never answered is given up after three failures, one that did is not', () => {
  const never = new RelayHealth(10);
  const ends = [0, 10_000, 20_000].map(
    (now) => never.note(report([refused], false), now).giveUp !== undefined,
  );
  assert.deepEqual(ends, [false, false, true]);
  const known = new RelayHealth(10);
  known.note(report([accepted]), 0);
  for (let now = 10_000; now < 1_000_000; now += 100_000) {
    assert.equal(known.note(report([refused], false), now).giveUp, undefined);
  }
});

test('a failure that is permanent gives the relay up at once', () => {
  assert.notEqual(new RelayHealth(10).note(report([refused], true), 0).giveUp, undefined);
});

test('a relay that takes messages and refuses sessions in between is not given up', () => {
  const health = new RelayHealth(10);
  for (let count = 0; count < 10; count += 1) {
    const { giveUp } = health.note(report([accepted, refused], false), count * 3_600_000);
    assert.equal(giveUp, undefined);
  }
});
