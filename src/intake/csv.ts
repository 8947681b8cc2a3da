// Whole lines of CSV into rows, by csv-parse: what a record is, what is wrong with it, how many lines it takes.
import { CsvError, parse, type InfoField, type InfoRecord, type Options } from 'csv-parse/sync';
import type { Delimiter } from './columns.ts';
import { undecodable, type RawRow } from './row.ts';
import { countLineEnds, countLines, splitLines } from './unread_text.ts';

const lf = 0x0a;
const cr = 0x0d;

/** A row of CSV: all of its cells are text. */
export interface CsvRow extends RawRow {
  readonly cells: readonly string[];
}

/** The flaw of a row with a NUL character. `readCsv` says it of cells in quotes only, others are left to the reader. */
export const nulFlaw = 'holds a NUL character';

/** What was read of some lines. */
interface CsvReading {
  /** Rows in order; their columns are not yet counted. Cells of a row with undecodable bytes hold `undecodable`. */
  readonly rows: readonly CsvRow[];
  /** Lines of those rows, with the empty ones between them. They may be fewer than were given: the rest is to be read again. */
  readonly lineCount: number;
  /** The record after those lines, where no row could be made of it. */
  readonly broken?: BrokenRecord | undefined;
}

/** A record that does not end well. */
interface BrokenRecord {
  /** '' where its last quote is open at the end of the text: more text may close it. */
  readonly flaw: string;
  /** Lines from its beginning to the one on which the offending cell begins, that one included. */
  readonly lineCount: number;
}

/**
 * Reads whole lines; the first one, on physical line `line`, begins a record. `text` ends with a line end, or with the
 * list.
 *
 * LF, CRLF and CR end a line; empty lines are no rows. A cell that begins with a quote ends at the next quote that is
 * not doubled; elsewhere a quote is text. A record that breaks a rule is a row with a flaw, unless one of its cells goes
 * beyond the line on which the offending one begins: then reading stops, and the record is `broken`.
 */
export function readCsv(text: string, delimiter: Delimiter, line: number): CsvReading {
  return readStrictly(text, delimiter, line) ?? readClosely(text, delimiter, line);
}

/**
 * Reads text that keeps to RFC 4180 §2, as far as its last whole record; undefined where it does not, or where only a
 * closer look can tell. csv-parse is about twice as fast when it is not asked about each cell (bench/intake.ts).
 */
function readStrictly(text: string, delimiter: Delimiter, firstLine: number): CsvReading | undefined {
  if (needsCloseLook(text)) return undefined;
  const records = parseStrictly(text, delimiter);
  if (records === undefined) return undefined;
  const hasQuotes = text.includes('"');
  const rows: CsvRow[] = [];
  let line = firstLine;
  for (const cells of records) {
    rows.push({ line, cells, sizeChars: measure(cells), flaw: '' });
    line += 1;
    if (hasQuotes) for (const cell of cells) line += countLineEnds(cell);
  }
  return { rows, lineCount: line - firstLine };
}

/** Whether lines may be empty, which csv-parse passes over in silence, or characters may be bad. */
function needsCloseLook(text: string): boolean {
  if (text.startsWith('\n') || text.startsWith('\r')) return true;
  return ['\n\n', '\n\r', '\r\r', '\0', undecodable].some((one) => text.includes(one));
}

function parseStrictly(text: string, delimiter: Delimiter): string[][] | undefined {
  if (!text.includes('"') && !text.includes('\r')) return splitPlain(text, delimiter);
  const options = makeOptions(text, delimiter);
  try {
    return parse(text, options);
  } catch (thrown) {
    if (!(thrown instanceof CsvError)) throw thrown;
    // Often the text just ends within a cell that spans lines.
    const isOpen = thrown.code === 'CSV_QUOTE_NOT_CLOSED' && Number(thrown['records']) > 0;
    return isOpen ? parse(text, { ...options, to: Number(thrown['records']) }) : undefined;
  }
}

/** Where nothing is quoted, and no line is empty, CSV is what a split makes of it, in a fifth of csv-parse's time. */
function splitPlain(text: string, delimiter: Delimiter): string[][] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => line.split(delimiter));
}

/** Reads any text, looking at each cell. Text that `readStrictly` reads has the same rows here. */
function readClosely(text: string, delimiter: Delimiter, firstLine: number): CsvReading {
  const bytes = Buffer.from(text);
  const reading = new CloseReading(bytes, firstLine, findSpoiltLines(text, firstLine));
  const options = makeOptions(text, delimiter);
  const { takeCell: cast, takeRecord: on_record } = reading;
  try {
    parse(bytes, { ...options, relax_quotes: true, cast, on_record });
    return { rows: reading.rows, lineCount: countLines(text) };
  } catch (thrown) {
    if (thrown === stop) return reading.finishBroken();
    if (!(thrown instanceof CsvError) || thrown.code !== 'CSV_QUOTE_NOT_CLOSED') throw thrown;
    return reading.finishBroken(Number(thrown['empty_lines']));
  }
}

function makeOptions(text: string, delimiter: Delimiter): Options {
  return {
    delimiter,
    // csv-parse compares every byte with these, so what does not occur is left out (bench/intake.ts).
    quote: text.includes('"') ? '"' : null,
    record_delimiter: text.includes('\r') ? ['\r\n', '\n', '\r'] : '\n',
    skip_empty_lines: true,
    // The reader says of each row what it thinks of its length.
    relax_column_count: true,
  };
}

/** Thrown to make csv-parse stop; does not leave this file. */
const stop = new Error('stop');

/** What is known while csv-parse calls back, cell by cell and record by record. */
class CloseReading {
  readonly rows: CsvRow[] = [];
  readonly #bytes: Uint8Array;
  readonly #firstLine: number;
  readonly #spoiltLines: ReadonlySet<number>;
  /** Lines of the records so far, and the empty ones between them. */
  #recordLines = 0;
  #emptyLines = 0;
  /** Of the record that is being read: line ends in its cells so far, and the first thing that is wrong. */
  #lineEnds = 0;
  #flaw = '';
  /** Where the next cell begins in the bytes; empty lines may stand before it. */
  #cellStart = 0;

  constructor(bytes: Uint8Array, firstLine: number, spoiltLines: ReadonlySet<number>) {
    this.#bytes = bytes;
    this.#firstLine = firstLine;
    this.#spoiltLines = spoiltLines;
  }

  /** `bytes` is where the cell ends, its quotes included. */
  readonly takeCell = (cell: string, { bytes, empty_lines, index, quoting }: InfoField): string => {
    if (index === 0) this.#passEmptyLines();
    if (this.#flaw === '') this.#flaw = findFlaw(cell, quoting, bytes - this.#cellStart);
    this.#emptyLines = empty_lines;
    const lineEnds = countLineEnds(cell);
    // A flawed row ends with the line on which the offending cell begins, and here is a cell that goes beyond it.
    if (this.#flaw !== '' && lineEnds > 0) throw stop;
    this.#lineEnds += lineEnds;
    this.#cellStart = bytes + 1;
    return cell;
  };

  /** `bytes` is where the record ends, its line end included. */
  readonly takeRecord = (cells: string[], { bytes }: InfoRecord): null => {
    this.rows.push(this.#makeRow(cells));
    this.#recordLines += this.#lineEnds + 1;
    this.#lineEnds = 0;
    this.#flaw = '';
    this.#cellStart = bytes;
    return null;
  };

  /** Reading ended within a record, before which there were so many empty lines. */
  finishBroken(emptyLines = this.#emptyLines): CsvReading {
    const broken = { flaw: this.#flaw, lineCount: this.#lineEnds + 1 };
    return { rows: this.rows, lineCount: this.#recordLines + emptyLines, broken };
  }

  #passEmptyLines(): void {
    while (this.#bytes[this.#cellStart] === lf || this.#bytes[this.#cellStart] === cr) this.#cellStart += 1;
  }

  #makeRow(cells: string[]): CsvRow {
    const line = this.#firstLine + this.#recordLines + this.#emptyLines;
    const [flaw, sizeChars] = [this.#flaw, measure(cells)];
    for (let each = line; each <= line + this.#lineEnds; each++) {
      if (this.#spoiltLines.has(each)) return { line, cells: cells.map(markSpoilt), sizeChars, flaw };
    }
    return { line, cells, sizeChars, flaw };
  }
}

/** csv-parse works on UTF-8, where the mark becomes U+FFFD. */
function markSpoilt(cell: string): string {
  return cell.replaceAll('\ufffd', undecodable);
}

function findSpoiltLines(text: string, firstLine: number): ReadonlySet<number> {
  const spoilt = new Set<number>();
  if (!text.includes(undecodable)) return spoilt;
  splitLines(text).forEach((line, index) => {
    if (line.includes(undecodable)) spoilt.add(firstLine + index);
  });
  return spoilt;
}

/** Why a cell breaks the rules; '' where it does not. `sizeBytes` is what it takes in the list. */
function findFlaw(cell: string, isQuoted: boolean, sizeBytes: number): string {
  if (!isQuoted) return /^ +"/.test(cell) ? 'a space stands before an opening quote' : '';
  // csv-parse lets a NUL follow a closing quote, and then anything.
  if (cell.includes('\0')) return nulFlaw;
  // When text stands after a closing quote, csv-parse makes the opening quote part of the cell. Then the cell is longer
  // than it would be if each of its quotes had been written twice, and two around it.
  if (!cell.startsWith('"')) return '';
  const properBytes = Buffer.byteLength(cell) + cell.split('"').length + 1;
  return sizeBytes === properBytes ? '' : 'text stands after a closing quote';
}

/** Characters of a row, but for its quotes. */
function measure(cells: readonly string[]): number {
  let sizeChars = cells.length;
  for (const cell of cells) sizeChars += cell.length;
  return sizeChars;
}
