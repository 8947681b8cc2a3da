import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { doubtActionIn, planSettlement, type SettleRules } from '../../src/dispatch/settle.ts';
import { packRecipients, unpackRecipients } from '../../src/mail/batch.ts';
import type { Outcome, OutcomeKind } from '../../src/mail/outcome.ts';

const kinds: OutcomeKind[] = ['accepted', 'rejected', 'deferred', 'inDoubt', 'unsent', 'invalid'];
const rules: SettleRules = {
  retry: { firstDelayMs: 1000, factor: 2, maxDelayMs: 60_000, giveUpAfterMs: 100_000, jitter: 0 },
  inDoubt: 'resend',
  relay: 'primary',
  unsentDueAt: 7000,
  mayExpireUnsent: true,
};

function batchOf(rows: readonly number[], attempt = 1) {
  const recipients = rows.map((row) => ({
    row,
    line: row + 1,
    address: `r${row}@a.example`,
    cells: [`r${row}`],
  }));
  return {
    id: 9,
    campaignId: 3,
    attempt,
    bornAt: 1000,
    recipientCount: rows.length,
    lane: 'x',
    zone: 'Europe/Berlin',
    relay: '',
    payload: packRecipients(recipients),
  };
}

function outcomeOf(row: number, kind: OutcomeKind, changed: Partial<Outcome['verdict']> = {}): Outcome {
  return {
    row,
    kind,
    at: 5000,
    verdict: {
      scope: 'recipient',
      stage: 'rcpt',
      kind: 'deferred',
      code: 'rcpt-mailbox-full',
      session: 'keep',
      replyCode: kind === 'accepted' ? 250 : 450,
      enhancedStatus: '4.2.1',
      category: 'mailbox-full',
      retryable: true,
      text: `reply for ${row}`,
      ...changed,
    },
  };
}

test('accepted, rejected and invalid rows are delivered; the others go on in new batches', () => {
  const outcomes = kinds.map((kind, index) => outcomeOf(index + 1, kind));
  const settlement = planSettlement(batchOf([1, 2, 3, 4, 5, 6]), outcomes, rules, 5000, () => 0.5);
  assert.deepEqual(
    settlement.deliveries.map(({ row, fate, attempts, reply }) => [row, fate, attempts, reply]),
    [
      [1, 'accepted', 1, 'reply for 1'],
      [2, 'rejected', 1, 'reply for 2'],
      [6, 'invalid', 0, 'reply for 6'],
    ],
  );
  assert.deepEqual(
    settlement.successors.map(({ payload, ...rest }) => [
      rest.attempt,
      rest.dueAt,
      rest.bornAt,
      rest.lane,
      unpackRecipients(payload).map((one) => one.row),
    ]),
    [
      [1, 7000, 1000, 'x', [5]],
      [2, 6000, 5000, 'x', [3, 4]],
    ],
  );
  assert.deepEqual(
    settlement.deferrals.map(({ row, attempt, at }) => [row, attempt, at]),
    [
      [3, 1, 5000],
      [4, 1, 5000],
    ],
  );
});

test('a deferred row whose time is over has expired, with its last reply', () => {
  const { deliveries, successors } = planSettlement(
    batchOf([1], 3),
    [outcomeOf(1, 'deferred')],
    rules,
    99_999,
    () => 0.5,
  );
  assert.deepEqual(
    deliveries.map(({ fate, attempts, reply }) => [fate, attempts, reply]),
    [['expired', 3, 'reply for 1']],
  );
  assert.deepEqual(successors, []);
});

test('hold keeps a row in doubt as it is', () => {
  const { deliveries } = planSettlement(
    batchOf([1]),
    [outcomeOf(1, 'inDoubt')],
    { ...rules, inDoubt: 'hold' },
    5000,
    () => 0.5,
  );
  assert.equal(deliveries[0]?.fate, 'inDoubt');
});

function settleDoubt(now: number) {
  const outcomes = [outcomeOf(1, 'inDoubt')];
  return planSettlement(batchOf([1], 3), outcomes, { ...rules, inDoubt: 'resend' }, now, () => 0.5);
}

test('a row in doubt whose time is over is not sent again, and is not said to be', () => {
  assert.equal(doubtActionIn(settleDoubt(5000)), 'resend');
  const late = settleDoubt(99_999);
  assert.equal(late.deliveries[0]?.fate, 'inDoubt');
  assert.equal(doubtActionIn(late), 'hold');
});

function settleUnsent(attempt: number, changed: Partial<SettleRules>, now: number) {
  const outcomes = [outcomeOf(1, 'unsent')];
  return planSettlement(batchOf([1], attempt), outcomes, { ...rules, ...changed }, now, () => 0.5);
}

test('whoever was tried and is unsent now expires when giveUpAfter is over, and no attempt is charged', () => {
  assert.deepEqual(settleUnsent(2, {}, 101_000).deliveries, []);
  assert.deepEqual(
    settleUnsent(2, {}, 101_001).deliveries.map(({ fate, attempts }) => [fate, attempts]),
    [['expired', 1]],
  );
  assert.deepEqual(settleUnsent(2, { mayExpireUnsent: false }, 101_001).deliveries, []);
});

test('whoever was never tried does not expire, however long the relay is down, but at the deadline', () => {
  const week = 7 * 86_400_000;
  const waiting = settleUnsent(1, { deadlineAt: week + 1 }, week);
  assert.deepEqual(
    waiting.successors.map(({ attempt, bornAt }) => [attempt, bornAt]),
    [[1, 1000]],
  );
  assert.deepEqual(
    settleUnsent(1, { deadlineAt: week }, week).deliveries.map(({ fate, attempts }) => [fate, attempts]),
    [['expired', 0]],
  );
});

test('the last row of a long campaign has as many attempts as the first: giveUpAfter counts from the first attempt', () => {
  // Stored at 1000, tried for the first time long after giveUpAfter.
  const firstAttemptAt = 10_000_000;
  const deferred = [outcomeOf(1, 'deferred')];
  const { successors } = planSettlement(batchOf([1]), deferred, rules, firstAttemptAt, () => 0.5);
  const { bornAt, dueAt } = successors[0] ?? assert.fail('nobody is tried again');
  assert.deepEqual([bornAt, dueAt], [firstAttemptAt, firstAttemptAt + 1000]);
  const second = { ...batchOf([1], 2), bornAt };
  const late = planSettlement(second, deferred, rules, firstAttemptAt + 99_000, () => 0.5);
  assert.equal(late.deliveries[0]?.fate, 'expired');
});

test('rows of one batch that are due at different times go on in batches of their own, and not one each', () => {
  const replies: [Partial<Outcome['verdict']>, number][] = [
    [{ category: 'greylisted', text: '450 4.2.0 greylisted' }, 1],
    [{ category: 'mailbox-full' }, 2],
    [{ category: 'greylisted', text: '450 4.2.0 greylisted for 300 seconds' }, 3],
    [{ category: 'greylisted', text: '450 4.2.0 greylisted for 299 seconds' }, 4],
    [{ category: 'greylisted', text: '450 4.2.0 greylisted' }, 5],
  ];
  const outcomes = replies.map(([changed, row]) => outcomeOf(row, 'deferred', changed));
  const retry = {
    ...rules.retry,
    maxDelayMs: 14_400_000,
    giveUpAfterMs: 172_800_000,
    byCategory: { greylisted: { firstDelayMs: 60_000 }, 'mailbox-full': { firstDelayMs: 14_400_000 } },
  };
  const { successors, deferrals } = planSettlement(
    batchOf([1, 2, 3, 4, 5]),
    outcomes,
    { ...rules, retry },
    0,
    () => 0.5,
  );
  assert.deepEqual(
    successors.map(({ dueAt, payload }) => [dueAt, unpackRecipients(payload).map(({ row }) => row)]),
    [
      [60_000, [1, 5]],
      [14_400_000, [2]],
      [300_000, [3, 4]],
    ],
  );
  assert.equal(deferrals.length, 5);
});

test('whatever the outcomes are, each recipient is delivered or in one successor, never both', () => {
  const outcomes = fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(
      outcomes,
      fc.constantFrom<'resend' | 'hold'>('resend', 'hold'),
      fc.nat(200_000),
      (list, inDoubt, now) => {
        const rows = list.map((_, index) => index + 10);
        const settlement = planSettlement(
          batchOf(rows),
          list.map((kind, index) => outcomeOf(index + 10, kind)),
          { ...rules, inDoubt },
          now,
          Math.random,
        );
        const seen = [
          ...settlement.deliveries.map((one) => one.row),
          ...settlement.successors.flatMap((one) => unpackRecipients(one.payload).map((each) => each.row)),
        ];
        assert.deepEqual(
          seen.sort((a, b) => a - b),
          rows,
        );
      },
    ),
  );
});
