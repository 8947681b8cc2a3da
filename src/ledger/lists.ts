// The lists of a campaign: which ones it has had, and where the rows of each begin.
import type { StatementSync } from 'node:sqlite';
import type { LedgerFile } from './file.ts';
import type { ListRecord } from './ledger.ts';
import { integerOf, textOf } from './reader.ts';

/** The table `list`. A campaign has few, so all are read with it. */
export class ListTable {
  readonly #insert: StatementSync;
  readonly #all: StatementSync;

  constructor(file: LedgerFile) {
    this.#insert = file.prepare('INSERT INTO list VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    this.#all = file.prepare('SELECT * FROM list WHERE campaign_id = ? ORDER BY n');
  }

  /** Stores the n-th list (from 1) of a campaign. Inside a transaction. */
  insert(campaignId: number, n: number, list: ListRecord): void {
    const { digest, rows, known, rowsBefore, batchesBefore, refusedBefore } = list;
    this.#insert.run(campaignId, n, digest, rows, known, rowsBefore, batchesBefore, refusedBefore);
  }

  /** In the order in which they came. */
  read(campaignId: number): ListRecord[] {
    return this.#all.all(campaignId).map((row) => ({
      digest: textOf(row, 'digest'),
      rows: integerOf(row, 'row_count'),
      known: integerOf(row, 'known_count'),
      rowsBefore: integerOf(row, 'rows_before'),
      batchesBefore: integerOf(row, 'batches_before'),
      refusedBefore: integerOf(row, 'refused_before'),
    }));
  }
}
