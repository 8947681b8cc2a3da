// The matrix of merge fields and hostile values: three parsers read the harmless message with the value in its place, or the row is invalid.
import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { compileCampaign, type Composer } from '../../src/compose/compose.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import { assertContract, at, messageOf, planOf, recipientOf } from './campaigns.ts';
import { campaignOf, forms, markOf, places, type MergePlace } from './merge_places.ts';
import { readers, withoutBlanks, type ReadMail } from './read_mail.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'posthaste-matrix-')));
after(() => rmSync(root, { recursive: true, force: true }));
writeFileSync(join(root, 'a.pdf'), '%PDF of the row');

const hostile: Readonly<Record<string, string>> = {
  CR: '\r',
  LF: '\n',
  CRLF: '\r\n',
  'a header field': '\r\nBcc: victim@example.com\r\n\r\nbody',
  'the end of the message': '\r\n.\r\nMAIL FROM:<x@example.com>',
  NUL: '\0',
  VT: '\v',
  tab: '\t',
  DEL: '\u007f',
  'U+0085': '\u0085',
  'U+2028': '\u2028',
  'U+2029': '\u2029',
  'an encoded-word in Q': '=?utf-8?q?=41?=',
  'an encoded-word in B': '=?UTF-8?B?QQ==?= =?UTF-8?B?QQ==?=',
  'half an encoded-word': '=?utf-8?q?',
  'the end of an encoded-word': '?=',
  'quoted-printable': '=3D=\r\n=',
  'percent-encoding': '%0d%0a%zz',
  RFC2231: "utf-8''%41",
  'a script': '<script>alert("1")</script>',
  'the end of an attribute': `"' onclick='x`,
  'an entity': '&lt;&#10;',
  'a script as a link': 'javascript:alert(1)',
  'an output tag': '{{ subject }}',
  'a tag': '{% assign x = 1 %}',
  'half a tag': '{{',
  'a delimiter': '\r\n--=_posthaste--\r\n',
  'another mailbox': '", <evil@example.com>, "',
  'the way out of a folder': '../../a',
  'the end of a property': '\nATTENDEE:mailto:x@example.net\\;,',
  'half a character in front': '\ud800',
  'half a character behind': '\udfff',
  'right to left': 'שלום עולם',
  'an override': '\u202etxet\u202c',
  emoji: '😀',
  'joined emoji': '👩‍👩‍👧‍👦',
  'a combining mark': 'e\u0301',
  'many combining marks': `e${'\u0301\u0323'.repeat(60)}`,
  'a mark alone': '\u0301',
  'a byte order mark': 'a\ufeffb',
  'a dot': '.',
  'no-break spaces': '\u00a0\u00a0',
  'a long word': 'x'.repeat(2000),
  'a long text': 'long text, Größe '.repeat(600),
};

/** In the values' own right, and inside of others. */
const values: readonly (readonly [what: string, value: string])[] = Object.entries(hostile).flatMap(
  ([what, value]) => [[what, value] as const, [`${what} between letters`, `A${value}B`] as const],
);

/** Liquid has the same encoders behind it. */
function isInside([what]: readonly [what: string, value: string]): boolean {
  return what.endsWith('between letters');
}

const megabyte = 'One megabyte of words. '.repeat(45_591);

interface Cell {
  readonly what: string;
  /** By column; the others are harmless. */
  readonly put: ReadonlyMap<MergePlace, string>;
  readonly message: Buffer;
}

const columns = places.map(({ column }) => column);

function compose(composer: Composer, put: ReadonlyMap<MergePlace, string>) {
  const cells = places.map(
    (place) => put.get(place) ?? (place.column === 'files' ? 'a.pdf' : markOf(place.column)),
  );
  return composer.compose(recipientOf(cells), at);
}

/** The message, or undefined where the row is invalid as it may be. */
function tryCell(composer: Composer, what: string, put: ReadonlyMap<MergePlace, string>): Cell | undefined {
  const composed = compose(composer, put);
  if (composed.kind === 'message') {
    // The addresses that only SMTPUTF8 carries are octets; all else keeps its promises there, too.
    const { isUtf8, message } = composed;
    assertContract(
      isUtf8 ? message.replace(/^Reply-To:.*$/m, (line) => line.replace(/[^\t -~]/g, 'u')) : message,
    );
    return { what, put, message: Buffer.from(composed.message, 'latin1') };
  }
  const isExpected = [...put].some(
    ([{ column, refusal }, value]) =>
      refusal?.test(composed.reason) === true ||
      (value.trim() === '' && composed.reason.startsWith(`column "${column}" is blank, and `)),
  );
  assert.ok(isExpected, `${what}: ${composed.reason}`);
  return undefined;
}

/** All readers find the harmless message, with the values where the marks are. */
async function assertRead(
  composer: Composer,
  cells: readonly Cell[],
  chosen: readonly (keyof typeof readers)[] = ['postal-mime', 'mailparser', 'Python'],
): Promise<void> {
  const harmless = Buffer.from(messageOf(compose(composer, new Map())), 'latin1');
  for (const name of chosen) {
    const [reference, ...mails] = await readers[name]([harmless, ...cells.map(({ message }) => message)]);
    assert.ok(reference !== undefined && mails.length === cells.length);
    for (const [index, { what, put }] of cells.entries()) {
      const mail = mails[index];
      assert.ok(mail !== undefined);
      const found = withCalendar(mail);
      const wanted = withValues(withCalendar(reference), put, name === 'Python');
      // A megabyte in a diff helps nobody.
      if (!isDeepStrictEqual(found, wanted))
        assert.deepEqual(shorten(found), shorten(wanted), `${name}: ${what}`);
      assert.ok(isDeepStrictEqual(found, wanted), `${name}: ${what}`);
    }
  }
}

/** Invitations as unfolded text instead of their bytes. */
function withCalendar(mail: ReadMail): ReadMail {
  const attachments = mail.attachments.map((one) => {
    if (!/calendar|ics/.test(one.type)) return one;
    const text = Buffer.from(one.base64, 'base64').toString();
    // A parser makes other line ends of text.
    return { ...one, base64: text.replaceAll('\r\n', '\n').replaceAll('\n ', '') };
  });
  return { ...mail, attachments };
}

function withValues(mail: ReadMail, put: ReadonlyMap<MergePlace, string>, losesBlanks: boolean): ReadMail {
  const swap = (text: string): string => {
    let swapped = text;
    for (const [{ column, encode }, value] of put)
      swapped = swapped.replaceAll(markOf(column), () => encode(value));
    return swapped;
  };
  const swapName = (text: string): string => (losesBlanks ? withoutBlanks(swap(text)) : swap(text));
  const swapAll = (fields: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(fields).map(([key, text]) => [key, swap(text)]));
  return {
    ...mail,
    mailboxes: Object.fromEntries(
      Object.entries(mail.mailboxes).map(([key, boxes]) => [
        key,
        boxes.map(([name, address]) => [swapName(name), swap(address)] as const),
      ]),
    ),
    fields: swapAll(mail.fields),
    text: swap(mail.text),
    html: swap(mail.html),
    attachments: mail.attachments.map((one) => ({ ...one, name: swap(one.name), base64: swap(one.base64) })),
  };
}

function shorten(mail: ReadMail): unknown {
  return JSON.parse(JSON.stringify(mail), (_, value: unknown) =>
    typeof value === 'string' && value.length > 2000 ? `${value.slice(0, 1000)}…${value.length}` : value,
  );
}

const skip = skipUnlessInstalled('python3');

/** What must not be cut, and what must not stand alone at a line's start. */
const marks = [
  ['e\u0301\u0323', 'x'],
  ['👩‍👩‍👧‍👦', 'word '],
  ['.', 'x'],
] as const;

for (const [form, print] of Object.entries(forms)) {
  test(
    `in every merge field that is ${form}, hostile values stay values, for three parsers`,
    { skip },
    async (t) => {
      const composer = compileCampaign(planOf(columns, campaignOf(print, root)));
      const cells: Cell[] = [];
      let refused = 0;
      for (const place of places) {
        for (const [what, value] of form === 'a column piece' ? values : values.filter(isInside)) {
          const cell = tryCell(composer, `${what} in ${place.column}`, new Map([[place, value]]));
          if (cell === undefined) refused += 1;
          else cells.push(cell);
        }
      }
      await assertRead(composer, cells);
      t.diagnostic(`${cells.length} cells read by three parsers, ${refused} rows invalid`);
    },
  );

  test(
    `in every merge field that is ${form}, a megabyte is read as a megabyte or makes the row invalid`,
    { skip },
    async (t) => {
      const composer = compileCampaign(planOf(columns, campaignOf(print, root)));
      const cells = places.flatMap(
        (place) => tryCell(composer, `1 MB in ${place.column}`, new Map([[place, megabyte]])) ?? [],
      );
      await assertRead(composer, cells, ['postal-mime', 'mailparser']);
      t.diagnostic(`${cells.length} of ${places.length} cells are messages`);
      if (form !== 'a column piece') return;
      // Python takes time that grows with the square of a field's length: half a minute for this one.
      const inBodies = cells.filter(({ put }) =>
        [...put.keys()].every(({ column }) => !/^(?:subject|custom|feedback)$/.test(column)),
      );
      await assertRead(composer, inBodies, ['Python']);
    },
  );

  test(
    `in every merge field that is ${form}, no character is cut wherever lines are folded and wrapped`,
    { skip },
    async (t) => {
      const composer = compileCampaign(planOf(columns, campaignOf(print, root)));
      const atOnce = places.filter(({ column }) => column !== 'files' && column !== 'reply_address');
      const cells: Cell[] = [];
      for (const [mark, filler] of form === 'a column piece' ? marks : marks.slice(0, 1)) {
        for (let offset = 0; offset <= 80; offset++) {
          const value = `${filler.repeat(80).slice(0, offset)}${mark}yz`;
          const cell = tryCell(
            composer,
            `${mark} at ${offset}`,
            new Map(atOnce.map((place) => [place, value])),
          );
          assert.ok(cell !== undefined);
          cells.push(cell);
        }
      }
      await assertRead(composer, cells);
      t.diagnostic(`${cells.length} messages, ${atOnce.length} values in each`);
    },
  );
}
