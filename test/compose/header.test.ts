// Header fields: any value reads back as itself and never becomes another field.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import PostalMime from 'postal-mime';
import { formatField } from '../../src/compose/header.ts';
import { hostileText, normaliseHeader } from './campaigns.ts';

async function readSubject(field: string): Promise<string> {
  const { subject, headers } = await PostalMime.parse(`${field}\r\nX-End: 1\r\n\r\nbody\r\n`);
  assert.deepEqual(
    headers.map(({ key }) => key),
    ['subject', 'x-end'],
  );
  return subject ?? '';
}

test('a short ASCII value is written as it is', () => {
  assert.equal(formatField('Subject', 'Spring is here'), 'Subject: Spring is here');
});

test('a long ASCII value is folded before single spaces, at 78 characters', () => {
  const field = formatField('Subject', 'word '.repeat(40));
  const lines = field.split('\r\n');
  assert.ok(lines.length > 2);
  for (const line of lines) assert.ok(line.length <= 78 && line.length > 70 === (line !== lines.at(-1)));
  assert.equal(field.replaceAll('\r\n', ''), `Subject: ${'word '.repeat(40).trim()}`);
});

test('a run of blanks is kept, and never folded', () => {
  for (let length = 60; length < 72; length++) {
    const value = `${'x'.repeat(length)}  y ${'z'.repeat(20)}`;
    assert.ok(!formatField('Subject', value).includes('\r\n  '));
    assert.ok(!formatField('Subject', value).includes(' \r\n'));
  }
});

test('line breaks and controls become one space and never a header field', () => {
  assert.equal(
    formatField('Subject', 'a\r\nBcc: b@example.com\u0000\u0007c'),
    'Subject: a Bcc: b@example.com c',
  );
});

test('what looks like an encoded-word reads back literally', async () => {
  const value = '=?utf-8?q?=41?= and =?x';
  assert.equal(await readSubject(formatField('Subject', value)), value);
});

test('blanks at the ends go, and an empty value leaves an empty field', () => {
  assert.equal(formatField('Subject', '  a '), 'Subject: a');
  assert.equal(formatField('Subject', ' \r\n '), 'Subject:');
});

test('mostly Latin text is in Q and other scripts are in B, whichever is shorter', () => {
  assert.equal(
    formatField('Subject', 'Grüße an alle Kunden'),
    'Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe_an_alle_Kunden?=',
  );
  assert.equal(formatField('Subject', '日本語'), 'Subject: =?UTF-8?B?5pel5pys6Kqe?=');
});

test('a word that is longer than a line is encoded, or kept whole where asked', () => {
  const url = `<https://example.com/${'u'.repeat(90)}>`;
  assert.match(formatField('Subject', url), /=\?UTF-8\?/);
  assert.equal(
    formatField('List-Unsubscribe', `${url}, <mailto:x@example.com>`, true),
    `List-Unsubscribe: ${url},\r\n <mailto:x@example.com>`,
  );
});

test('a field name that leaves no room begins its encoded-words on the next line', () => {
  const name = 'X-A-Name-That-Is-Longer-Than-Any-Reasonable-Header-Name-Would-Be';
  assert.equal(formatField(name, 'é'), `${name}: \r\n =?UTF-8?B?w6k=?=`);
});

test('any value reads back as itself, in lines of 78 and encoded-words of 75 characters that each stand alone', async () => {
  await fc.assert(
    fc.asyncProperty(hostileText, async (value) => {
      const field = formatField('Subject', value);
      assert.match(field, /^[\r\n -~]*$/);
      for (const line of field.split('\r\n')) assert.ok(line.length <= 78, line);
      for (const word of field.match(/=\?UTF-8\?[QB]\?[^?]*\?=/g) ?? []) {
        assert.ok(word.length <= 75);
        const alone = await readSubject(`Subject: ${word}`);
        assert.equal(
          alone.includes('\ufffd') && !normaliseHeader(value).includes('\ufffd'),
          false,
          'a cut character',
        );
      }
      assert.equal(await readSubject(field), normaliseHeader(value));
    }),
    { numRuns: 300 },
  );
});

function word(length: number): string {
  return `<${'u'.repeat(length - 2)}>`;
}

test('a first word that fits in the next line only stands there, and one that fits in none stays where it is', () => {
  assert.equal(formatField('X-Url', word(75), true), `X-Url:\r\n ${word(75)}`);
  assert.equal(formatField('X-Url', word(71), true), `X-Url: ${word(71)}`);
  assert.equal(formatField('X-Url', word(78), true), `X-Url: ${word(78)}`);
});
