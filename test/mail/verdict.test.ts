// The verdict table: real replies, and what must hold for any reply.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { makeReply } from '../../src/mail/reply.ts';
import {
  concernsCampaign,
  judgeFailure,
  judgeLocally,
  judgeReply,
  type Failure,
  type Stage,
  type Verdict,
} from '../../src/mail/verdict.ts';
import { incidents, rules, verdictTable } from '../../src/mail/verdict_table.ts';
import { expectations } from './verdict_replies.ts';

const stages: readonly Stage[] = [
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'auth',
  'reset',
  'mail',
  'rcpt',
  'data',
  'end',
  'idle',
];

function judgeText(stage: Stage, reply: string): Verdict {
  return judgeReply(stage, makeReply(Number(reply.slice(0, 3)), reply.slice(4)));
}

for (const [stage, reply, expected] of expectations) {
  test(`${reply} to ${stage} is ${expected}`, () => {
    const verdict = judgeText(stage, reply);
    const { code, scope, kind, category } = verdict;
    assert.equal([code, scope, kind, category].join(' ').trim(), expected);
    assert.equal(verdict.text, reply);
    assert.equal(verdict.stage, stage);
  });
}

test('every rule of the table takes one of these replies', () => {
  const taken = new Set(expectations.map(([, , expected]) => expected.split(' ')[0] ?? ''));
  assert.deepEqual(
    rules.filter(({ code }) => !taken.has(code)).map(({ code }) => code),
    [],
  );
});

test('every rule has a code of its own, and the printed table has a line for each', () => {
  const codes = [...rules, ...Object.values(incidents)].map(({ code }) => code);
  assert.equal(new Set(codes).size, codes.length);
  const printed = [
    ...verdictTable().matchAll(/^\| `([^`]+)` \|(?:[^|\n]+\|){3}(?:[^|\n]*\|)(?:[^|\n]+\|){3}$/gm),
  ];
  assert.deepEqual(
    printed.map((match) => match[1]),
    codes,
  );
});

test('phrases are in lower case, as single words apart, and none is held by a shorter one of its list', () => {
  for (const { code, phrases } of rules) {
    for (const phrase of phrases) {
      assert.match(phrase, /^ ?[^\sA-Z]+(?: [^\sA-Z]+)* ?$/, code);
      assert.equal(phrases.filter((other) => phrase.includes(other)).length, 1, `${code}: ${phrase}`);
    }
  }
});

const phrases = rules.flatMap((rule) => rule.phrases);
const statuses = rules.flatMap((rule) =>
  rule.statuses.map((status) => status.replace('xx', '42')).filter((status) => status.includes('.')),
);

/** Texts that providers could write: statuses of any class, phrases of any rule, anything else. */
const texts = fc
  .tuple(
    fc.option(fc.tuple(fc.constantFrom('2', '4', '5'), fc.constantFrom(...statuses)), { nil: undefined }),
    fc.array(fc.oneof(fc.constantFrom(...phrases), fc.string())),
  )
  .map(([status, words]) => [...(status === undefined ? [] : [status.join('.')]), ...words].join(' '));

test('whatever a relay says, only the reply code makes it accepted, and only 5yz rejects', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...stages),
      fc.integer({ min: 200, max: 599 }),
      texts,
      (stage, code, text) => {
        const verdict = judgeReply(stage, makeReply(code, text));
        const digit = Math.floor(code / 100);
        if (verdict.kind === 'accepted') assert.ok(digit < 4);
        if (digit >= 4) assert.notEqual(verdict.category, '');
        if (verdict.kind === 'rejected') assert.equal(digit, 5);
        if (verdict.kind === 'inDoubt') assert.ok(stage === 'end' && digit === 3);
      },
    ),
    { numRuns: 3000 },
  );
});

test('whatever a relay says, its own trouble is not charged, and who is rejected is to blame', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...stages),
      fc.integer({ min: 400, max: 599 }),
      texts,
      (stage, code, text) => {
        const verdict = judgeReply(stage, makeReply(code, text));
        if (verdict.scope === 'relay') assert.equal(verdict.kind, 'unsent');
        if (verdict.kind === 'rejected') assert.ok(['recipient', 'message'].includes(verdict.scope));
        if (verdict.kind === 'unsent') assert.ok(['relay', 'session'].includes(verdict.scope));
        const opens = !['reset', 'mail', 'rcpt', 'data', 'end', 'idle'].includes(stage);
        if (code === 421 || opens) assert.equal(verdict.session, 'close');
      },
    ),
    { numRuns: 3000 },
  );
});

test('outside of a transaction no refusal touches an attempt', () => {
  fc.assert(
    fc.property(fc.integer({ min: 400, max: 599 }), texts, (code, text) => {
      for (const stage of stages.filter((one) => !['mail', 'rcpt', 'data', 'end'].includes(one))) {
        assert.equal(judgeReply(stage, makeReply(code, text)).kind, 'unsent', stage);
      }
    }),
  );
});

const sessions: [stage: Stage, reply: string, session: Verdict['session'], retryable: boolean][] = [
  ['end', '454 Throttling failure: Maximum sending rate exceeded', 'keep', true],
  ['rcpt', '550 5.4.5 Daily user sending limit exceeded', 'keep', true],
  ['end', '421 4.7.28 unusual rate of email', 'close', true],
  ['greeting', '554 no', 'close', false],
  ['mail', '530 5.7.0 Authentication required', 'close', false],
  ['auth', '454 4.7.0 later', 'close', true],
  ['mail', '503 5.5.1 nested MAIL', 'close', true],
  ['rcpt', '452 4.5.3 too many recipients', 'keep', true],
  ['rcpt', '550 5.1.1 no', 'keep', false],
  ['end', '451 no', 'keep', true],
  ['auth', '451 Maximum credits exceeded', 'close', true],
];
for (const [stage, reply, session, retryable] of sessions) {
  test(`after ${reply} to ${stage} the session is ${session === 'keep' ? 'kept' : 'closed'}`, () => {
    const verdict = judgeText(stage, reply);
    assert.deepEqual([verdict.session, verdict.retryable], [session, retryable]);
  });
}

test('what the whole campaign would meet is marked as that', () => {
  assert.ok(concernsCampaign(judgeText('end', '550 5.7.26 unauthenticated')));
  assert.ok(concernsCampaign(judgeText('end', '550 5.7.515 Access denied')));
  assert.ok(concernsCampaign(judgeText('mail', '553 5.1.8 bad sender')));
  assert.ok(!concernsCampaign(judgeText('rcpt', '550 5.1.1 no such user')));
  assert.ok(!concernsCampaign(judgeText('end', '554 5.7.1 spam')));
});

const drops: [stage: Stage, kind: Failure['kind'], scope: string, becomes: string, code: string][] = [
  ['connect', 'timeout', 'relay', 'unsent', 'connection-timeout'],
  ['auth', 'closed', 'relay', 'unsent', 'connection-closed'],
  ['mail', 'closed', 'session', 'unsent', 'connection-closed'],
  ['rcpt', 'closed', 'session', 'deferred', 'connection-closed'],
  ['data', 'garbled', 'session', 'deferred', 'reply-garbled'],
  ['end', 'timeout', 'session', 'inDoubt', 'connection-timeout'],
  ['end', 'garbled', 'session', 'inDoubt', 'reply-garbled'],
  ['rcpt', 'stopped', 'us', 'unsent', 'stopped'],
  ['end', 'stopped', 'us', 'inDoubt', 'stopped'],
];
for (const [stage, kind, scope, becomes, code] of drops) {
  test(`${kind} at ${stage} leaves the attempt ${becomes}`, () => {
    const verdict = judgeFailure(stage, { kind, text: 'x' });
    assert.deepEqual(
      [verdict.scope, verdict.kind, verdict.code, verdict.session, verdict.replyCode, verdict.text],
      [scope, becomes, code, 'close', 0, 'x'],
    );
  });
}

test('what needs no relay has a verdict, too', () => {
  const verdicts = [
    judgeLocally('oversize', 'x'),
    judgeLocally('unmakeable', 'x'),
    judgeLocally('stopped', 'x'),
  ];
  assert.deepEqual(
    verdicts.map((one) => [one.code, one.scope, one.kind, one.category]),
    [
      ['message-oversize', 'message', 'rejected', 'message-too-big'],
      ['message-unmakeable', 'message', 'unsent', ''],
      ['stopped', 'us', 'unsent', ''],
    ],
  );
});
