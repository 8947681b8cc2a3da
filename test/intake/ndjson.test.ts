// Holds the NDJSON reader to its rules for columns, for what is broken and for what cannot be kept.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { NdjsonReader } from '../../src/intake/ndjson.ts';
import { undecodable, type RawRow } from '../../src/intake/row.ts';
import { cutAt, readRows, textOf } from './read_rows.ts';

function read(text: string): RawRow[] {
  return readRows(new NdjsonReader('utf-8'), [text]);
}

test('columns are the keys in the order in which they first appear', () => {
  const reader = new NdjsonReader('utf-8');
  const rows = readRows(reader, [
    '{"email":"a","n":1}\n{"n":2,"email":"b"}\n{"email":"c","x":{"y":[true,null]}}\n{"email":"d"}\n',
  ]);
  assert.deepEqual(reader.columns, ['email', 'n', 'x']);
  assert.deepEqual(
    rows.map((row) => row.cells),
    [['a', 1], ['b', 2], ['c', null, { y: [true, null] }], ['d']],
  );
});

test('lines are counted, also empty ones, CRLF and a last line without end', () => {
  const rows = read('{"a":1}\r\n\n  \n{"a":2}\n{"a":3}');
  assert.deepEqual(
    rows.map((row) => [row.line, row.flaw]),
    [
      [1, ''],
      [4, ''],
      [5, ''],
    ],
  );
});

test('a line that is no object, or cannot be kept exactly, is flawed and adds no columns', () => {
  const table: [string, RegExp][] = [
    ['{"a":1,', /not valid JSON/],
    ['{"a":"\0"}', /not valid JSON/],
    ['[1]', /expected a JSON object, found an array/],
    ['null', /found null/],
    ['"x"', /found a string/],
    ['{"b":"x\\u0000"}', /"b" holds a NUL/],
    ['{"b":{"c":["\\u0000"]}}', /"b" holds a NUL/],
    ['{"b":{"\\u0000":1}}', /"b" holds a NUL/],
    ['{"b":"\\ud800"}', /"b" holds half of a surrogate pair/],
    ['{"b\\u0000":1}', /a key holds a NUL/],
    ['{"":1}', /a key is empty/],
    ['{"b":12345678901234567890}', /"b" is a number too large/],
    ['{"b":1e999}', /"b" is a number too large/],
    [`{"b":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, /"b" is nested more than 32/],
    [`{"b":"${undecodable}"}`, /not utf-8/],
  ];
  for (const [line, flaw] of table) {
    const reader = new NdjsonReader('utf-8');
    const rows = readRows(reader, [`{"a":1}\n${line}\n{"a":2}\n`]);
    assert.match(rows[1]?.flaw ?? '', flaw, line.slice(0, 40));
    assert.equal(rows[1]?.cells.length, 1);
    assert.ok(textOf(rows[1]?.cells[0]).length <= 200);
    assert.deepEqual([rows[0]?.flaw, rows[2]?.flaw, reader.columns], ['', '', ['a']]);
  }
});

test('escapes of whole characters are good', () => {
  assert.deepEqual(read('{"a":"\\ud83d\\ude00\\u00fc","b":-0.5,"c":9007199254740991}\n')[0]?.cells, [
    '😀ü',
    -0.5,
    9007199254740991,
  ]);
});

test('keys with a meaning in JavaScript are plain columns', () => {
  const reader = new NdjsonReader('utf-8');
  const rows = readRows(reader, ['{"__proto__":"x","constructor":"y"}\n']);
  assert.deepEqual(reader.columns, ['__proto__', 'constructor']);
  assert.deepEqual(rows[0]?.cells, ['x', 'y']);
});

test('a list has at most 1,024 columns', () => {
  const reader = new NdjsonReader('utf-8');
  const lines = Array.from({ length: 1100 }, (_, index) => `{"k${index}":1}\n`);
  const rows = readRows(reader, lines);
  assert.equal(reader.columns.length, 1024);
  assert.match(rows[1024]?.flaw ?? '', /more than 1024 columns/);
});

test('a line longer than 1 MiB is one flawed row', () => {
  const long = Array.from({ length: 50 }, () => 'x'.repeat(60_000));
  const rows = readRows(new NdjsonReader('utf-8'), ['{"a":1}\n{"a":"', ...long, '"}\n{"a":2}\n']);
  assert.deepEqual(
    rows.map((row) => [row.line, row.flaw]),
    [
      [1, ''],
      [2, 'row is longer than 1 MiB'],
      [3, ''],
    ],
  );
});

test('the rows of any text are the same however it is cut', () => {
  const words = fc.constantFrom('{"a":1}', '{"b":"x"}', '{', '}', '\n', '\n', '\r\n', ' ', 'xxxxxxxxxxxx');
  fc.assert(
    fc.property(
      fc.array(words, { maxLength: 20 }),
      fc.integer({ min: 5, max: 30 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      (parts, maxChars, cuts) => {
        const list = parts.join('');
        const whole = readRows(new NdjsonReader('utf-8', maxChars), [list]);
        assert.deepEqual(readRows(new NdjsonReader('utf-8', maxChars), cutAt(list, cuts)), whole);
        assert.deepEqual(readRows(new NdjsonReader('utf-8', maxChars), list.split('')), whole);
      },
    ),
    { numRuns: 5000 },
  );
});
