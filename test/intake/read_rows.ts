// Runs a row reader over text in given pieces, for the tests of the formats.
import assert from 'node:assert/strict';
import type { Cell } from '../../src/mail/recipient.ts';
import type { RawRow, RowReader } from '../../src/intake/row.ts';

/** Pushes the pieces one by one and returns every row. */
export function readRows(reader: RowReader, pieces: readonly string[]): RawRow[] {
  const rows: RawRow[] = [];
  const drain = (): void => {
    for (let row = reader.next(); row !== undefined; row = reader.next()) rows.push(row);
  };
  for (const piece of pieces) {
    reader.push(piece);
    drain();
  }
  reader.end();
  drain();
  return rows;
}

/** Cuts a text (or bytes) at the given places, which may be in any order and beyond its end. */
export function cutAt<T extends { length: number; slice(from: number, to: number): T }>(
  whole: T,
  places: readonly number[],
): T[] {
  const borders = [
    0,
    ...places.map((place) => place % (whole.length + 1)).sort((a, b) => a - b),
    whole.length,
  ];
  return borders.slice(1).map((to, index) => whole.slice(borders[index] ?? 0, to));
}

/** A cell that must be text. */
export function textOf(cell: Cell | undefined): string {
  assert.ok(typeof cell === 'string');
  return cell;
}
