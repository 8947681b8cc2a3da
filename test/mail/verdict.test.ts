import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatReply, makeReply } from '../../src/mail/reply.ts';
import { judgeFailure, judgeReply, type Category, type Scope, type Stage } from '../../src/mail/verdict.ts';

const table: [
  stage: Stage,
  code: number,
  text: string,
  scope: Scope,
  category: Category,
  retryable: boolean,
][] = [
  ['end', 250, '2.0.0 queued', 'message', '', false],
  ['rcpt', 550, '5.1.1 no such user', 'recipient', 'no-such-recipient', false],
  ['rcpt', 550, 'who is that', 'recipient', 'no-such-recipient', false],
  ['rcpt', 452, '4.2.2 mailbox full', 'recipient', 'mailbox-full', true],
  ['rcpt', 552, 'mailbox full', 'recipient', 'mailbox-full', false],
  ['rcpt', 451, '4.7.1 greylisted, try again', 'recipient', 'greylisted', true],
  ['rcpt', 450, 'try again later', 'recipient', 'greylisted', true],
  ['rcpt', 550, '5.2.1 mailbox disabled', 'recipient', 'inactive', false],
  ['rcpt', 554, '5.7.1 relay access denied', 'recipient', 'policy', false],
  ['rcpt', 452, '4.5.3 too many recipients', 'recipient', 'rate-limited', true],
  ['mail', 553, '5.1.8 bad sender', 'message', 'sender-refused', false],
  ['mail', 530, '5.7.0 authentication required', 'relay', 'relay-auth', false],
  ['mail', 421, '4.7.0 too many connections', 'relay', 'relay-down', true],
  ['end', 554, '5.7.1 spam', 'message', 'content', false],
  ['end', 552, '5.3.4 too big', 'message', 'message-too-big', false],
  ['end', 550, '5.7.26 unauthenticated mail', 'message', 'authentication', false],
  ['end', 421, '5.7.32 try later', 'relay', 'relay-down', true],
  ['rcpt', 503, 'bad sequence', 'session', 'protocol', false],
  ['end', 451, 'no idea', 'message', 'unclassified', true],
];
for (const [stage, code, text, scope, category, retryable] of table) {
  test(`${code} ${text} to ${stage} is ${scope}: ${category || 'fine'}`, () => {
    const verdict = judgeReply(stage, makeReply(code, text));
    assert.deepEqual([verdict.scope, verdict.category, verdict.retryable], [scope, category, retryable]);
    assert.equal(verdict.text, `${code} ${text}`);
  });
}

test('trouble without a reply is the session’s, and may be tried again', () => {
  const verdict = judgeFailure('rcpt', { kind: 'closed', text: 'reset' });
  assert.deepEqual(
    [verdict.scope, verdict.category, verdict.retryable, verdict.replyCode],
    ['session', 'network', true, 0],
  );
  assert.equal(judgeFailure('rcpt', { kind: 'garbled', text: 'x' }).category, 'protocol');
  assert.equal(judgeFailure('rcpt', { kind: 'timeout', text: 'x' }).category, 'network');
  assert.equal(judgeFailure('rcpt', { kind: 'stopped', text: 'x' }).scope, 'us');
});

test('a reply is printed as one line without control characters', () => {
  assert.equal(formatReply(makeReply(550, 'one\ntwo\u001b[31m\u009bred')), '550 one two [31m red');
});
