// Campaigns, recipients and hostile values for the tests of compose.
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { compileCampaign, type Composed } from '../../src/compose/compose.ts';
import type { Campaign, CampaignPlan, TemplateSource } from '../../src/mail/campaign.ts';
import type { Cell, Recipient } from '../../src/mail/recipient.ts';

export const at = Date.UTC(2026, 8, 1, 9, 30);

export function templateOf(source: string): TemplateSource {
  return { file: 'template.txt', line: 1, source };
}

export function planOf(columns: readonly string[], campaign: Partial<Campaign>): CampaignPlan {
  const base: Campaign = {
    name: 'spring-sale',
    from: { name: 'Shop', address: 'hello@mail.example.com' },
    reversePath: 'bounce@mail.example.com',
    subject: templateOf('Spring is here'),
    attachments: [],
    headers: [],
  };
  return { id: 1, columns, campaign: { ...base, ...campaign } };
}

/** Header fields of a campaign, in order. */
export function headersOf(
  ...fields: readonly (readonly [name: string, value: string])[]
): Campaign['headers'] {
  return fields.map(([name, value]) => [name, templateOf(value)]);
}

export function recipientOf(cells: readonly Cell[], address = 'ann@example.net'): Recipient {
  return { row: 7, line: 8, address, cells };
}

export function composeOne(plan: CampaignPlan, recipient: Recipient): Composed {
  return compileCampaign(plan).compose(recipient, at);
}

/** The message, where there must be one. */
export function messageOf(composed: Composed): string {
  assert.equal(composed.kind, 'message', composed.kind === 'invalid' ? composed.reason : '');
  return composed.message;
}

/** What SMTP sessions rely on. */
export function assertContract(message: string): void {
  assert.match(message, /^[\t\r\n -~]*$/, 'only ASCII');
  assert.ok(message.endsWith('\r\n'), 'ends with CRLF');
  assert.equal(message.replaceAll('\r\n', '').search(/[\r\n]/), -1, 'no bare CR or LF');
  const lines = message.slice(0, -2).split('\r\n');
  const bodyAt = lines.indexOf('');
  assert.ok(bodyAt > 0, 'has header and body');
  lines.forEach((line, index) => {
    assert.ok(!line.startsWith('.'), `line ${index} begins with a dot`);
    // The names of attachments stand in the headers of parts, and words of them are not cut.
    const isField = index < bodyAt || /^(?:Content-(?:Type|Disposition): | )/.test(line);
    assert.ok(line.length <= (isField ? 998 : 76), `line ${index} has ${line.length} characters`);
    if (index < bodyAt) assert.match(line, /^[!-9;-~]+:|^[ \t]+\S/, 'a field or the folded rest of one');
  });
}

/** The bytes of quoted-printable text as a string; refuses what RFC 2045 §6.7 does not allow. */
export function decodeQuotedPrintable(encoded: string): string {
  assert.match(encoded, /^(?:[\t\r\n -<>-~]|=[0-9A-F]{2}|=\r\n)*$/, 'only legal sequences');
  assert.doesNotMatch(encoded, /[ \t](?:\r\n|$)/, 'no blank at the end of a line');
  const bytes = encoded
    .replaceAll('=\r\n', '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'));
}

const nasties = [
  '\r\nBcc: victim@example.com\r\n\r\nbody',
  '\r\n.\r\nMAIL FROM:<x@example.com>',
  '\n',
  '\r',
  '\r\n',
  '\u0000',
  '\u007f',
  '\u0085',
  '\u2028',
  '=',
  '=?utf-8?q?=41?=',
  '=?',
  '?=',
  '=20',
  '.',
  '..',
  ' ',
  '  ',
  '\t',
  'trailing   ',
  '   leading',
  '-',
  '--=_posthaste',
  '<script>alert("1")</script>',
  "O'Hara & Söhne <b>",
  '{{ name }}',
  '{% assign x = 1 %}',
  '{{',
  '%}',
  '😀',
  '👩‍👩‍👧‍👦',
  'é',
  'é',
  'שלום עולם',
  'مرحبا',
  '日本語のお名前',
  '\ud800',
  '\udfff',
  '﻿',
  'From here on',
  'x'.repeat(76),
  'x'.repeat(998),
  '.'.repeat(200),
  'long '.repeat(1000),
  'ü'.repeat(5000),
];

/** Texts that some part of the mail system would like to take for something else. */
export const hostileText = fc
  .array(
    fc.oneof(
      fc.constantFrom(...nasties),
      fc.string({ unit: 'grapheme', maxLength: 30 }),
      fc.string({ unit: 'binary' }),
    ),
    {
      maxLength: 5,
    },
  )
  .map((parts) => parts.join(''));

/** The same, and never a missing value. */
export const shownText = hostileText.filter((text) => text.trim() !== '');

/** Line breaks as quoted-printable text keeps them: each value by itself, and no half characters. */
export function normaliseText(text: string): string {
  return text.replace(/\r\n?/g, '\n').toWellFormed();
}

/** A header value as it must read back. */
export function normaliseHeader(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .replaceAll('\ufeff', '')
    .toWellFormed()
    .trim();
}

/** The only body of a message, decoded. */
export function bodyOf(message: string): string {
  const encoded = message.slice(message.indexOf('\r\n\r\n') + 4);
  return decodeQuotedPrintable(encoded).replaceAll('\r\n', '\n');
}
