// A raw row and the reader that yields it: what the formats of lists have in common, with their limits.
import type { Cell } from '../mail/recipient.ts';

/** A data row as a format's reader found it. */
export interface RawRow {
  /** 1-based physical line at which the row starts. */
  readonly line: number;
  /** In column order; of a flawed row what can be shown of it, never more cells than there are columns (or one). */
  readonly cells: readonly Cell[];
  /** About how many characters the row takes: a function of the row alone, for batches that must not grow too large. */
  readonly sizeChars: number;
  /** Why the row cannot be used: one sentence for users; '' where it can. */
  readonly flaw: string;
}

/**
 * Turns text, in pieces cut anywhere, into rows. The rows are a function of the whole text alone, never of the cuts:
 * a decision is taken only when no further text could change it.
 */
export interface RowReader {
  /** The columns known so far; a new array when one is added. Empty until the header is read. */
  readonly columns: readonly string[];
  /** After `end`: the line at which the last row begins that has a quote which nothing closes; 0 where there is none. */
  readonly unclosedLine: number;
  /** Hands over the next piece of text; `next` must have returned undefined before. */
  push(text: string): void;
  /** Says that no more text will come; then `next` returns the rest. */
  end(): void;
  /** The next row, or undefined where more text is needed (after `end`: where there is no more). */
  next(): RawRow | undefined;
}

/** The most characters (UTF-16 code units) of one row without its line end: a quote that nobody closes must not eat memory. */
export const maxRowChars = 1_048_576;

/** The most columns of a list. */
export const maxColumns = 1024;

/**
 * Stands in decoded text for bytes that the charset does not allow. Text from valid bytes never has a lone surrogate,
 * so this one marks exactly the rows that are spoilt.
 */
export const undecodable = '\udfff';

/** The beginning of a row that has no cells to show, for people: at most 200 characters. */
export function excerpt(text: string): string {
  return text.slice(0, 200).toWellFormed();
}

/** "5 columns", "1 column". */
export function countColumns(count: number): string {
  return count === 1 ? '1 column' : `${count} columns`;
}
