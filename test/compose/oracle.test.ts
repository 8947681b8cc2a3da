// The oracle: three parsers read the same out of our bytes as out of nodemailer's, for any campaign and recipient.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Liquid } from 'liquidjs';
import MailComposer from 'nodemailer/lib/mail-composer';
import { finishCalendar, markValue } from '../../src/compose/calendar.ts';
import type { Attachment, Campaign } from '../../src/mail/campaign.ts';
import { messageIdOf as rowMessageId, messageIdPrefix } from '../../src/mail/message_id.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import {
  assertContract,
  at,
  composeOne,
  hostileText,
  messageOf,
  normaliseHeader,
  normaliseText,
  planOf,
  recipientOf,
  shownText,
  templateOf,
} from './campaigns.ts';
import { readers, readWithMailparser, readWithPostalMime, type ReadMail } from './read_mail.ts';

const columns = ['first name', 'city', 'note', 'token'];

/** What is blank and has no default makes no message. */
const printableCells = fc.tuple(shownText, shownText, shownText, cut(60));

/** What fits in a name, a URL and a line. */
function cut(length: number): fc.Arbitrary<string> {
  return hostileText.map((text) => text.slice(0, length)).filter((text) => text.trim() !== '');
}

const subject = fc.constantFrom(
  'News',
  '{{ first_name }}',
  "{{ first_name | default: 'Hello' }}, news from {{ city }}",
  '{{ city }}: {% if note %}{{ note }}{% endif %}',
);

const text = fc.constantFrom(
  'Dear {{ first_name }},\n\nyour city is {{ city }}.\n.\n{{ note }}\n',
  '.{{ first_name }}.{{ city }}.{{ note }}. ',
  '{{ first_name }} {{ city | upcase }} = {{ note }}\t{% if city %}{{ city }}{% endif %} end',
  `${'A long line that has to be broken somewhere, and again. '.repeat(4)}{{ note }}${' Größe'.repeat(20)}\n{{ first_name }}`,
);

const html = fc.constantFrom(
  '<p title="{{ first_name }}">Dear {{ first_name }}</p>\n<p>{{ note }}</p>',
  "<html><body>\n.{{ city | default: 'your & town' }}\n{% for i in (1..2) %}<i>{{ note }}</i>{% endfor %}</body></html>\n",
  '<p>{{ city }}</p>{{ first_name | raw }}<style>.a { color: red }</style>',
);

const attachment: fc.Arbitrary<Attachment> = fc.record({
  filename: fc.constantFrom(
    'a.png',
    'b.PDF',
    'Größe & Maß "x".txt',
    'noending',
    `${'long name '.repeat(12)}.jpg`,
  ),
  content: fc.uint8Array({ maxLength: 200 }),
  contentType: fc.constantFrom(undefined, 'image/gif', 'text/plain; charset=utf-8'),
  cid: fc.constantFrom(undefined, 'logo', 'part1@example.com'),
});

const mailbox = fc.record({
  name: fc.constantFrom('', 'Shop', 'Müller, "Söhne" & Co', '日本'),
  address: fc.constantFrom('hello@example.com', "o'hara+x@mail.example.com"),
});

const bodies = fc.oneof(
  fc.record({ text: text.map(templateOf) }),
  fc.record({ html: html.map(templateOf) }),
  fc.record({ text: text.map(templateOf), html: html.map(templateOf) }),
);

const invitation =
  'BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Tea with {{ token }}\nEND:VEVENT\nEND:VCALENDAR\n';

const url = 'https://a.example/u?t=';

const listFields = {
  listId: fc.constantFrom(undefined, 'News <news.example.com>'),
  unsubscribe: fc.constantFrom(undefined, { url: templateOf(`${url}{{ token }}`), oneClick: true }),
  headers: fc.constantFrom([], [['X-Token', templateOf('{{ token }}')]] as const),
};

const campaign: fc.Arbitrary<Partial<Campaign>> = fc
  .tuple(
    bodies,
    fc.record({
      subject: subject.map(templateOf),
      from: mailbox,
      replyTo: fc.option(
        fc
          .constantFrom('"Müller, \\"Söhne\\" & Co" <help@example.com>', "o'hara+x@example.com")
          .map(templateOf),
        { nil: undefined },
      ),
      attachments: fc.array(attachment, { maxLength: 3 }),
      to: fc.constantFrom(undefined, templateOf('{{ token }}'), templateOf('{{ token }} Example')),
      calendar: fc.constantFrom(
        undefined,
        { source: templateOf(invitation), method: 'REQUEST', filename: 'invite.ics' },
        { source: templateOf(invitation), method: 'REQUEST', filename: undefined },
      ),
      ...listFields,
    }),
  )
  .map(([body, rest]) => Object.assign(body, rest));

const plain = new Liquid({ ownPropertyOnly: true });
const escaping = new Liquid({ ownPropertyOnly: true, outputEscape: 'escape' });

interface Pair {
  readonly ours: Buffer;
  readonly theirs: Buffer;
  readonly subject: string;
  readonly token: string;
}

const skip = skipUnlessInstalled('python3');

test('three parsers read the same of our message as of nodemailer’s', { skip }, async () => {
  const pairs: Pair[] = [];
  await fc.assert(
    fc.asyncProperty(campaign, printableCells, async (some, cells) => {
      const plan = planOf(columns, { ...some, trusted: ['first name'] });
      const message = messageOf(composeOne(plan, recipientOf(cells)));
      assertContract(message);
      const subject = normaliseHeader(render(plain, plan.campaign.subject.source, cells));
      const theirs = await composeTheirs(plan.campaign, cells, subject);
      const pair = { ours: Buffer.from(message, 'latin1'), theirs, subject, token: cells[3] };
      pairs.push(pair);
      for (const read of [readWithPostalMime, readWithMailparser])
        assertSame(await read(pair.ours), await read(theirs), pair);
    }),
    { numRuns: 100 },
  );
  // One process for all of them.
  const ours = await readers.Python(pairs.map((pair) => pair.ours));
  const theirs = await readers.Python(pairs.map((pair) => pair.theirs));
  for (const [index, pair] of pairs.entries()) {
    const [own, other] = [ours[index], theirs[index]];
    assert.ok(own !== undefined && other !== undefined);
    assertSame(own, other, pair);
  }
});

function assertSame(ours: ReadMail, theirs: ReadMail, { subject, token }: Pair): void {
  assert.equal(ours.fields['subject'], subject);
  assert.ok(ours.names.includes('subject'));
  assert.deepEqual(settle(ours, subject, token), settle(theirs, subject, token));
}

/** Leaves out what nodemailer is known to do in another way; that ours is right, the hostile matrix shows. */
function settle(mail: ReadMail, subject: string, token: string): ReadMail {
  // It passes on what already looks like an encoded-word, as an encoded-word.
  const left = [subject.includes('=?') ? 'subject' : '', token.includes('=?') ? 'x-token' : ''];
  // And it writes no empty fields.
  for (const name of ['subject', 'x-token']) if ((mail.fields[name] ?? '') === '') left.push(name);
  const to = token.includes('=?') ? [] : (mail.mailboxes['to'] ?? []);
  return {
    ...mail,
    names: mail.names.filter((name) => !left.includes(name)),
    fields: Object.fromEntries(Object.entries(mail.fields).filter(([key]) => !left.includes(key))),
    mailboxes: { ...mail.mailboxes, to },
  };
}

async function composeTheirs(campaign: Campaign, cells: readonly string[], subject: string): Promise<Buffer> {
  const values = cells.map(normaliseText);
  const { address, row } = recipientOf([]);
  const composer = new MailComposer({
    from: { ...campaign.from },
    replyTo: campaign.replyTo?.source,
    to: { name: nameOf(campaign, cells), address },
    messageId: messageIdOf(campaign, row),
    subject,
    date: new Date(at),
    text: campaign.text === undefined ? undefined : render(plain, campaign.text.source, values),
    html: campaign.html === undefined ? undefined : render(escaping, campaign.html.source, values),
    attachments: campaign.attachments.map((one) => ({ ...one, content: Buffer.from(one.content) })),
    ...listsOf(campaign, cells[3] ?? ''),
    ...calendarOf(campaign, cells[3] ?? ''),
    encoding: 'quoted-printable',
    newline: 'win',
  });
  return composer.compile().build();
}

function nameOf({ to }: Campaign, cells: readonly string[]): string {
  if (to === undefined) return '';
  return normaliseHeader(render(plain, to.source, cells).replace(/[\u2028\u2029]/g, ' '));
}

function messageIdOf({ name, from }: Campaign, row: number): string {
  return `<${rowMessageId(messageIdPrefix(name), row, from.address.replace(/.*@/, ''))}>`;
}

type Options = MailComposer['mail'];

function listsOf({ listId, unsubscribe, headers }: Campaign, token: string): Options {
  const encoded = encodeURIComponent(token.toWellFormed()).replaceAll('(', '%28').replaceAll(')', '%29');
  return {
    headers: {
      ...(unsubscribe === undefined
        ? {}
        : { 'List-Unsubscribe': { prepared: true, foldLines: true, value: `<${url}${encoded}>` } }),
      ...(listId === undefined ? {} : { 'List-Id': listId }),
      ...(unsubscribe === undefined ? {} : { 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }),
      ...(headers.length === 0 ? {} : { 'X-Token': normaliseHeader(token) }),
    },
  };
}

function calendarOf({ calendar }: Campaign, token: string): Options {
  if (calendar === undefined) return {};
  const content = finishCalendar(invitation.replace('{{ token }}', () => markValue(token)));
  if (calendar.filename !== undefined) return { icalEvent: { content, method: 'REQUEST' } };
  return { alternatives: [{ contentType: 'text/calendar; charset=utf-8; method=REQUEST', content }] };
}

function render(engine: Liquid, source: string, cells: readonly string[]): string {
  const [first_name, city, note, token] = cells;
  return String(engine.parseAndRenderSync(source, { first_name, city, note, token }));
}
