// The rows of a later list in the order of the campaign's columns, which must have the same names.
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { Cell } from '../mail/recipient.ts';
import { nameColumns } from './columns.ts';
import type { RawRow, RowReader } from './row.ts';

/**
 * Reads what another reader reads, with cells in the order of `columns`. Throws ERR_LIST_COLUMNS for a column that the
 * campaign does not have, or that the header of a CSV list lacks: in NDJSON a key that a row does not have is null.
 */
export class SameColumnsReader implements RowReader {
  readonly #inner: RowReader;
  readonly #columns: readonly string[];
  readonly #list: { readonly name: string; readonly hasHeader: boolean };
  #matched: readonly string[] = [];
  /** Where a cell belongs in the campaign's order; undefined where both orders are one. */
  #places: readonly number[] | undefined;

  constructor(
    inner: RowReader,
    columns: readonly string[],
    list: { readonly name: string; readonly hasHeader: boolean },
  ) {
    this.#inner = inner;
    this.#columns = columns;
    this.#list = list;
  }

  get columns(): readonly string[] {
    return this.#inner.columns.length === 0 ? [] : this.#columns;
  }

  get unclosedLine(): number {
    return this.#inner.unclosedLine;
  }

  push(text: string): void {
    this.#inner.push(text);
  }

  end(): void {
    this.#inner.end();
  }

  next(): RawRow | undefined {
    const row = this.#inner.next();
    if (this.#inner.columns !== this.#matched) this.#match(this.#inner.columns);
    if (row === undefined || this.#places === undefined) return row;
    // Of a flawed row there may be but an excerpt, which is no cell of any column.
    const isPlaced = row.flaw === '' || row.cells.length === this.#matched.length;
    return isPlaced ? { ...row, cells: placeCells(row.cells, this.#places) } : row;
  }

  #match(found: readonly string[]): void {
    const expected = this.#columns;
    this.#matched = found;
    const places = found.map((column) => expected.indexOf(column));
    const lacks = this.#list.hasHeader && expected.some((column) => !found.includes(column));
    if (found.length > 0 && (lacks || places.includes(-1)))
      throw otherColumns(this.#list.name, found, expected);
    this.#places = places.every((place, index) => place === index) ? undefined : places;
  }
}

function placeCells(cells: readonly Cell[], places: readonly number[]): Cell[] {
  const placed: Cell[] = [];
  for (const [index, cell] of cells.entries()) {
    const place = places[index] ?? index;
    while (placed.length < place) placed.push(null);
    placed[place] = cell;
  }
  return placed;
}

function otherColumns(name: string, found: readonly string[], expected: readonly string[]): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIST_COLUMNS',
    message: `The list ${name} has the columns ${nameColumns(found)}, but the campaign's are ${nameColumns(expected)}.`,
    hint: 'Give the list the same columns, in any order, or send it as a campaign of its own: --as NEW-NAME.',
    where: name,
    exitCode: ExitCode.dataError,
  });
}
