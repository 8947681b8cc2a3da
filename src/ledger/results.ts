// Results: every row of a list in its order, with what happened to it, in memory that does not grow with the list.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { unpackRecipients } from '../mail/batch.ts';
import type { BatchTable } from './batches.ts';
import type { DeferralSummary, DeliveryTable } from './deliveries.ts';
import type { Delivery } from '../mail/delivery.ts';
import type { LedgerFile } from './file.ts';
import type { IntakeStore } from './intake_store.ts';
import type { ListRow, ResultRow } from './ledger.ts';

/** Rows read in one go: a page of them takes about a millisecond. */
const pageRows = 500;

export interface ResultTables {
  readonly batches: BatchTable;
  readonly deliveries: DeliveryTable;
  readonly intake: IntakeStore;
}

/** Reads the rows 1 to `lastRow` of a campaign that are stored, in row order, in pages. */
export async function* readResultPages(
  file: LedgerFile,
  tables: ResultTables,
  campaignId: number,
  lastRow: number,
): AsyncGenerator<readonly ResultRow[], void, undefined> {
  const pages = new ListPages(tables, campaignId);
  for (let fromRow = 1; fromRow <= lastRow; fromRow += pageRows) {
    const toRow = Math.min(fromRow + pageRows - 1, lastRow);
    const page = file.read(() => ({
      list: pages.take(fromRow, toRow),
      deliveries: tables.deliveries.readRange(campaignId, fromRow, toRow),
      deferrals: tables.deliveries.readDeferrals(campaignId, fromRow, toRow),
    }));
    yield page.list.map((one) => joinRow(one, page.deliveries.get(one.row), page.deferrals.get(one.row)));
    // A long read leaves the loop to the relay's replies between pages.
    await nextTurn();
  }
}

/** The same rows as lists had them. */
export async function* readRowPages(
  file: LedgerFile,
  tables: ResultTables,
  campaignId: number,
  lastRow: number,
): AsyncGenerator<readonly ListRow[], void, undefined> {
  const pages = new ListPages(tables, campaignId);
  for (let fromRow = 1; fromRow <= lastRow; fromRow += pageRows) {
    yield file.read(() => pages.take(fromRow, Math.min(fromRow + pageRows - 1, lastRow)));
    await nextTurn();
  }
}

function joinRow(
  listed: ListRow,
  delivery: Delivery | undefined,
  deferrals: DeferralSummary | undefined,
): ResultRow {
  return {
    row: listed.row,
    line: listed.line,
    cells: listed.cells,
    address: listed.address,
    delivery,
    deferralCount: deferrals?.count ?? 0,
    lastDeferral: deferrals?.last,
  };
}

/**
 * The list, page by page. Batches of different lanes interleave, so a batch that begins on a page may hold rows of later
 * pages: those wait, and every batch that holds a row of a page has begun on it or before.
 *
 *     rows      1 2 3 4 | 5 6 7 8 | 9 …      pages
 *     batch A   *   * * |     *   |
 *     batch B     *     | *     * |          B's 5 and 8 wait from the first page on
 *     refused           |   *     | *        read ahead a page at a time, the rest waits
 */
class ListPages {
  readonly #tables: ResultTables;
  readonly #campaignId: number;
  readonly #waiting = new Map<number, ListRow>();
  #refusedRead = 0;
  #refusedUpToRow = 0;

  constructor(tables: ResultTables, campaignId: number) {
    this.#tables = tables;
    this.#campaignId = campaignId;
  }

  /** The stored rows of a range, in order. Ranges must be asked for in order, without gaps. */
  take(fromRow: number, toRow: number): ListRow[] {
    this.#addBatches(fromRow, toRow);
    this.#addRefused(toRow);
    const taken: ListRow[] = [];
    for (let row = fromRow; row <= toRow; row++) {
      const listed = this.#waiting.get(row);
      if (listed === undefined) continue;
      this.#waiting.delete(row);
      taken.push(listed);
    }
    return taken;
  }

  #addBatches(fromRow: number, toRow: number): void {
    for (const id of this.#tables.intake.readBatchIds(this.#campaignId, fromRow, toRow)) {
      for (const one of unpackRecipients(this.#tables.batches.payload(id))) this.#waiting.set(one.row, one);
    }
  }

  #addRefused(toRow: number): void {
    while (this.#refusedUpToRow < toRow) {
      const refused = this.#tables.intake.readRefused(this.#campaignId, this.#refusedRead, pageRows);
      for (const one of refused) this.#waiting.set(one.row, { ...one, address: undefined });
      this.#refusedRead += refused.length;
      const isLast = refused.length < pageRows;
      this.#refusedUpToRow = isLast ? Number.POSITIVE_INFINITY : (refused.at(-1)?.row ?? toRow);
    }
  }
}
