// Holds the CSV reader, on top of csv-parse, to RFC 4180, to csv-spectrum and to its own rules for what is broken.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Delimiter } from '../../src/intake/columns.ts';
import { CsvReader } from '../../src/intake/csv_reader.ts';
import { maxRowChars, undecodable, type RawRow } from '../../src/intake/row.ts';
import { cutAt, readRows, textOf } from './read_rows.ts';

function makeReader(delimiter?: Delimiter, maxChars?: number): CsvReader {
  return new CsvReader({ name: 'list.csv', charset: 'utf-8', delimiter, maxChars });
}

function read(text: string): RawRow[] {
  return readRows(makeReader(), [text]);
}

function cellsOf(text: string): unknown[] {
  const rows = read(text);
  for (const row of rows) assert.equal(row.flaw, '');
  return rows.map((row) => row.cells);
}

/** Line and flaw of every row: '' for good ones. */
function fatesOf(text: string): [number, string][] {
  return read(text).map((row) => [row.line, row.flaw]);
}

test('every file of csv-spectrum reads as it says', () => {
  const folder = new URL('.', import.meta.resolve('csv-spectrum'));
  const files = readdirSync(new URL('csvs/', folder));
  assert.equal(files.length, 12);
  for (const file of files) {
    const reader = makeReader();
    const rows = readRows(reader, [readFileSync(new URL(`csvs/${file}`, folder), 'utf8')]);
    const objects = rows.map((row) =>
      Object.fromEntries(reader.columns.map((name, index) => [name, row.cells[index]])),
    );
    const json = file.replace('.csv', '.json');
    const wanted: unknown = JSON.parse(readFileSync(new URL(`json/${json}`, folder), 'utf8'));
    // Its JSON has another telephone number than its CSV; what it is about is the quotes inside unquoted cells.
    if (file === 'location_coordinates.csv') assert.match(textOf(rows[0]?.cells[1]), /37\.8"N .*17\.9"W/);
    else assert.deepEqual(objects, wanted, file);
  }
});

test('LF, CRLF and CR end a line, also mixed', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    assert.deepEqual(cellsOf(`a,b${end}1,2${end}3,4`), [
      ['1', '2'],
      ['3', '4'],
    ]);
    assert.deepEqual(cellsOf(`a,b${end}1,2${end}3,4${end}`), [
      ['1', '2'],
      ['3', '4'],
    ]);
    assert.deepEqual(cellsOf(`a,b${end}"1","2"${end}"3","4"${end}`), [
      ['1', '2'],
      ['3', '4'],
    ]);
  }
  assert.deepEqual(cellsOf('a,b\r\n1,2\n3,4\r5,"6"\r\n'), [
    ['1', '2'],
    ['3', '4'],
    ['5', '6'],
  ]);
});

test('quoted cells hold delimiters, line ends and doubled quotes', () => {
  assert.deepEqual(cellsOf('a,b\n"1,1","2\r\n2"\n"","""x"""\n'), [
    ['1,1', '2\r\n2'],
    ['', '"x"'],
  ]);
});

test('a quote inside an unquoted cell is text', () => {
  assert.deepEqual(cellsOf('a,b\n1,5" pipe\n2,Bob "B" Smith\n'), [
    ['1', '5" pipe'],
    ['2', 'Bob "B" Smith'],
  ]);
});

test('line numbers are physical lines', () => {
  const text = 'a,b\n\n1,2\n\n"3\n3\r\n3\r3",4\n5,6\n';
  assert.deepEqual(fatesOf(text), [
    [3, ''],
    [5, ''],
    [9, ''],
  ]);
});

test('line ends that were translated twice are empty lines between the rows', () => {
  assert.deepEqual(fatesOf('a,b\r\r\n1,2\r\r\n"3","4"\r\r\n5,"6\r\r\n6"\r\r\n7,8'), [
    [3, ''],
    [5, ''],
    [7, ''],
    [11, ''],
  ]);
});

test('an empty cell in quotes is a row, an empty line beside it is none', () => {
  const rows = read('a\n""\n\n""\n\n');
  assert.deepEqual(
    rows.map((row) => [row.line, row.cells]),
    [
      [2, ['']],
      [4, ['']],
    ],
  );
});

test('empty lines are no rows, lines of empty cells are', () => {
  assert.deepEqual(cellsOf('\n\r\na,b\n\n,\n\n1,2\n\n'), [
    ['', ''],
    ['1', '2'],
  ]);
});

test('a row with more or fewer cells than there are columns is flawed', () => {
  const rows = read('a,b\n1\n1,2,3\n4,5\n');
  assert.deepEqual(
    rows.map((row) => row.flaw),
    ['expected 2 columns, found 1', 'expected 2 columns, found 3', ''],
  );
  assert.deepEqual(rows[1]?.cells, ['1', '2']);
});

test('text after a closing quote costs its own line only', () => {
  assert.deepEqual(fatesOf('a,b\n1,"b"c\n2,"x"\n3,"b" \n4,y\n'), [
    [2, 'text stands after a closing quote'],
    [3, ''],
    [4, 'text stands after a closing quote'],
    [5, ''],
  ]);
});

test('a space before an opening quote is refused, since the cell could end anywhere', () => {
  assert.deepEqual(fatesOf('a,b\n1, "x"\n2,x\n'), [
    [2, 'a space stands before an opening quote'],
    [3, ''],
  ]);
});

test('a quote that is never closed costs its own line, and names it', () => {
  assert.deepEqual(fatesOf('a,b\n1,2\n3,"4\n5,6\n7,8\n'), [
    [2, ''],
    [3, 'the quote opened on line 3 is never closed'],
    [4, ''],
    [5, ''],
  ]);
  assert.deepEqual(fatesOf('a,b\n"1\n1","2\n3,4'), [
    [2, 'the quote opened on line 3 is never closed'],
    [4, ''],
  ]);
});

test('a stray quote before quoted rows does not swallow them', () => {
  const rows = read('a,b\n1,"oops\n2,x\n"3","y"\n4,z\n');
  assert.deepEqual(
    rows.map((row) => row.line),
    [2, 3, 4, 5],
  );
  assert.deepEqual(
    rows.map((row) => row.flaw === ''),
    [false, true, true, true],
  );
});

test('a quote that runs away ends at 1 MiB, and memory with it', () => {
  const filler = 'x,y\n'.repeat(20_000);
  const reader = makeReader();
  const pieces = ['a,b\n1,"oops\n', ...Array.from({ length: 20 }, () => filler)];
  const rows = readRows(reader, pieces);
  assert.equal(rows.length, 1 + 20 * 20_000);
  assert.equal(
    rows[0]?.flaw,
    'the quote opened on line 2 is not closed within the 1 MiB that a row may have',
  );
  assert.equal(rows.filter((row) => row.flaw !== '').length, 1);
  assert.equal(rows.at(-1)?.line, 2 + 20 * 20_000);
});

test('a quote that runs away in small pieces ends in the same way', () => {
  const lines = [
    'a,b\n',
    '1,"oops\n',
    ...Array.from({ length: 30_000 }, (_, row) => `${row},${'x'.repeat(50)}\n`),
  ];
  const wanted = readRows(makeReader(), [lines.join('')]);
  assert.equal(wanted.length, 30_001);
  assert.deepEqual(readRows(makeReader(), lines), wanted);
});

test('a row whose cells span lines may come to 1 MiB, and is then read on from its second line', () => {
  const cell = `${'x'.repeat(99)}\n`.repeat(10_485);
  assert.deepEqual(fatesOf(`a,b\n1,"${cell}"\n2,3\n`), [
    [2, ''],
    [10_488, ''],
  ]);
  const rows = readRows(makeReader(), [`a,b\n1,"${cell}${cell}"\n2,3\n`]);
  assert.equal(
    rows[0]?.flaw,
    'the quote opened on line 2 is not closed within the 1 MiB that a row may have',
  );
  assert.deepEqual([rows[1]?.line, rows[1]?.flaw], [3, 'expected 2 columns, found 1']);
  assert.deepEqual([rows.at(-1)?.line, rows.at(-1)?.flaw], [20_973, '']);
});

test('no text costs more than its length: 3 MiB of broken quotes are read in seconds', () => {
  const filler = 'x'.repeat(90);
  const kinds = [
    `1,"${filler}\n`,
    `${filler}",a"b,"\n`,
    `"x"y,"${filler}\n`,
    `1,"${filler}\n${'2,""\n'.repeat(200)}`,
    `"""${filler}\n`,
    `"${filler}"z,"\n\n\n"\n`,
  ];
  for (const kind of kinds) {
    const text = `a,b\n${kind.repeat(Math.ceil(524_288 / kind.length))}`;
    const startedAt = performance.now();
    const reader = makeReader();
    const pieces = Array.from({ length: Math.ceil(text.length / 65_536) }, (_, index) =>
      text.slice(index * 65_536, (index + 1) * 65_536),
    );
    let line = 1;
    for (const row of readRows(reader, pieces)) {
      assert.ok(row.line > line);
      line = row.line;
    }
    assert.ok(performance.now() - startedAt < 20_000, `${kind.slice(0, 20)} takes too long`);
  }
});

test('a line longer than 1 MiB is one flawed row and is not kept', () => {
  const long = Array.from({ length: 50 }, () => 'x'.repeat(60_000));
  const rows = readRows(makeReader(), ['a,b\n', '1,', ...long, '\n2,3\n']);
  assert.deepEqual(
    rows.map((row) => [row.line, row.flaw]),
    [
      [2, 'row is longer than 1 MiB'],
      [3, ''],
    ],
  );
  assert.ok(textOf(rows[0]?.cells[0]).length <= 200);
});

test('a row of exactly 1 MiB is good, one character more is not', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const row = `1,${'x'.repeat(maxRowChars - 2)}`;
    assert.equal(read(`a,b${end}${row}${end}3,4${end}`)[0]?.flaw, '');
    assert.equal(read(`a,b${end}${row}x${end}3,4${end}`)[0]?.flaw, 'row is longer than 1 MiB');
  }
});

test('a NUL or an undecodable byte spoils its own row', () => {
  const rows = read(`a,b\n1,2\n3,4\0\n5,6${undecodable}\n7,\ufffd\n`);
  assert.deepEqual(
    rows.map((row) => row.flaw),
    ['', 'holds a NUL character', 'holds bytes that are not utf-8', ''],
  );
  assert.deepEqual(rows[2]?.cells, ['5', '6\ufffd']);
});

test('a NUL or an undecodable byte in a cell that spans lines does not spoil other rows', () => {
  assert.deepEqual(fatesOf(`a,b\n1,"2\n${undecodable}2"\n3,4\n5,"6\n7,8\n9,x"\0\n10,11\n`), [
    [2, 'holds bytes that are not utf-8'],
    [4, ''],
    [5, 'holds a NUL character'],
    [6, ''],
    [7, 'holds a NUL character'],
    [8, ''],
  ]);
});

test('the header line chooses the delimiter', () => {
  assert.deepEqual(cellsOf('a;b\n1,5;2\n'), [['1,5', '2']]);
  assert.deepEqual(cellsOf('a\tb\n1\t"2\t2"\n'), [['1', '2\t2']]);
  assert.deepEqual(cellsOf('a|b\n1|2\n'), [['1', '2']]);
  assert.deepEqual(cellsOf('"a,x,y";b\n1;2\n'), [['1', '2']]);
  assert.deepEqual(cellsOf('email\nx@example.com\n'), [['x@example.com']]);
  assert.deepEqual(readRows(makeReader(';'), ['a,b\n1,2\n'])[0]?.cells, ['1,2']);
});

test('column names are trimmed, and must be there, differ and be readable', () => {
  const reader = makeReader();
  readRows(reader, [' email , "first\nname"\n'.replace(', "', ',"')]);
  assert.deepEqual(reader.columns, ['email', 'first\nname']);
  const table: [string, string, RegExp][] = [
    ['a,b,a\n', 'ERR_LIST_COLUMNS', /more than one column: a\./],
    ['a,,b\n', 'ERR_LIST_COLUMNS', /no name for column 2 of 3 \(a, "", b\)/],
    ['a,"b\n1,2\n', 'ERR_LIST_HEADER', /quote opened on line 1/],
    ['e\0m\0\n', 'ERR_LIST_ENCODING', /not text in utf-8/],
    [`na${undecodable}me,b\n`, 'ERR_LIST_ENCODING', /not text in utf-8/],
    [`${'x,'.repeat(1500)}\n`, 'ERR_LIST_COLUMNS', /at most 1024/],
  ];
  for (const [text, code, message] of table) {
    assert.throws(() => read(text), { code, message, exitCode: 65 }, text);
  }
});

const cellText = fc.string({
  unit: fc.constantFrom('a', 'ü', ',', ';', '"', '\n', '\r', ' ', '\u{1f600}'),
  maxLength: 6,
});

test('what a writer by the RFC writes is read back, cut anywhere', () => {
  const tables = fc.array(fc.array(cellText, { minLength: 3, maxLength: 3 }), { maxLength: 6 });
  const ends = fc.constantFrom('\n', '\r\n', '\r');
  fc.assert(
    fc.property(tables, ends, fc.array(fc.nat(), { maxLength: 5 }), (table, end, cuts) => {
      const lines = [['x', 'y', 'z'], ...table].map((cells) =>
        cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(','),
      );
      const rows = readRows(makeReader(), cutAt(lines.join(end) + end, cuts));
      assert.deepEqual(
        rows.map((row) => row.cells),
        table,
      );
      assert.ok(rows.every((row) => row.flaw === ''));
    }),
    { numRuns: 500 },
  );
});

test('the rows of any text are the same however it is cut, and no line is lost', () => {
  const characters = fc.constantFrom('a', 'b', ',', ',', '"', '"', '\n', '\n', '\r', ' ');
  const text = fc.string({ unit: characters, maxLength: 90 });
  fc.assert(
    fc.property(
      text,
      fc.integer({ min: 3, max: 30 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (body, maxChars, cuts) => {
        const list = `x,y\n${body}`;
        const whole = readRows(makeReader(',', maxChars), [list]);
        assert.deepEqual(readRows(makeReader(',', maxChars), cutAt(list, cuts)), whole);
        assert.deepEqual(readRows(makeReader(',', maxChars), list.split('')), whole);
        checkLines(list, whole);
      },
    ),
    { numRuns: 5000 },
  );
});

/** Every line that is not empty begins a row, or lies inside one that spans lines. Only a quote lets a row do that. */
function checkLines(list: string, rows: readonly RawRow[]): void {
  const lines = list.split(/\r\n|\n|\r/);
  const covered = new Set(rows.map((row) => row.line));
  for (const row of rows) {
    const spanned =
      row.flaw === ''
        ? row.cells
            .map(textOf)
            .join('')
            .split(/\r\n|\n|\r/).length - 1
        : 0;
    for (let more = 1; more <= spanned; more++) covered.add(row.line + more);
    // A flawed row does not show where it ends; but its first line has the quote, if it spans more than one.
    if (row.flaw === '' || !lines[row.line - 1]?.includes('"')) continue;
    for (let next = row.line + 1; !covered.has(next) && next <= lines.length; next++) covered.add(next);
  }
  lines.forEach((line, index) => {
    if (index > 0 && line !== '') assert.ok(covered.has(index + 1), `line ${index + 1} is lost`);
  });
}
