// The earlier lists of a campaign, as a later one meets them: who is known, which rows were refused before, where numbers go on.
import { createHash } from 'node:crypto';
import type { Cell } from '../mail/recipient.ts';
import { AddressIndex } from './dedupe.ts';

/** A row of an earlier list; one without an address was refused. */
export interface EarlierRow {
  readonly address: string | undefined;
  readonly cells: readonly Cell[];
}

/** Takes about 12 bytes a row, whatever is in it (see `AddressIndex`). */
export class EarlierLists {
  /** The campaign's columns; a later list has the same. */
  readonly columns: readonly string[];
  /** Rows of the campaign so far. */
  readonly rows: number;
  readonly #addresses = new AddressIndex();
  readonly #refused = new AddressIndex();

  constructor(columns: readonly string[], rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  add({ address, cells }: EarlierRow): void {
    if (address === undefined) this.#refused.add(digestCells(cells), 1);
    else this.#addresses.add(address, 1);
  }

  /** Compared as duplicates are: in lower case. */
  hasAddress(address: string): boolean {
    return this.#addresses.has(address);
  }

  /** Whether a row of just these cells, in the campaign's order, was refused. */
  hasRefused(cells: readonly Cell[]): boolean {
    return this.#refused.has(digestCells(cells));
  }
}

/** The index compares in lower case, and hex has no other. */
function digestCells(cells: readonly Cell[]): string {
  return createHash('sha256').update(JSON.stringify(cells)).digest('hex');
}
