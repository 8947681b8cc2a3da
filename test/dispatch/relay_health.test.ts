import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RelayHealth } from '../../src/dispatch/relay_health.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { emptyTransactionTimes } from '../../src/mail/transaction_times.ts';
import { judgeFailure, judgeReply, type Verdict } from '../../src/mail/verdict.ts';
import type { BatchReport } from '../../src/worker/contract.ts';

const accepted = judgeReply('end', makeReply(250, 'ok'));
const throttled = judgeReply('mail', makeReply(454, 'Throttling failure: Maximum sending rate exceeded.'));
const accessDenied = judgeReply('rcpt', makeReply(554, '5.7.1 <a@b.example>: Relay access denied'));
const refused = judgeFailure('connect', { kind: 'closed', text: 'ECONNREFUSED' });

function report(verdicts: readonly Verdict[], permanent?: boolean): BatchReport {
  const relayFailure =
    permanent === undefined
      ? undefined
      : ({ kind: 'failed', verdict: refused, permanent, hint: '' } as const);
  const outcomes = verdicts.map((verdict, index) => ({ row: index + 1, kind: verdict.kind, at: 0, verdict }));
  return {
    batchId: 1,
    outcomes,
    transactionTimes: emptyTransactionTimes(),
    relayFailure,
    journal: { writer: 0, oldestNeeded: 0 },
    journalFailure: undefined,
  };
}

test('a relay that takes messages is left alone by nobody', () => {
  const health = new RelayHealth();
  assert.deepEqual(health.note(report([accepted]), 1000), {
    recovered: undefined,
    failed: undefined,
    giveUp: undefined,
  });
  assert.equal(health.blockedUntil, 0);
});

test('throttling blocks for longer each time, and a recovery is told once', () => {
  const health = new RelayHealth();
  assert.equal(throttled.scope, 'relay');
  assert.equal(health.note(report([accepted, throttled]), 1000).failed, throttled);
  assert.equal(health.blockedUntil, 2000);
  health.note(report([throttled]), 1500);
  assert.equal(health.blockedUntil, 2000, 'batches that come back together count once');
  health.note(report([throttled]), 2000);
  assert.equal(health.blockedUntil, 4000);
  assert.equal(health.note(report([accepted]), 5000).recovered, accepted);
  assert.equal(health.note(report([accepted]), 5001).recovered, undefined);
});

test('a refusal of the account that no patience mends gives the relay up', () => {
  const { giveUp } = new RelayHealth().note(report([accessDenied]), 0);
  assert.deepEqual([accessDenied.kind, accessDenied.scope], ['unsent', 'relay']);
  assert.equal(giveUp?.verdict, accessDenied);
});

test('a relay that never answered is given up after three failures, one that did is not', () => {
  const never = new RelayHealth();
  const ends = [0, 10_000, 20_000].map(
    (now) => never.note(report([refused], false), now).giveUp !== undefined,
  );
  assert.deepEqual(ends, [false, false, true]);
  const known = new RelayHealth();
  known.note(report([accepted]), 0);
  for (let now = 10_000; now < 1_000_000; now += 100_000) {
    assert.equal(known.note(report([refused], false), now).giveUp, undefined);
  }
});

test('a failure that is permanent gives the relay up at once', () => {
  assert.notEqual(new RelayHealth().note(report([refused], true), 0).giveUp, undefined);
});

test('a relay that takes messages and refuses sessions in between is not given up', () => {
  const health = new RelayHealth();
  for (let count = 0; count < 10; count += 1) {
    const { giveUp } = health.note(report([accepted, refused], false), count * 3_600_000);
    assert.equal(giveUp, undefined);
  }
});
