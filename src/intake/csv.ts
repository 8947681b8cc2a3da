// CSV into rows (RFC 4180, and what programs make of it), with physical line numbers and bounded records.
import { chooseDelimiter, parseHeader, type Delimiter } from './columns.ts';
import { Finder, nowhere } from './finder.ts';
import { countColumns, excerpt, maxRowChars, undecodable, type RawRow, type RowReader } from './row.ts';
import { ExitCode, PosthasteError } from '../base/error.ts';

const lf = 0x0a;
const cr = 0x0d;
const quote = 0x22;
const longRow = 'row is longer than 1 MiB';

/** What a CSV reader is told. `name` and `charset` are for messages. */
export interface CsvOptions {
  readonly name: string;
  readonly charset: string;
  /** Absent: the header line decides. */
  readonly delimiter?: Delimiter | undefined;
  /** Absent: `maxRowChars`. Tests make it small. */
  readonly maxChars?: number | undefined;
}

/**
 * Reads CSV. LF, CRLF and CR end a line; empty lines are no rows; the first record is the header.
 * A cell that begins with a quote ends at the next quote that is not doubled; elsewhere a quote is text.
 *
 * A record that breaks the rules (text after a closing quote, a quote that is never closed, more than `maxRowChars`)
 * is one flawed row that ends with the physical line on which the offending cell begins; reading goes on at the next
 * line. So a stray quote costs its own row and not those that follow. Nothing is read more than about three times:
 * between an unclosed quote and the place that proves it, no line can open another one.
 */
export class CsvReader implements RowReader {
  columns: readonly string[] = [];
  readonly #options: CsvOptions;
  readonly #maxChars: number;
  readonly #lf = new Finder('\n');
  readonly #cr = new Finder('\r');
  readonly #quote = new Finder('"');
  #delimiter: Delimiter | undefined;
  #delimiters = new Finder(',');
  #delimiterCode = 0;
  /** Text that is not yet read begins at `#at`, which is on line `#line`. */
  #text = '';
  #at = 0;
  #line = 1;
  #ended = false;
  /** With less text than this, the record that is awaited is not worth another look. */
  #wantedChars = 0;
  /** The rest of a line that was too long is being dropped. */
  #skipping = false;
  /** Once true, every row is looked at closely. Until then no row can hold such a thing. */
  #mayHoldNul = false;
  #mayHoldUndecodable = false;

  constructor(options: CsvOptions) {
    this.#options = options;
    this.#maxChars = options.maxChars ?? maxRowChars;
    if (options.delimiter !== undefined) this.#setDelimiter(options.delimiter);
  }

  push(text: string): void {
    this.#text = this.#at < this.#text.length ? this.#text.slice(this.#at) + text : text;
    this.#at = 0;
    this.#mayHoldNul ||= text.includes('\0');
    this.#mayHoldUndecodable ||= text.includes(undecodable);
    for (const finder of [this.#lf, this.#cr, this.#quote, this.#delimiters]) finder.setText(this.#text);
  }

  end(): void {
    this.#ended = true;
  }

  next(): RawRow | undefined {
    if (this.#text.length - this.#at < this.#wantedChars && !this.#ended) return undefined;
    const row = this.#readNext();
    const heldChars = this.#text.length - this.#at;
    // A long record is looked at again only when a quarter more has come, else many small pieces cost a scan each.
    this.#wantedChars = row === undefined && heldChars > 65_536 ? heldChars * 1.25 : 0;
    return row;
  }

  #readNext(): RawRow | undefined {
    for (;;) {
      if (this.#skipping && !this.#skipLine()) return undefined;
      const end = this.#findLineEnd(this.#at);
      if (end === this.#at) {
        if (end === this.#text.length) return undefined;
        this.#passLineEnd(end);
        continue;
      }
      if (end === nowhere && !this.#isTooLong(this.#at)) return undefined;
      if (this.#delimiter === undefined) this.#setDelimiter(chooseDelimiter(this.#text.slice(this.#at, end)));
      const row = this.#quote.find(this.#at) < end ? this.#readQuoted(end) : this.#readPlain(end);
      if (row === undefined || this.columns.length > 0) return row;
      this.#takeHeader(row);
    }
  }

  /** A record without quotes is its line. Invariant: no quote stands between `#at` and `end`. */
  #readPlain(end: number): RawRow | undefined {
    const start = this.#at;
    if (end - start > this.#maxChars) return this.#refuse(start, longRow);
    const line = this.#line;
    this.#passLineEnd(end);
    return this.#judge(line, this.#text.slice(start, end).split(this.#delimiter ?? ','), end - start);
  }

  #readQuoted(firstLineEnd: number): RawRow | undefined {
    const start = this.#at;
    const cells: string[] = [];
    let at = start;
    for (;;) {
      const cellStart = at;
      const isQuoted = this.#text.charCodeAt(at) === quote;
      if (isQuoted) {
        const close = this.#findClosingQuote(at);
        if (close + 1 - start > this.#maxChars) return this.#refuseUnclosed(cellStart, close);
        cells.push(this.#unquote(at, close));
        at = close + 1;
      } else {
        const end = Math.min(this.#findLineEnd(at), this.#delimiters.find(at));
        if (end - start > this.#maxChars) return this.#refuseLong(cellStart, end);
        cells.push(this.#text.slice(at, end));
        at = end;
      }
      if (!isQuoted && /^ +"/.test(cells.at(-1) ?? '')) {
        return this.#refuse(cellStart, 'a space stands before an opening quote');
      }
      const code = at < this.#text.length ? this.#text.charCodeAt(at) : lf;
      if (code === this.#delimiterCode) {
        at += 1;
        continue;
      }
      if (code !== lf && code !== cr) return this.#refuse(cellStart, 'text stands after a closing quote');
      if (this.#findLineEnd(at) !== at) return this.#refuseLong(cellStart, nowhere);
      return this.#finishQuoted(cells, firstLineEnd, at);
    }
  }

  #finishQuoted(cells: string[], firstLineEnd: number, end: number): RawRow {
    const line = this.#line;
    const start = this.#at;
    if (end > firstLineEnd) this.#line += countLineEnds(this.#text, firstLineEnd, end);
    this.#passLineEnd(end);
    return this.#judge(line, cells, end - start);
  }

  /** The quote that closes the cell opened at `open`, as far as the text goes; `nowhere` where there is none yet. */
  #findClosingQuote(open: number): number {
    let at = this.#quote.find(open + 1);
    while (at !== nowhere && this.#text.charCodeAt(at + 1) === quote) at = this.#quote.find(at + 2);
    return at;
  }

  #unquote(open: number, close: number): string {
    const inner = this.#text.slice(open + 1, close);
    return inner.includes('"') ? inner.replaceAll('""', '"') : inner;
  }

  /** The end of the line that holds `from`: its CR or LF, the end of the list, or `nowhere` where more text decides. */
  #findLineEnd(from: number): number {
    const end = Math.min(this.#lf.find(from), this.#cr.find(from));
    if (this.#ended) return Math.min(end, this.#text.length);
    // The LF of a CRLF may still be on its way.
    return end === this.#text.length - 1 && this.#text.charCodeAt(end) === cr ? nowhere : end;
  }

  #passLineEnd(end: number): void {
    const isPair = this.#text.charCodeAt(end) === cr && this.#text.charCodeAt(end + 1) === lf;
    this.#at = Math.min(end + (isPair ? 2 : 1), this.#text.length);
    this.#line += 1;
  }

  /** Whether a record from `start` that has no end in the text is too long whatever comes; the last CR may be its end. */
  #isTooLong(start: number): boolean {
    return this.#text.length - start > (this.#ended ? this.#maxChars : this.#maxChars + 1);
  }

  /** `end` is where the cell ends. */
  #refuseLong(cellStart: number, end: number): RawRow | undefined {
    if (end === nowhere && !this.#isTooLong(this.#at)) return undefined;
    return this.#refuse(cellStart, longRow);
  }

  /** `close` is where the quote is closed. */
  #refuseUnclosed(cellStart: number, close: number): RawRow | undefined {
    const isTooLong = close !== nowhere || this.#isTooLong(this.#at);
    if (!isTooLong && !this.#ended) return undefined;
    const line = this.#line + countLineEnds(this.#text, this.#at, cellStart);
    const how = isTooLong ? 'is not closed within the 1 MiB that a row may have' : 'is never closed';
    return this.#refuse(cellStart, `the quote opened on line ${line} ${how}`);
  }

  /** Ends a flawed row with the line on which its offending cell begins. Waits for the end of that line. */
  #refuse(cellStart: number, flaw: string): RawRow | undefined {
    const start = this.#at;
    const end = this.#findLineEnd(cellStart);
    if (end === nowhere && !this.#isTooLong(start)) return undefined;
    const cells = [excerpt(this.#text.slice(start, Math.min(end, start + this.#maxChars)))];
    const row = { line: this.#line, cells, sizeChars: 0, flaw };
    this.#line += countLineEnds(this.#text, start, cellStart);
    // Quoted line ends before the offending cell belong to the row.
    this.#at = cellStart;
    this.#skipping = end === nowhere;
    if (end !== nowhere) this.#passLineEnd(end);
    return row;
  }

  /** Drops text up to the end of the line; false where that has not come yet. */
  #skipLine(): boolean {
    const end = this.#findLineEnd(this.#at);
    if (end === nowhere) {
      // A CR at the very end stays: it may be half of a line end.
      this.#at = this.#text.endsWith('\r') ? this.#text.length - 1 : this.#text.length;
      return false;
    }
    this.#passLineEnd(end);
    this.#skipping = false;
    return true;
  }

  #judge(line: number, cells: string[], sizeChars: number): RawRow {
    const wanted = this.columns.length;
    if (wanted === 0) return { line, cells, sizeChars, flaw: '' };
    let flaw = '';
    if (cells.length !== wanted) flaw = `expected ${countColumns(wanted)}, found ${cells.length}`;
    if (this.#mayHoldNul && cells.some((cell) => cell.includes('\0'))) flaw = 'holds a NUL character';
    if (this.#mayHoldUndecodable && cells.some((cell) => !cell.isWellFormed())) {
      flaw = `holds bytes that are not ${this.#options.charset}`;
    }
    if (flaw === '') return { line, cells, sizeChars, flaw };
    return { line, cells: cells.slice(0, wanted).map((cell) => cell.toWellFormed()), sizeChars: 0, flaw };
  }

  #takeHeader(row: RawRow): void {
    const { name, charset } = this.#options;
    if (row.flaw === '') {
      this.columns = parseHeader(row.cells.map(String), { name, line: row.line, charset });
      return;
    }
    throw new PosthasteError({
      code: 'ERR_LIST_HEADER',
      message: `The header of the list ${name} cannot be read: ${row.flaw}.`,
      hint: 'The first line must hold the names of the columns, as CSV.',
      where: `${name}:${row.line}:1`,
      exitCode: ExitCode.dataError,
    });
  }

  #setDelimiter(delimiter: Delimiter): void {
    this.#delimiter = delimiter;
    this.#delimiterCode = delimiter.charCodeAt(0);
    this.#delimiters = new Finder(delimiter);
    this.#delimiters.setText(this.#text);
  }
}

/** Line ends that begin in [from, to), a CRLF counted once. */
function countLineEnds(text: string, from: number, to: number): number {
  let count = 0;
  for (let index = from; index < to; index++) {
    const code = text.charCodeAt(index);
    if (code === lf && !(index > from && text.charCodeAt(index - 1) === cr)) count += 1;
    else if (code === cr) count += 1;
  }
  return count;
}
