// The oracle: an independent parser reads the same out of our bytes as out of nodemailer's, for any recipient.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Liquid } from 'liquidjs';
import MailComposer from 'nodemailer/lib/mail-composer';
import PostalMime from 'postal-mime';
import type { Attachment, Campaign } from '../../src/mail/campaign.ts';
import {
  assertContract,
  at,
  composeOne,
  messageOf,
  normaliseHeader,
  normaliseText,
  planOf,
  recipientOf,
  shownText,
  templateOf,
} from './campaigns.ts';

const columns = ['first name', 'city', 'note'];

/** What is blank and has no default makes no message. */
const printableCells = fc.array(shownText, { minLength: 3, maxLength: 3 });

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
    }),
  )
  .map(([body, rest]) => Object.assign(body, rest));

const plain = new Liquid({ ownPropertyOnly: true });
const escaping = new Liquid({ ownPropertyOnly: true, outputEscape: 'escape' });

test('a parser reads the same header, text, HTML and attachments as out of nodemailer’s message', async () => {
  await fc.assert(
    fc.asyncProperty(campaign, printableCells, async (some, cells) => {
      const plan = planOf(columns, { ...some, trusted: ['first name'] });
      const message = messageOf(composeOne(plan, recipientOf(cells)));
      assertContract(message);
      const ours = await read(message);
      const expectedSubject = normaliseHeader(render(plain, plan.campaign.subject.source, cells));
      const theirs = await read(await composeTheirs(plan.campaign, cells, expectedSubject));
      assert.deepEqual(ours.email, theirs.email);
      assert.deepEqual(ours.attachments, theirs.attachments);
      assert.equal(ours.subject, expectedSubject);
      // nodemailer passes on what already looks like an encoded-word, as an encoded-word.
      if (!expectedSubject.includes('=?')) assert.equal(ours.subject, theirs.subject.trim());
    }),
    { numRuns: 250 },
  );
});

test('no header field comes from a value', async () => {
  const plan = planOf(columns, { subject: templateOf('{{ first_name }}'), text: templateOf('{{ note }}') });
  await fc.assert(
    fc.asyncProperty(printableCells, async (cells) => {
      const { headers } = await PostalMime.parse(messageOf(composeOne(plan, recipientOf(cells))));
      const keys = headers.map(({ key }) => key);
      assert.deepEqual(keys, [
        'date',
        'message-id',
        'to',
        'subject',
        'from',
        'content-transfer-encoding',
        'mime-version',
        'content-type',
      ]);
    }),
  );
});

async function composeTheirs(campaign: Campaign, cells: readonly string[], subject: string): Promise<Buffer> {
  const values = cells.map(normaliseText);
  const composer = new MailComposer({
    from: { ...campaign.from },
    replyTo: campaign.replyTo?.source,
    to: recipientOf([]).address,
    subject,
    date: new Date(at),
    text: campaign.text === undefined ? undefined : render(plain, campaign.text.source, values),
    html: campaign.html === undefined ? undefined : render(escaping, campaign.html.source, values),
    attachments: campaign.attachments.map((one) => ({ ...one, content: Buffer.from(one.content) })),
    encoding: 'quoted-printable',
    newline: 'win',
  });
  return composer.compile().build();
}

function render(engine: Liquid, source: string, cells: readonly string[]): string {
  const [first_name, city, note] = cells;
  return String(engine.parseAndRenderSync(source, { first_name, city, note }));
}

async function read(
  message: string | Buffer,
): Promise<{ email: unknown; attachments: unknown; subject: string }> {
  const email = await PostalMime.parse(message, { attachmentEncoding: 'base64' });
  const { from, to, replyTo, date } = email;
  return {
    email: { from, to, replyTo, date, text: normaliseEnd(email.text), html: normaliseEnd(email.html) },
    attachments: email.attachments,
    subject: email.subject ?? '',
  };
}

/** The last line break may be the message's own. */
function normaliseEnd(text: string | undefined): string {
  return (text ?? '').replaceAll('\r\n', '\n').replace(/\n$/, '');
}
