// Sequences that sloppy servers take for the end of data, each with a second message behind it, in every merge field.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import PostalMime from 'postal-mime';
import type { KeptMessage } from '../../src/sandbox/kept_message.ts';
import { Folder } from '../cli/posthaste.ts';
import { writeConfig, type Relay } from './mailing.ts';

/**
 * The nine that SEC Consult's SMTP-Smuggling-Tools send through relays, the three that it tries on servers besides, and
 * the real one.
 */
export const endings = [
  '\n.\n',
  '\n.\r',
  '\r.\n',
  '\r.\r',
  '\n.\r\n',
  '\r.\r\n',
  '\r\n.\r\r\n',
  '\r\r\n.\r\r\n',
  '\r\n\0.\r\n',
  '\r\n.\n',
  '\r\n.\r',
  '\r\n.\0\r\n',
  '\r\n.\r\n',
] as const;

/** Whom a smuggled message would go to. Every peer takes mail for them. */
export const victimDomain = 'victims.test';

/** A whole transaction, as it would have to stand behind the end of the one before. */
export const smuggledTransaction =
  `MAIL FROM:<evil@attacker.test>\r\nRCPT TO:<victim@${victimDomain}>\r\nDATA\r\n` +
  'From: Boss <boss@mail.example.com>\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n';

/** Places in which a value of the list stands; all but `line` in the middle of a line. */
const places = ['subject', 'text', 'line', 'filtered', 'html', 'attribute', 'raw', 'name', 'header'] as const;
type Place = (typeof places)[number];

interface Row {
  readonly email: string;
  /** What each place holds for this recipient. */
  readonly values: Readonly<Record<Place, string>>;
}

const campaign = {
  from: 'Shop <hello@mail.example.com>',
  subject: 'On {{ subject }} again',
  text: 'Dear {{ text }} all,\n{{ line }}\nand {{ filtered | upcase }}\n',
  html: '<p title="a {{ attribute }} b">Dear {{ html }} all</p>\n{{ raw | raw }}\n',
  to: 'Reader {{ name }}',
  headers: { 'X-Order': 'No. {{ header }}' },
  trusted: ['raw'],
  list: { address: 'email' },
  retry: { first: '1s', factor: 1, jitter: 0, giveUpAfter: '1m' },
};

/** A mailing to recipients at NAME.test, each of whom has one of the endings in one of the places. */
export function openSmuggling(context: TestContext, name: string, relay: Relay): Folder {
  const rows = [...makeRows(name), ...makeWrongRows(name)];
  const lines = rows.map(({ email, values }) => JSON.stringify({ email, ...values }));
  return new Folder(context, {
    'campaign.yaml': JSON.stringify({ name, ...campaign }),
    'relay.yaml': writeConfig(relay),
    'list.ndjson': `${lines.join('\n')}\n`,
  });
}

const files = ['campaign.yaml', 'list.ndjson', '--config', 'relay.yaml', '--results', 'results.ndjson'];
export const smugglingArgs = ['send', ...files, '--state', 'state', '--json'];

const plainValues: Row['values'] = {
  subject: 'one',
  text: 'two',
  line: 'three',
  filtered: 'four',
  html: 'five',
  attribute: 'six',
  raw: 'seven',
  name: 'eight',
  header: 'nine',
};

/** Rows of which messages can be made. */
function makeRows(name: string): readonly Row[] {
  return makeAllRows(name).filter((row) => !holdsNul(row));
}

/** Rows that must turn out invalid: no value may hold a NUL, and no address such a sequence, not even between quotes. */
function makeWrongRows(name: string): readonly Row[] {
  const command = `RCPT TO:<victim@${victimDomain}`;
  const addresses = endings.flatMap((ending) => [
    `reader@${name}.test>${ending}${command}`,
    `reader@${name}.test${ending}${command}`,
    `"reader${ending}DATA"@${name}.test`,
    `reader@${name}.test${ending}`.replace(/\s+$/, ''),
  ]);
  return [
    ...makeAllRows(name).filter(holdsNul),
    ...addresses.map((email) => ({ email, values: plainValues })),
  ];
}

/** How many rows are to be accepted, and how many invalid. */
export const rowCounts = { accepted: makeRows('any').length, invalid: makeWrongRows('any').length };

function makeAllRows(name: string): readonly Row[] {
  return places.flatMap((place) =>
    endings.map((ending, index) => {
      // Where the value begins a line, the template has written what comes before the dot.
      const begun = place === 'line' ? ending.replace(/^[\r\n\0]+/, '') : `x${ending}`;
      const value = `${begun}${smuggledTransaction}y`;
      return { email: `${place}${index}@${name}.test`, values: { ...plainValues, [place]: value } };
    }),
  );
}

function holdsNul({ values }: Row): boolean {
  return Object.values(values).some((value) => value.includes('\0'));
}

/** Each recipient has one message, which says what the list says, and nobody else has any. */
export async function assertNotSmuggled(
  name: string,
  arrivals: (domain: string) => Promise<readonly KeptMessage[]>,
): Promise<void> {
  assert.deepEqual(await arrivals(victimDomain), []);
  const messages = await arrivals(`${name}.test`);
  const rows = new Map(makeRows(name).map((row) => [row.email, row]));
  const recipients = messages.flatMap((message) => message.recipients);
  assert.deepEqual(recipients.toSorted(), [...rows.keys()].toSorted());
  for (const { reversePath, recipients, data } of messages) {
    assert.equal(reversePath, 'hello@mail.example.com');
    await assertSays(data, rows.get(recipients[0] ?? '')?.values ?? plainValues);
  }
}

async function assertSays(data: Buffer, values: Row['values']): Promise<void> {
  const { subject, text, html, to, headers } = await PostalMime.parse(data);
  assert.equal(to?.[0]?.name, `Reader ${inOneLine(values.name)}`);
  const order = headers.find(({ key }) => key === 'x-order')?.value;
  assert.equal(order, `No. ${inOneLine(values.header)}`);
  assert.equal(subject, `On ${inOneLine(values.subject)} again`);
  const filtered = values.filtered.toUpperCase();
  assert.equal(inLines(text), inLines(`Dear ${values.text} all,\n${values.line}\nand ${filtered}\n`));
  const [attribute, dear] = [escapeHtml(values.attribute), escapeHtml(values.html)];
  assert.equal(inLines(html), inLines(`<p title="a ${attribute} b">Dear ${dear} all</p>\n${values.raw}\n`));
}

/** Header fields know no control characters: a run of them is a space. */
function inOneLine(value: string): string {
  return value.replace(/\p{Cc}+/gu, ' ');
}

/** A line break is a line break, however it was written (RFC 2045 §6.7 (4)). */
function inLines(text = ''): string {
  return text.replace(/\r\n|\r|\n/g, '\n').trimEnd();
}

function escapeHtml(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
