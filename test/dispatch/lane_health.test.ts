// The health of lanes: whose throttling it is, and what follows for whom.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneHealth } from '../../src/dispatch/lane_health.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeReply, type Verdict } from '../../src/mail/verdict.ts';

const minute = 60_000;
const accepted = judgeReply('end', makeReply(250, 'ok'));
const gmail = judgeReply('end', makeReply(421, '4.7.28 unusual rate of unsolicited mail'));
const ses = judgeReply('end', makeReply(454, 'Throttling failure: Maximum sending rate exceeded.'));

const outcomesOf = (verdicts: readonly Verdict[]) =>
  verdicts.map((verdict, index) => ({ row: index + 1, kind: verdict.kind, at: 0, verdict }));

test('what a provider says once the recipient is named stops its lane, and is not the relay’s affair', () => {
  const health = new LaneHealth(4);
  const { relays, allowance } = health.note('gmail', outcomesOf([accepted, gmail]), 1000);
  assert.deepEqual(
    relays.map(({ verdict }) => verdict),
    [accepted],
  );
  assert.deepEqual(allowance, { blockedUntil: 1000 + 10 * minute, mostInHand: 1, rateFactor: 0.5 });
  assert.deepEqual([health.blockedUntil('gmail'), health.blockedUntil('yahoo')], [1000 + 10 * minute, 0]);
});

test('a lane that was stopped begins with one batch, and has more as messages are taken', () => {
  const health = new LaneHealth(4);
  health.note('gmail', outcomesOf([gmail]), 0);
  const first = health.note('gmail', outcomesOf([accepted]), 10 * minute).allowance;
  assert.deepEqual([first?.blockedUntil, first?.mostInHand], [0, 1]);
  const later = [1, 2, 3].map((step) => health.note('gmail', outcomesOf([accepted]), (10 + step) * minute));
  assert.deepEqual(
    later.map(({ allowance }) => allowance?.mostInHand),
    [2, 3, 4],
  );
});

test('what the relay says for itself, or of domains that share nothing, is the relay’s affair', () => {
  const health = new LaneHealth(4);
  const outcomes = outcomesOf([ses]);
  assert.deepEqual(health.note('gmail', outcomes, 0), { relays: outcomes, allowance: undefined });
  for (const lane of ['', 'other']) {
    const throttled = outcomesOf([gmail]);
    assert.deepEqual(health.note(lane, throttled, 0), { relays: throttled, allowance: undefined });
  }
});
