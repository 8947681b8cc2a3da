// The recipients that an earlier run of the same list has stored, met again in the order of the list.
import type { StoredRecipients } from '../intake/intake.ts';
import type { ListRow } from '../ledger/ledger.ts';
import type { Recipient } from '../mail/recipient.ts';
import { changedList } from './take_in.ts';

/** Holds a page of them at a time. Nothing below the last row of `pages` may be stored before they are all read. */
export class StoredRows implements StoredRecipients {
  readonly #campaign: string;
  readonly #pages: AsyncIterator<readonly ListRow[]>;
  #page: ReadonlyMap<number, ListRow> = new Map();
  #upToRow = 0;

  /** `pages`: in ascending order of rows. */
  constructor(campaign: string, pages: AsyncIterable<readonly ListRow[]>) {
    this.#campaign = campaign;
    this.#pages = pages[Symbol.asyncIterator]();
  }

  get upToRow(): number {
    return this.#upToRow;
  }

  async readOn(): Promise<void> {
    const next = await this.#pages.next();
    const rows = next.done === true ? [] : next.value;
    this.#page = new Map(rows.map((row) => [row.row, row]));
    if (next.done === true) this.#upToRow = Infinity;
    else this.#upToRow = rows.at(-1)?.row ?? this.#upToRow;
  }

  has(recipient: Recipient): boolean {
    const stored = this.#page.get(recipient.row);
    if (stored === undefined) return false;
    const isSame =
      stored.address === recipient.address &&
      stored.line === recipient.line &&
      JSON.stringify(stored.cells) === JSON.stringify(recipient.cells);
    if (!isSame) throw changedList(this.#campaign, `row ${recipient.row} differs`);
    return true;
  }
}
