// Replies: which enhanced status counts, and how a reply is printed and compared.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatReply, makeReply, plainText } from '../../src/mail/reply.ts';

const statuses: [code: number, text: string, status: string | undefined][] = [
  [550, '5.1.1 no such user', '5.1.1'],
  [550, '5.1.1', '5.1.1'],
  [550, '5.1.1\nsecond line', '5.1.1'],
  [550, '5.7.515 Access denied', '5.7.515'],
  [550, '#5.1.0 Address rejected', '5.1.0'],
  [421, '5.7.32 blocked', undefined],
  [550, '4.7.1 later', undefined],
  [550, '5.9.8.7 is no status', undefined],
  [550, '5.1.1234 is none either', undefined],
  [550, 'see 5.1.1', undefined],
  [354, '5.1.1 go', undefined],
];
for (const [code, text, status] of statuses) {
  test(`${code} ${JSON.stringify(text)} has ${status ?? 'no status'}`, () => {
    assert.equal(makeReply(code, text).enhancedStatus, status);
  });
}

test('a reply is printed as one line without control characters', () => {
  assert.equal(formatReply(makeReply(550, 'one\ntwo\u001b[31m\u009bred')), '550 one two [31m red');
});

test('a phrase that runs over two lines of a reply is found', () => {
  const reply = makeReply(
    550,
    "5.7.26 Unauthenticated email is not accepted due to\n5.7.26 domain's DMARC  policy",
  );
  assert.equal(plainText(reply), " unauthenticated email is not accepted due to domain's dmarc policy ");
});

test('no more than 500 characters of a reply are looked at', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 2000 }), (text) => {
      assert.ok(plainText(makeReply(550, text)).length <= 502);
    }),
  );
  assert.ok(!plainText(makeReply(550, `${'x '.repeat(250)}quota`)).includes('quota'));
});
