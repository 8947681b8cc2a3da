// The row reader: what comes out of SQLite is checked once, here, and is typed from then on.
import type { SQLOutputValue } from 'node:sqlite';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { fates, type Fate } from '../mail/outcome.ts';
import type { Cell } from '../mail/recipient.ts';

/** A row as node:sqlite returns it. */
export type SqlRow = Readonly<Record<string, SQLOutputValue>>;

/** The integer or the null (as undefined) of a column. */
export function optionalIntegerOf(row: SqlRow, column: string): number | undefined {
  return row[column] === null ? undefined : integerOf(row, column);
}

/** The integer of a column; larger than 2^53 never gets here, node:sqlite refuses those. */
export function integerOf(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw misread(column, 'an integer', value);
  return value;
}

/** The text of a column. */
export function textOf(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw misread(column, 'text', value);
  return value;
}

/** The blob of a column, in a buffer of its own. */
export function bytesOf(row: SqlRow, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw misread(column, 'a blob', value);
  return value;
}

/** The fate that a column names. */
export function fateOf(row: SqlRow, column: string): Fate {
  const value = row[column];
  const fate = fates.find((one) => one === value);
  if (fate === undefined) throw misread(column, 'a fate', value);
  return fate;
}

/** The cells of a column: a JSON array of our own writing, so its elements are trusted. */
export function cellsOf(row: SqlRow, column: string): readonly Cell[] {
  const value: unknown = JSON.parse(textOf(row, column));
  if (!isCells(value)) throw misread(column, 'a JSON array', value);
  return value;
}

/** The names of a column: a JSON array of texts. */
export function namesOf(row: SqlRow, column: string): readonly string[] {
  return cellsOf(row, column).map((name) => {
    if (typeof name !== 'string') throw misread(column, 'a JSON array of texts', name);
    return name;
  });
}

function isCells(value: unknown): value is readonly Cell[] {
  return Array.isArray(value);
}

function misread(column: string, expected: string, value: unknown): PosthasteError {
  const found = value === null ? 'null' : typeof value;
  return new PosthasteError({
    code: 'ERR_STATE_CORRUPT',
    message: `the ledger's column ${column} holds ${found} where ${expected} was expected`,
    hint: 'Restore the state directory from a backup: the file was changed by something else, or the disk is failing.',
    exitCode: ExitCode.ioError,
  });
}
