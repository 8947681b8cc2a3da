// Messages for the tests of sign: composed ones, and any others that the contract of a signer allows.
import * as fc from 'fast-check';
import type { Campaign } from '../../src/mail/campaign.ts';
import {
  composeOne,
  headersOf,
  messageOf,
  planOf,
  recipientOf,
  shownText,
  templateOf,
} from '../compose/campaigns.ts';

const columns = ['name', 'note'];

const subject = fc.constantFrom('News', '{{ name }}', '{{ name }}: {{ note }}');

const text = fc.constantFrom(
  'Dear {{ name }},\n\n{{ note }}\n',
  '  {{ name }}  and\t{{ note }} \n\n\n',
  '\n\n',
  '.{{ note }}',
);

const html = fc.constantFrom(
  '<p>Dear {{ name }}</p>\n    <p>\t{{ note }}  </p>\n\n',
  '<table>\n\t<tr>\n\t\t<td>  {{ note }}</td>\n\t</tr>\n</table>',
);

const headers = fc.subarray([
  ['List-Unsubscribe', '<https://example.com/u?{{ name }}>, <mailto:u@example.com>'],
  ['List-Unsubscribe-Post', 'List-Unsubscribe=One-Click'],
  ['List-Id', 'News of the shop <news.example.com>'],
  ['Feedback-ID', 'spring:shop:mail:example'],
  ['In-Reply-To', '<1@example.com>'],
  ['References', `<1@example.com> ${'<a-rather-long-reference@example.com> '.repeat(5)}`],
  [
    'X-Campaign',
    'two  blanks and  more, with enough words to be folded somewhere on the way, and again here',
  ],
] as const);

const campaign: fc.Arbitrary<Partial<Campaign>> = fc
  .record({
    subject,
    text: fc.option(text, { nil: undefined }),
    html,
    headers,
    replyTo: fc.constantFrom(undefined, templateOf('Müller & Söhne <help@example.com>')),
    attachments: fc.constantFrom([], [{ filename: 'a.bin', content: new Uint8Array(300) }]),
  })
  .map(({ subject, text, html, ...rest }) =>
    Object.assign(rest, {
      headers: headersOf(...rest.headers),
      subject: templateOf(subject),
      text: text === undefined ? undefined : templateOf(text),
      html: templateOf(html),
    }),
  );

/** Messages as Posthaste composes them, with values that want to be something else. */
export const composedMessage: fc.Arbitrary<string> = fc
  .tuple(campaign, fc.array(shownText, { minLength: columns.length, maxLength: columns.length }))
  .map(([some, cells]) => composeOne(planOf(columns, some), recipientOf(cells)))
  // A value may be longer than a line of a header can be.
  .filter((composed) => composed.kind === 'message')
  .map(messageOf);

const fieldName = fc.constantFrom(
  'From',
  'from',
  'FROM',
  'To',
  'Subject',
  'Date',
  'Message-ID',
  'Cc',
  'Reply-To',
  'Sender',
  'List-Unsubscribe',
  'Content-Type',
  'X-Other',
  'Received',
);

const fragment = fc.constantFrom(
  'word',
  'x@example.com',
  '<1@example.com>',
  'a:b',
  ';',
  '=',
  '.',
  'b=',
  ' ',
  '  ',
  '\t',
);
const fold = fc.constantFrom('\r\n ', '\r\n\t', ' \r\n  ', '\t\r\n \t');

/** A value that has something to show on each of its lines (RFC 5322 §3.2.2). */
const fieldValue = fc
  .array(fc.tuple(fc.option(fold, { nil: '' }), fragment), { maxLength: 8 })
  .map(
    (parts) =>
      ` ${parts.map(([before, word]) => `${before}${word.trim() === '' ? `w${word}` : word}`).join('')}`,
  );

const field = fc
  .tuple(fieldName, fieldValue, fc.constantFrom('', ' ', '\t'))
  .map(([name, value, end]) => `${name}:${value}${end}\r\n`);

const bodyLine = fc.array(fc.constantFrom('word', '=20', ' ', '  ', '\t', '', '--x', '='), { maxLength: 6 });

/** Headers with folds, repeated fields and odd blanks; bodies with blanks and empty lines everywhere. One From at least. */
export const anyMessage: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(field, { maxLength: 8 }),
    fc.array(field, { maxLength: 4 }),
    fc.array(bodyLine, { maxLength: 8 }),
  )
  .map(
    ([before, after, lines]) =>
      `${before.join('')}From: hello@mail.example.com\r\n${after.join('')}\r\n${lines.map((words) => `${words.join('')}\r\n`).join('')}`,
  );
