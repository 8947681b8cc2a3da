// A CSV list that comes in pieces into rows: how much of it is read at once, and how reading goes on after a broken row.
import { chooseDelimiter, parseHeader, type Delimiter } from './columns.ts';
import { nulFlaw, readCsv, type CsvRow } from './csv.ts';
import { countColumns, excerpt, maxRowChars, undecodable, type RawRow, type RowReader } from './row.ts';
import { splitLines, UnreadText } from './unread_text.ts';
import { ExitCode, PosthasteError } from '../base/error.ts';

/** What a CSV reader is told. `name` and `charset` are for messages. */
export interface CsvOptions {
  readonly name: string;
  readonly charset: string;
  /** Absent: the header line decides. */
  readonly delimiter?: Delimiter | undefined;
  /** Absent: `maxRowChars`. Tests make it small. */
  readonly maxChars?: number | undefined;
}

/** Text that is read at once: enough to make a call cheap, little enough not to hold the event loop for long. */
const usualChars = 16_384;
/** The same after a broken row: a list full of them is read about three times as fast. */
const leastChars = 1024;

/**
 * Reads CSV by the rules of `readCsv`; the first record is the header.
 *
 * A record that breaks the rules, or is longer than `maxRowChars` in the list, is one flawed row that ends with the
 * physical line on which the offending cell begins; reading goes on at the next line. So a stray quote costs its own
 * row and not those that follow.
 *
 * The time is linear in the text, whatever it holds. Text is read in vain only between the end of a broken row and the
 * place that proved it broken. All of that lies within one cell in quotes, where quotes come in pairs up to that place,
 * so none of those lines can open a cell that goes beyond the line: nothing there makes reading look ahead again.
 */
export class CsvReader implements RowReader {
  columns: readonly string[] = [];
  unclosedLine = 0;
  readonly #options: CsvOptions;
  readonly #maxChars: number;
  readonly #unread = new UnreadText();
  #delimiter: Delimiter | undefined;
  /** Rows that are read, and how many of them `next` has returned. */
  #rows: RawRow[] = [];
  #returned = 0;
  /** Lines are read that end within so many characters. */
  #reachChars: number;
  /** With less text than this, the record that is awaited is not worth another look. */
  #wantedChars = 0;
  /** The rest of a line that was too long is being dropped. */
  #isSkipping = false;
  /** Once true, every row is looked at closely. Until then no row can hold such a thing. */
  #mayHoldNul = false;
  #mayHoldUndecodable = false;

  constructor(options: CsvOptions) {
    this.#options = options;
    this.#maxChars = options.maxChars ?? maxRowChars;
    this.#delimiter = options.delimiter;
    this.#reachChars = Math.min(usualChars, this.#maxChars);
  }

  push(text: string): void {
    this.#mayHoldNul ||= text.includes('\0');
    this.#mayHoldUndecodable ||= text.includes(undecodable);
    this.#unread.push(text);
  }

  end(): void {
    this.#unread.end();
  }

  next(): RawRow | undefined {
    while (this.#returned === this.#rows.length) {
      this.#rows = [];
      this.#returned = 0;
      if (!this.#readOn()) return undefined;
    }
    return this.#rows[this.#returned++];
  }

  /** Reads the next lines, if any; returns false where more text is needed. */
  #readOn(): boolean {
    const unread = this.#unread;
    if (unread.sizeChars < this.#wantedChars && !unread.isWhole) return false;
    if (this.#isSkipping) this.#isSkipping = !unread.passRestOfLine();
    const lines = unread.peekLines(this.#reachChars);
    if (lines === '') return this.#lookFurther(0);
    const delimiter = (this.#delimiter ??= findDelimiter(lines));
    const { rows, lineCount, broken } = readCsv(lines, delimiter ?? ',', unread.line);
    unread.passLines(lineCount);
    for (const row of rows) this.#take(row);
    if (broken === undefined) return this.#setReach(Math.min(this.#reachChars * 2, usualChars));
    if (broken.flaw !== '') return this.#refuse(broken.lineCount, broken.flaw);
    // The record has to be the first one for its whole reach to be seen.
    return lineCount > 0 || this.#lookFurther(broken.lineCount);
  }

  /**
   * No row ends within reach: looks further, waits for more text (false), or gives the row up. `openLines` is the
   * number of lines up to the quote that is open; 0 where not even the first line ends.
   */
  #lookFurther(openLines: number): boolean {
    const { sizeChars, isWhole, line } = this.#unread;
    const seesAll = sizeChars <= this.#reachChars;
    if (seesAll && (sizeChars === 0 || !isWhole)) {
      // A long record is looked at again only when it has doubled, else many small pieces cost a look each.
      this.#wantedChars = sizeChars > 4096 ? Math.min(sizeChars * 2, this.#maxChars + 1) : 0;
      return false;
    }
    if (!seesAll && this.#reachChars < this.#maxChars) {
      return this.#setReach(this.#reachChars * 4);
    }
    if (openLines === 0) return this.#refuseLongLine();
    if (seesAll) this.unclosedLine = line;
    const how = seesAll ? 'is never closed' : 'is not closed within the 1 MiB that a row may have';
    return this.#refuse(openLines, `the quote opened on line ${line + openLines - 1} ${how}`);
  }

  #setReach(chars: number): true {
    this.#reachChars = Math.min(chars, this.#maxChars);
    this.#wantedChars = 0;
    return true;
  }

  /** Ends a flawed row after some lines. */
  #refuse(lineCount: number, flaw: string): true {
    this.#take(this.#describeFirst(flaw));
    this.#unread.passLines(lineCount);
    return this.#setReach(leastChars);
  }

  #refuseLongLine(): true {
    this.#take(this.#describeFirst('row is longer than 1 MiB'));
    this.#isSkipping = true;
    return true;
  }

  /** A flawed row, shown by its first line. */
  #describeFirst(flaw: string): CsvRow {
    const [shown = ''] = splitLines(excerpt(this.#unread.peek(this.#maxChars)));
    return { line: this.#unread.line, cells: [shown], sizeChars: 0, flaw };
  }

  #take(row: CsvRow): void {
    if (this.columns.length === 0) this.columns = this.#readHeader(row);
    else this.#rows.push(this.#judge(row));
  }

  #judge(row: CsvRow): RawRow {
    const flaw = this.#findFlaw(row);
    if (flaw === '') return row;
    const cells = row.cells.slice(0, this.columns.length).map((cell) => cell.toWellFormed());
    return { line: row.line, cells, sizeChars: 0, flaw };
  }

  #findFlaw({ cells, flaw }: CsvRow): string {
    if (flaw !== '') return flaw;
    if (this.#mayHoldUndecodable && cells.some((cell) => !cell.isWellFormed())) {
      return `holds bytes that are not ${this.#options.charset}`;
    }
    if (this.#mayHoldNul && cells.some((cell) => cell.includes('\0'))) return nulFlaw;
    const wanted = this.columns.length;
    return cells.length === wanted ? '' : `expected ${countColumns(wanted)}, found ${cells.length}`;
  }

  #readHeader(row: CsvRow): string[] {
    const { name, charset } = this.#options;
    if (row.flaw === '') return parseHeader(row.cells, { name, line: row.line, charset });
    throw new PosthasteError({
      code: 'ERR_LIST_HEADER',
      message: `The header of the list ${name} cannot be read: ${row.flaw}.`,
      hint: 'The first line must hold the names of the columns, as CSV.',
      where: `${name}:${row.line}:1`,
      exitCode: ExitCode.dataError,
    });
  }
}

/** The delimiter of a list that begins with these lines; undefined where all of them are empty. */
function findDelimiter(lines: string): Delimiter | undefined {
  const header = /[^\r\n]+/.exec(lines)?.[0];
  return header === undefined ? undefined : chooseDelimiter(header);
}
