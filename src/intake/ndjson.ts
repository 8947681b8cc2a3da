// NDJSON into rows: one JSON object a line, its keys are the columns.
import { excerpt, maxColumns, maxRowChars, undecodable, type RawRow, type RowReader } from './row.ts';
import { messageOf } from '../base/error.ts';
import type { Cell } from '../mail/recipient.ts';

/** Deep enough for data, shallow enough for every recursion that meets it later. */
const maxDepth = 32;

/**
 * Reads one JSON object a line (LF, or CRLF). Lines of white space are no rows. Columns are the keys in the order in
 * which they first appear; a key that a row does not have is null where a later column of the row has a value.
 */
export class NdjsonReader implements RowReader {
  columns: readonly string[] = [];
  /** No quote of JSON goes beyond its line. */
  readonly unclosedLine = 0;
  readonly #charset: string;
  readonly #maxChars: number;
  readonly #indexOfColumn = new Map<string, number>();
  #text = '';
  #at = 0;
  #line = 0;
  #ended = false;
  #skipping = false;
  #mayHoldUndecodable = false;

  /** `charset` is for messages. Tests make `maxChars` small. */
  constructor(charset: string, maxChars = maxRowChars) {
    this.#charset = charset;
    this.#maxChars = maxChars;
  }

  push(text: string): void {
    this.#text = this.#at < this.#text.length ? this.#text.slice(this.#at) + text : text;
    this.#at = 0;
    this.#mayHoldUndecodable ||= text.includes(undecodable);
  }

  end(): void {
    this.#ended = true;
  }

  next(): RawRow | undefined {
    for (;;) {
      if (this.#at === this.#text.length) return undefined;
      const found = this.#text.indexOf('\n', this.#at);
      const end = found < 0 ? this.#text.length : found;
      const start = this.#at;
      if (found < 0 && !this.#ended && !this.#skipping && end - start <= this.#maxChars) return undefined;
      this.#at = found < 0 ? end : end + 1;
      const wasSkipping = this.#skipping;
      if (!wasSkipping) this.#line += 1;
      this.#skipping = found < 0;
      if (wasSkipping) continue;
      const row = this.#readLine(this.#text.slice(start, end));
      if (row !== undefined) return row;
    }
  }

  #readLine(line: string): RawRow | undefined {
    if (line.length > this.#maxChars)
      return this.#flawed(line.slice(0, this.#maxChars), 'row is longer than 1 MiB');
    if (line.trim() === '') return undefined;
    if (this.#mayHoldUndecodable && !line.isWellFormed()) {
      return this.#flawed(line, `holds bytes that are not ${this.#charset}`);
    }
    const value = parseJson(line);
    if (typeof value === 'string') return this.#flawed(line, value);
    const cells = this.#placeCells(value, line.includes('\\u'));
    if (typeof cells === 'string') return this.#flawed(line, cells);
    return { line: this.#line, cells, sizeChars: line.length, flaw: '' };
  }

  /** The values in column order, or why the row cannot be used. A flawed row adds no columns. */
  #placeCells(object: { readonly [key: string]: Cell }, mayHoldBadText: boolean): Cell[] | string {
    const keys = Object.keys(object);
    const cells: Cell[] = [];
    for (let position = 0; position < keys.length; position++) {
      const key = keys[position] ?? '';
      const cell = object[key] ?? null;
      const flaw = findCellFlaw(cell, 1, mayHoldBadText);
      if (flaw !== '') return `"${excerpt(key)}" ${flaw}`;
      // Rows of one program have their keys in the same order, so the look-up is seldom needed.
      const index = this.columns[position] === key ? position : this.#indexOfColumn.get(key);
      if (index === undefined) return this.#addColumns(object, keys, mayHoldBadText);
      while (cells.length < index) cells.push(null);
      cells[index] = cell;
    }
    return cells;
  }

  /** Adds the columns that an object brings, if the whole of it is good, and places its cells. */
  #addColumns(
    object: { readonly [key: string]: Cell },
    keys: string[],
    mayHoldBadText: boolean,
  ): Cell[] | string {
    for (const key of keys) {
      const flaw = findCellFlaw(object[key] ?? null, 1, mayHoldBadText);
      if (flaw !== '') return `"${excerpt(key)}" ${flaw}`;
    }
    const added = keys.filter((key) => !this.#indexOfColumn.has(key));
    const flaw = findKeyFlaw(added, this.columns.length);
    if (flaw !== '') return flaw;
    for (const key of added) this.#indexOfColumn.set(key, this.#indexOfColumn.size);
    this.columns = [...this.columns, ...added];
    return this.#placeCells(object, mayHoldBadText);
  }

  #flawed(line: string, flaw: string): RawRow {
    return { line: this.#line, cells: [excerpt(line)], sizeChars: 0, flaw };
  }
}

/** The object of a line, or a sentence that says what else it is. */
function parseJson(line: string): { readonly [key: string]: Cell } | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (thrown) {
    // The engine's message quotes the line, which may hold anything.
    return `not valid JSON: ${excerpt(messageOf(thrown)).replace(/\p{Cc}/gu, ' ')}`;
  }
  return isObject(value) ? value : `expected a JSON object, found ${nameKind(value)}`;
}

function isObject(value: unknown): value is { readonly [key: string]: Cell } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nameKind(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

/** Why a value cannot be kept as it is; '' where it can. Text without escapes is known to be good. */
function findCellFlaw(cell: Cell, depth: number, mayHoldBadText: boolean): string {
  if (typeof cell === 'string') return mayHoldBadText ? findTextFlaw(cell) : '';
  if (typeof cell === 'number') return findNumberFlaw(cell);
  if (typeof cell === 'boolean' || cell === null) return '';
  if (depth >= maxDepth) return `is nested more than ${maxDepth} levels deep`;
  for (const [key, value] of Object.entries(cell)) {
    const flaw = (mayHoldBadText ? findTextFlaw(key) : '') || findCellFlaw(value, depth + 1, mayHoldBadText);
    if (flaw !== '') return flaw;
  }
  return '';
}

function findTextFlaw(text: string): string {
  if (text.includes('\0')) return 'holds a NUL character';
  return text.isWellFormed() ? '' : 'holds half of a surrogate pair';
}

/** A customer number of twenty digits would come out wrong in the message without a word. */
function findNumberFlaw(number: number): string {
  if (Number.isSafeInteger(number) || (Number.isFinite(number) && !Number.isInteger(number))) return '';
  return 'is a number too large to be kept exactly; write it as a string';
}

function findKeyFlaw(keys: readonly string[], columnCount: number): string {
  if (columnCount + keys.length > maxColumns) return `would make more than ${maxColumns} columns`;
  for (const key of keys) {
    const flaw = key === '' ? 'is empty' : findTextFlaw(key);
    if (flaw !== '') return `a key ${flaw}`;
  }
  return '';
}
