// Envelopes: which parameters MAIL and RCPT have, by what the campaign asks for and what the relay offers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Campaign } from '../../src/mail/campaign.ts';
import {
  encodeXtext,
  findLack,
  formatMail,
  formatRcpt,
  makeEnvelope,
  type EnvelopeOffer,
  type Lack,
} from '../../src/mail/envelope.ts';
import { messageIdPrefix } from '../../src/mail/message_id.ts';
import { parseVerp } from '../../src/mail/verp.ts';
import { planOf } from '../compose/campaigns.ts';

const none: EnvelopeOffer = {
  sizeLimitBytes: undefined,
  eightBitMime: false,
  smtpUtf8: false,
  dsn: false,
  requireTls: false,
};
const all: EnvelopeOffer = {
  sizeLimitBytes: 1000,
  eightBitMime: true,
  smtpUtf8: true,
  dsn: true,
  requireTls: true,
};

function envelopeOf(campaign: Partial<Campaign>) {
  return makeEnvelope(planOf([], campaign).campaign);
}

const asked = envelopeOf({
  dsn: { ret: 'full', notify: ['failure', 'delay'], envid: true, orcpt: true },
});

test('a campaign that asks for nothing gets nothing but SIZE', () => {
  const plain = envelopeOf({});
  assert.equal(formatMail(plain, 7, 500, false, all), 'MAIL FROM:<bounce@mail.example.com> SIZE=500\r\n');
  assert.equal(formatMail(plain, 7, 500, false, none), 'MAIL FROM:<bounce@mail.example.com>\r\n');
  assert.equal(formatRcpt(plain, 'ann@example.net', all), 'RCPT TO:<ann@example.net>\r\n');
  assert.equal(findLack(plain, none), undefined);
});

test('DSN parameters stand only where DSN is offered', () => {
  const envid = `${messageIdPrefix('spring-sale')}.7`;
  assert.equal(
    formatMail(asked, 7, 500, false, all),
    `MAIL FROM:<bounce@mail.example.com> SIZE=500 RET=FULL ENVID=${envid}\r\n`,
  );
  assert.equal(
    formatRcpt(asked, 'a+b=c@example.net', all),
    'RCPT TO:<a+b=c@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@example.net\r\n',
  );
  const without = { ...all, dsn: false };
  assert.equal(formatMail(asked, 7, 500, false, without), 'MAIL FROM:<bounce@mail.example.com> SIZE=500\r\n');
  assert.equal(formatRcpt(asked, 'ann@example.net', without), 'RCPT TO:<ann@example.net>\r\n');
});

test('each DSN parameter is left away by itself', () => {
  const never = envelopeOf({ dsn: { notify: 'never', envid: false, orcpt: false } });
  assert.equal(formatMail(never, 7, 1, false, all), 'MAIL FROM:<bounce@mail.example.com> SIZE=1\r\n');
  assert.equal(formatRcpt(never, 'a@b.example', all), 'RCPT TO:<a@b.example> NOTIFY=NEVER\r\n');
});

test('an address that is not ASCII is octets, and its ORCPT the ASCII form of RFC 6533', () => {
  assert.equal(
    formatRcpt(asked, 'jörg+😀@example.net', all),
    'RCPT TO:<jÃ¶rg+ð\u009f\u0098\u0080@example.net> NOTIFY=FAILURE,DELAY ORCPT=utf-8;j\\x{F6}rg\\x{2B}\\x{1F600}@example.net\r\n',
  );
  assert.equal(
    formatMail(envelopeOf({}), 7, 500, true, all),
    'MAIL FROM:<bounce@mail.example.com> SIZE=500 BODY=8BITMIME SMTPUTF8\r\n',
  );
});

test('commands stay within what RFC 5321 and the extensions allow', () => {
  const longest = `"${'+'.repeat(62)}"@${'d'.repeat(60)}.${'e'.repeat(60)}.${'f'.repeat(60)}.example`;
  const rcpt = formatRcpt(asked, longest, all);
  assert.ok(rcpt.length <= 512 + 500, String(rcpt.length));
  assert.ok((/ORCPT=(\S*)/.exec(rcpt)?.[1]?.length ?? 501) <= 500);
  assert.ok(formatMail(asked, 2 ** 40, 1e15, true, all).length <= 512);
  // Every character becomes ten: the parameter that would be too long is left away.
  const wide = `${'𝕒'.repeat(80)}@example.net`;
  assert.doesNotMatch(formatRcpt(asked, wide, all), /ORCPT/);
});

test('xtext has no blank, no "+" or "=" of the text, and reads back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
      const encoded = encodeXtext(text);
      assert.match(encoded, /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/);
      const decoded = encoded.replace(/\+(..)/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      assert.equal(decoded, text);
    }),
  );
});

test('with VERP every row has a reverse-path of its own, the same each time', () => {
  const secret = '0123456789abcdef';
  const envelope = envelopeOf({ verp: { secret } });
  const mail = formatMail(envelope, 7, 1, false, none);
  assert.equal(mail, formatMail(envelope, 7, 1, false, none));
  assert.notEqual(mail, formatMail(envelope, 8, 1, false, none));
  const path = /^MAIL FROM:<(.*)>\r\n$/.exec(mail)?.[1] ?? '';
  assert.partialDeepStrictEqual(parseVerp(path, secret), { kind: 'verp', row: 7 });
});

const lacks: readonly (readonly [
  what: string,
  campaign: Partial<Campaign>,
  offer: EnvelopeOffer,
  lack: Lack | undefined,
])[] = [
  ['REQUIRETLS offered', { requireTls: true }, all, undefined],
  ['REQUIRETLS not offered', { requireTls: true }, { ...all, requireTls: false }, 'requireTls'],
  ['a From for SMTPUTF8, offered', { from: { name: '', address: 'jörg@a.example' } }, all, undefined],
  ['a From for SMTPUTF8, not offered', { from: { name: '', address: 'jörg@a.example' } }, none, 'smtpUtf8'],
  [
    'a Sender for SMTPUTF8 without 8BITMIME',
    { sender: { name: '', address: 'jörg@a.example' } },
    { ...all, eightBitMime: false },
    'smtpUtf8',
  ],
  ['a reverse-path for SMTPUTF8', { reversePath: 'jörg@a.example' }, none, 'smtpUtf8'],
];

for (const [what, campaign, offer, lack] of lacks) {
  test(`${what}: the relay lacks ${lack ?? 'nothing'}`, () => {
    assert.equal(findLack(envelopeOf(campaign), offer), lack);
  });
}

test('REQUIRETLS is a parameter of MAIL', () => {
  const mail = formatMail(envelopeOf({ requireTls: true }), 1, 1, false, { ...none, requireTls: true });
  assert.equal(mail, 'MAIL FROM:<bounce@mail.example.com> REQUIRETLS\r\n');
});
