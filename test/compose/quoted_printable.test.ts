// Quoted-printable in pieces: what RFC 2045 §6.7 allows, and nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  appendEnd,
  appendEscaped,
  appendRun,
  appendText,
  makeRun,
  type Cursor,
} from '../../src/compose/quoted_printable.ts';
import { decodeQuotedPrintable, hostileText, normaliseText } from './campaigns.ts';

function encode(text: string, column = 0): string {
  const cursor: Cursor = { text: '', column };
  appendText(cursor, text);
  return cursor.text;
}

const table: readonly (readonly [fact: string, text: string, encoded: string])[] = [
  ['plain ASCII stands for itself', "Hello, Ann! (it's 5 o'clock)", "Hello, Ann! (it's 5 o'clock)"],
  ['an equals sign is encoded', '1=1', '1=3D1'],
  ['controls and DEL are encoded', '\u0000\u001b\u007f', '=00=1B=7F'],
  ['a tab inside a line stands for itself', 'a\tb', 'a\tb'],
  ['every byte of a character is encoded', 'é€😀', '=C3=A9=E2=82=AC=F0=9F=98=80'],
  ['a lone surrogate is the replacement character', 'a\ud800b\udc00', 'a=EF=BF=BDb=EF=BF=BD'],
  ['a bare LF ends a line', 'a\nb', 'a\r\nb'],
  ['a bare CR ends a line', 'a\rb', 'a\r\nb'],
  ['CRLF ends one line', 'a\r\n\r\nb', 'a\r\n\r\nb'],
  ['a blank before a line break is encoded', 'a \nb\t\r\n', 'a=20\r\nb=09\r\n'],
  ['a blank at the end of a piece is encoded', 'a  ', 'a =20'],
  ['a dot that begins a line is encoded', '.a\n.b\n..', '=2Ea\r\n=2Eb\r\n=2E.'],
  ['a dot inside a line stands for itself', 'a.b', 'a.b'],
  ['nothing is nothing', '', ''],
];

for (const [fact, text, encoded] of table) test(fact, () => assert.equal(encode(text), encoded));

test('a line has at most 75 characters and its soft break', () => {
  assert.equal(encode('x'.repeat(75)), 'x'.repeat(75));
  assert.equal(encode('x'.repeat(76)), `${'x'.repeat(75)}=\r\nx`);
  assert.equal(encode('x'.repeat(10), 65), 'x'.repeat(10));
  assert.equal(encode('x'.repeat(10), 66), `=\r\n${'x'.repeat(10)}`);
});

test('a dot after a soft break is encoded', () => {
  assert.equal(encode(`${'x'.repeat(75)}.`), `${'x'.repeat(75)}=\r\n=2E`);
  assert.equal(encode('.net', 73), '=\r\n=2Enet');
});

test('the bytes of one character stay on one line', () => {
  assert.equal(encode('é', 69), '=C3=A9');
  assert.equal(encode('é', 70), '=\r\n=C3=A9');
  assert.equal(encode('😀', 64), '=\r\n=F0=9F=98=80');
});

test('a run that does not fit behind a value begins a new line', () => {
  const run = makeRun('a static run of text\nand more');
  const cursor: Cursor = { text: '', column: 0 };
  appendText(cursor, 'v'.repeat(60));
  appendRun(cursor, run);
  assert.equal(cursor.text, `${'v'.repeat(60)}=\r\na static run of text\r\nand more`);
  assert.equal(cursor.column, 8);
});

test('a run that fits behind a value continues its line', () => {
  const cursor: Cursor = { text: '', column: 0 };
  appendText(cursor, 'Ann');
  appendRun(cursor, makeRun(', hello'));
  assert.deepEqual(cursor, { text: 'Ann, hello', column: 10 });
});

test('an unfinished last line is ended, a finished one is left alone', () => {
  for (const text of ['a', 'a\n']) {
    const cursor: Cursor = { text: '', column: 0 };
    appendText(cursor, text);
    appendEnd(cursor);
    assert.equal(cursor.text, 'a\r\n');
  }
});

test('the five characters of HTML are escaped as liquidjs escapes them', () => {
  const cursor: Cursor = { text: '', column: 0 };
  appendEscaped(cursor, `<b class="x">'&'</b>`);
  assert.equal(decodeQuotedPrintable(cursor.text), '&lt;b class=&#34;x&#34;&gt;&#39;&amp;&#39;&lt;/b&gt;');
});

const piece = fc.record({ how: fc.constantFrom('run', 'text', 'escaped'), text: hostileText });

test('pieces of any text, in any order, decode to that text and keep every line legal', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const cursor: Cursor = { text: '', column: 0 };
      for (const { how, text } of pieces) {
        if (how === 'run') appendRun(cursor, makeRun(text));
        else if (how === 'text') appendText(cursor, text);
        else appendEscaped(cursor, text);
        const lines = cursor.text.split('\r\n');
        assert.equal(cursor.column, lines.at(-1)?.length, 'the column is that of the last line');
        assert.ok(cursor.column <= 75);
      }
      for (const line of cursor.text.split('\r\n')) {
        assert.ok(line.length <= 76);
        assert.ok(!line.startsWith('.'));
      }
      const normalised = pieces.map(({ how, text }) =>
        normaliseText(how === 'escaped' ? escapeHtml(text) : text),
      );
      assert.equal(decodeQuotedPrintable(cursor.text).replaceAll('\r\n', '\n'), normalised.join(''));
    }),
    { numRuns: 500 },
  );
});

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&#34;')
    .replaceAll("'", '&#39;');
}
