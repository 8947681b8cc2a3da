// Holds our use of csv-parse to its two ways of reading: what is read strictly reads the same when looked at closely.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { nulFlaw, readCsv } from '../../src/intake/csv.ts';
import { undecodable } from '../../src/intake/row.ts';

const closing = 'text stands after a closing quote';

test('lines that keep to RFC 4180 are read the same beside a line that asks for a closer look', () => {
  const cell = fc.string({
    unit: fc.constantFrom('a', 'ü', ',', '"', '\n', '\r', ' ', '\u{1f600}'),
    maxLength: 5,
  });
  const tables = fc.array(fc.array(cell, { minLength: 2, maxLength: 3 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(tables, fc.constantFrom('\n', '\r\n', '\r'), (table, end) => {
      const lines = table.map((cells) => cells.map((one) => `"${one.replaceAll('"', '""')}"`).join(','));
      const text = lines.join(end) + end;
      const strictly = readCsv(text, ',', 7);
      const closely = readCsv(`${text}a"b${end}`, ',', 7);
      assert.deepEqual(closely.rows.slice(0, -1), strictly.rows);
      assert.equal(closely.lineCount, strictly.lineCount + 1);
      assert.deepEqual(
        strictly.rows.map((row) => row.cells),
        table,
      );
    }),
    { numRuns: 1000 },
  );
});

test('lines without any quote are read the same beside a line that asks for a closer look', () => {
  const cell = fc.string({ unit: fc.constantFrom('a', 'ü', ' ', '\t', ';', '\u{1f600}'), maxLength: 5 });
  const tables = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(tables, fc.constantFrom('\n', ''), (table, end) => {
      const text = table.map((cells) => cells.join(',')).join('\n');
      const plain = readCsv(text + end, ',', 7);
      const closely = readCsv(`${text}\na"b\n`, ',', 7);
      assert.deepEqual(closely.rows.slice(0, -1), plain.rows);
      assert.equal(closely.lineCount, plain.lineCount + 1);
      assert.deepEqual(
        plain.rows.map((row) => row.cells),
        table,
      );
    }),
    { numRuns: 1000 },
  );
});

test('a cell is told from one with text after its closing quote', () => {
  const table: [string, string][] = [
    ['"a"\n', ''],
    ['""\n', ''],
    ['"""a"""\n', ''],
    ['"""a""b"\n', ''],
    ['""""\n', ''],
    ['\n\r\n"""ü"""\n', ''],
    ['"a"b\n', closing],
    ['""a""\n', closing],
    ['""a"\n', closing],
    ['"a" \n', closing],
    ['"a""b"c""\n', closing],
    ['\n\n"ü"ü\n', closing],
    ['"a\0"\n', nulFlaw],
    ['"a"\0\n', nulFlaw],
    ['  "a"\n', 'a space stands before an opening quote'],
    [' a "b"\n', ''],
  ];
  for (const [text, flaw] of table) {
    assert.deepEqual(
      readCsv(text, ',', 1).rows.map((row) => row.flaw),
      [flaw],
      JSON.stringify(text),
    );
  }
});

test('reading stops at a broken record that spans lines, and tells how many of them it costs', () => {
  const table: [string, number, { flaw: string; lineCount: number }][] = [
    ['1,2\n\n3,"4\n4"4\n', 2, { flaw: closing, lineCount: 1 }],
    ['1,2\n"3\n3","4\n4"4\n', 1, { flaw: closing, lineCount: 2 }],
    ['"1"1,"2\n2"\n', 0, { flaw: closing, lineCount: 1 }],
    ['"1"1,"2\n', 0, { flaw: closing, lineCount: 1 }],
    ['1,2\n3,"4\n5,6\n', 1, { flaw: '', lineCount: 1 }],
    ['\n\n"3\n3","4\n', 2, { flaw: '', lineCount: 2 }],
  ];
  for (const [text, lineCount, broken] of table) {
    let { lineCount: read, ...reading } = readCsv(text, ',', 1);
    // What is read strictly ends before an open record without a word of it.
    if (reading.broken === undefined) {
      const rest = text.split('\n').slice(read).join('\n');
      reading = readCsv(rest, ',', 1 + read);
    }
    assert.deepEqual([read, reading.broken], [lineCount, broken], JSON.stringify(text));
  }
});

test('an undecodable byte marks the cells of its row, though csv-parse cannot see it', () => {
  const { rows } = readCsv(`1,\ufffd\n2,"x\n${undecodable}"\n3,4\n`, ',', 1);
  assert.deepEqual(
    rows.map((row) => row.cells.every((cell) => cell.isWellFormed())),
    [true, false, true],
  );
});
