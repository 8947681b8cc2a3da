import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Outcome } from '../../src/mail/outcome.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeLocally, judgeReply, type Verdict } from '../../src/mail/verdict.ts';
import { CampaignGuard, type GuardRules } from '../../src/schedule/campaign_guard.ts';
import { ShareWindow } from '../../src/schedule/share_window.ts';

const rules: GuardRules = {
  senderRefusalsInARow: 5,
  senderRefusals: { share: 0.5, of: 20 },
  rejected: { share: 0.2, of: 10 },
  complaints: { share: 0.1, of: 10 },
};
const accepted = judgeReply('end', makeReply(250, 'ok'));
const unknown = judgeReply('rcpt', makeReply(550, '5.1.1 no such user'));
const greylisted = judgeReply('rcpt', makeReply(450, '4.2.0 greylisted'));
const unmakeable = judgeLocally('unmakeable', 'no value');
const senders = [
  judgeReply(
    'end',
    makeReply(550, '5.7.515 Access denied, sending domain does not meet the required authentication level'),
  ),
  judgeReply(
    'end',
    makeReply(550, '5.7.26 This mail has been blocked because the sender is unauthenticated.'),
  ),
  judgeReply('end', makeReply(421, '4.7.32 From header is not aligned')),
  judgeReply('mail', makeReply(553, '5.1.8 sender address rejected')),
];

function outcomesOf(...verdicts: readonly Verdict[]): Outcome[] {
  return verdicts.map((verdict, row) => ({ row, kind: verdict.kind, at: 0, verdict }));
}

function repeat(verdict: Verdict, times: number): Outcome[] {
  return outcomesOf(...Array.from({ length: times }, () => verdict));
}

test('refusals of the sender in a row pause the campaign, with the reply as the reason', () => {
  for (const sender of senders) {
    const guard = new CampaignGuard(rules);
    assert.equal(guard.note('a', repeat(sender, 4)), undefined);
    const pause = guard.note('a', repeat(sender, 1));
    assert.equal(pause?.kind, 'senderRefused', sender.text);
    assert.ok(pause.text.includes(sender.text));
  }
});

test('anybody else’s outcome in between begins the row anew, but not one of another lane', () => {
  const [sender = assert.fail('none')] = senders;
  const guard = new CampaignGuard({ ...rules, rejected: undefined });
  guard.note('a', [...repeat(sender, 4), ...repeat(greylisted, 1)]);
  assert.equal(guard.note('a', repeat(sender, 4)), undefined);
  guard.note('b', repeat(accepted, 5));
  assert.equal(guard.note('a', repeat(sender, 1))?.kind, 'senderRefused');
});

test('mixed with others, the share of the last ones counts', () => {
  const [sender = assert.fail('none')] = senders;
  const guard = new CampaignGuard({ ...rules, rejected: undefined });
  const mixed = Array.from({ length: 7 }, () => [sender, sender, greylisted]).flat();
  assert.equal(guard.note('a', outcomesOf(...mixed.slice(0, 19))), undefined);
  assert.equal(guard.note('a', outcomesOf(...mixed.slice(19)))?.kind, 'senderRefused');
});

test('too many rejections pause it, once the window is full and not after the first three', () => {
  const guard = new CampaignGuard(rules);
  assert.equal(
    guard.note('a', outcomesOf(unknown, unknown, ...Array.from({ length: 7 }, () => accepted))),
    undefined,
  );
  assert.equal(guard.note('a', repeat(accepted, 1)), undefined);
  assert.equal(guard.note('a', repeat(unknown, 1)), undefined);
  // 2 of 10 are 20 %; the next one makes it more.
  assert.equal(guard.note('a', outcomesOf(unknown, unknown))?.kind, 'rejected');
});

test('what never left us and who is tried again count for nothing among rejections', () => {
  const guard = new CampaignGuard(rules);
  guard.note('a', [...repeat(accepted, 8), ...repeat(greylisted, 50), ...repeat(unmakeable, 50)]);
  guard.note('a', repeat(unknown, 2));
  assert.equal(guard.note('a', repeat(unknown, 1))?.kind, 'rejected');
});

test('complaints pause it, too', () => {
  const guard = new CampaignGuard(rules);
  guard.note('a', repeat(accepted, 10));
  assert.equal(guard.noteComplaint(), undefined);
  assert.equal(guard.noteComplaint()?.kind, 'complaints');
});

test('it is told once, and after a reset nothing of before counts', () => {
  const [sender = assert.fail('none')] = senders;
  const guard = new CampaignGuard(rules);
  assert.ok(guard.note('a', repeat(sender, 5)));
  assert.equal(guard.note('a', repeat(sender, 50)), undefined);
  guard.reset();
  assert.equal(guard.note('a', repeat(sender, 4)), undefined);
  assert.ok(guard.note('a', repeat(sender, 1)));
});

test('a share window knows how many of the last ones are marked', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.boolean()),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (size, marks, share) => {
        const window = new ShareWindow(size);
        for (const mark of marks) window.add(mark);
        const last = marks.slice(-size);
        const marked = last.filter(Boolean).length;
        assert.equal(window.marked, marked);
        assert.equal(window.isAbove(share), last.length === size && marked > share * size);
      },
    ),
  );
});
