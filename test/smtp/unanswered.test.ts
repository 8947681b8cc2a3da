// What becomes of a transaction when its session ends before its reply: the whole table.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Failure } from '../../src/mail/verdict.ts';
import { judgeUnanswered, type Unanswered } from '../../src/smtp/unanswered.ts';

const closed: Failure = { kind: 'closed', text: 'gone' };
const timeout: Failure = { kind: 'timeout', text: 'silent' };
const stopped: Failure = { kind: 'stopped', text: 'told to' };

const head: Unanswered = {
  awaiting: 'end',
  hasEnded: false,
  isHead: true,
  isLockStep: false,
  dismissed: false,
};

type Row = readonly [fact: string, one: Partial<Unanswered>, failure: Failure, kind: string, stage: string];

const table: readonly Row[] = [
  ['MAIL unanswered never reached the recipient', { awaiting: 'mail' }, closed, 'unsent', 'mail'],
  ['RSET unanswered never reached the recipient', { awaiting: 'reset' }, closed, 'unsent', 'reset'],
  ['RCPT unanswered counts as 451', { awaiting: 'rcpt' }, closed, 'deferred', 'rcpt'],
  ['DATA unanswered counts as 451', { awaiting: 'data' }, closed, 'deferred', 'data'],
  ['content that broke off midway is known not to be in doubt', {}, closed, 'deferred', 'data'],
  ['content that was not read on in time is charged', {}, timeout, 'deferred', 'data'],
  ['a sent end is in doubt', { hasEnded: true }, closed, 'inDoubt', 'end'],
  ['a sent end is in doubt, whoever ended the session', { hasEnded: true }, stopped, 'inDoubt', 'end'],
  ['a sent end behind others is in doubt', { hasEnded: true, isHead: false }, timeout, 'inDoubt', 'end'],
  ['after 421 nothing is in doubt', { hasEnded: true, dismissed: true }, closed, 'unsent', 'data'],
  ['what is pipelined behind is not charged', { awaiting: 'rcpt', isHead: false }, closed, 'unsent', 'rcpt'],
  ['silence within a group is charged to nobody', { awaiting: 'rcpt' }, timeout, 'unsent', 'rcpt'],
  ['silence in lock-step is', { awaiting: 'rcpt', isLockStep: true }, timeout, 'deferred', 'rcpt'],
  ['our own stop is charged to nobody', { awaiting: 'rcpt' }, stopped, 'unsent', 'rcpt'],
];

for (const [fact, one, failure, kind, stage] of table) {
  test(fact, () => {
    const judged = judgeUnanswered({ ...head, ...one }, failure);
    assert.deepEqual([judged.kind, judged.verdict.stage], [kind, stage]);
  });
}
