// What intake stored: batches and refused rows in the order of the list, kept for re-runs and results.
import type { StatementSync } from 'node:sqlite';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { Delivery } from '../mail/delivery.ts';
import { emptyTally, sumTally } from '../mail/outcome.ts';
import type { RefusedRow } from '../mail/recipient.ts';
import type { BatchTable } from './batches.ts';
import type { CampaignTable } from './campaigns.ts';
import type { DeliveryTable } from './deliveries.ts';
import type { LedgerFile } from './file.ts';
import { keyOf, maxRow } from './key.ts';
import type { CampaignRecord, CompletedIntake, IntakePart, NewBatch } from './ledger.ts';
import { cellsOf, integerOf } from './reader.ts';

/** A refused row as it is kept; its fate and reason are its delivery. */
export type StoredRefusal = Pick<RefusedRow, 'row' | 'line' | 'cells'>;

/** The tables that an intake part is spread over. */
export interface IntakeTables {
  readonly campaigns: CampaignTable;
  readonly batches: BatchTable;
  readonly deliveries: DeliveryTable;
}

/** The tables `intake_batch` and `refused`. Methods that change something run inside a transaction of the caller. */
export class IntakeStore {
  readonly #tables: IntakeTables;
  readonly #insertBatch: StatementSync;
  readonly #insertRefused: StatementSync;
  readonly #batch: StatementSync;
  readonly #refused: StatementSync;
  readonly #batchesFrom: StatementSync;
  readonly #refusedFrom: StatementSync;
  readonly #countBatches: StatementSync;
  readonly #countRefused: StatementSync;

  constructor(file: LedgerFile, tables: IntakeTables) {
    this.#tables = tables;
    this.#insertBatch = file.prepare('INSERT INTO intake_batch VALUES (?, ?, ?, ?)');
    this.#insertRefused = file.prepare('INSERT INTO refused VALUES (?, ?, ?, ?)');
    this.#batch = file.prepare('SELECT batch_id FROM intake_batch WHERE campaign_id = ? AND n = ?');
    this.#refused = file.prepare('SELECT list_row FROM refused WHERE key = ?');
    this.#batchesFrom = file.prepare(`
      SELECT batch_id FROM intake_batch WHERE campaign_id = ? AND first_row BETWEEN ? AND ? ORDER BY first_row`);
    this.#refusedFrom = file.prepare(
      'SELECT list_row, line, cells FROM refused WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?',
    );
    this.#countBatches = file.prepare('SELECT count(*) AS n FROM intake_batch WHERE campaign_id = ?');
    this.#countRefused = file.prepare('SELECT count(*) AS n FROM refused WHERE key BETWEEN ? AND ?');
  }

  store(campaignId: number, part: IntakePart, now: number): void {
    if (part.rows > maxRow) throw makeListTooLong(part.rows);
    const campaign = this.#tables.campaigns.get(campaignId);
    invariant(
      campaign.intake === 'open',
      `a part was to be stored after the whole list of campaign ${campaignId}`,
    );
    for (const [index, batch] of part.batches.entries()) {
      invariant(batch.lastRow <= part.rows, `a batch ends at row ${batch.lastRow} of ${part.rows}`);
      this.#storeBatch(campaignId, campaign.batchesTaken + index, batch, now);
    }
    this.#storeRefused(campaign, part, now);
    this.#tables.campaigns.addIntake(campaignId, {
      batches: part.batches.length,
      refused: part.refused.length,
      rows: part.rows,
      columns: part.columns,
    });
  }

  complete(campaignId: number, done: CompletedIntake): void {
    const { tally } = this.#tables.campaigns.get(campaignId);
    const stored = sumTally(tally) + this.#tables.batches.pending(campaignId).recipients;
    invariant(
      stored === done.rows,
      `intake stored ${stored} of the ${done.rows} rows of campaign ${campaignId}`,
    );
    this.#tables.campaigns.complete(campaignId, done);
  }

  /** The id of the n-th batch (from 0), or undefined past the last one. */
  findBatchId(campaignId: number, n: number): number | undefined {
    const row = this.#batch.get(campaignId, n);
    return row === undefined ? undefined : integerOf(row, 'batch_id');
  }

  findRefusedRow(campaignId: number, n: number): number | undefined {
    const row = this.#refused.get(keyOf(campaignId, n));
    return row === undefined ? undefined : integerOf(row, 'list_row');
  }

  /** The ids of the batches whose first row lies in a range, both ends included. */
  readBatchIds(campaignId: number, fromRow: number, toRow: number): number[] {
    return this.#batchesFrom.all(campaignId, fromRow, toRow).map((row) => integerOf(row, 'batch_id'));
  }

  /** Up to `limit` refused rows from the n-th on. */
  readRefused(campaignId: number, n: number, limit: number): StoredRefusal[] {
    const rows = this.#refusedFrom.all(keyOf(campaignId, n), keyOf(campaignId, maxRow), limit);
    return rows.map((row) => ({
      row: integerOf(row, 'list_row'),
      line: integerOf(row, 'line'),
      cells: cellsOf(row, 'cells'),
    }));
  }

  /** How many batches and refused rows there are, counted. Off the hot path. */
  count(campaignId: number): { batches: number; refused: number } {
    const batches = this.#countBatches.get(campaignId);
    const refused = this.#countRefused.get(keyOf(campaignId, 0), keyOf(campaignId, maxRow));
    invariant(batches !== undefined && refused !== undefined, 'a count without a row');
    return { batches: integerOf(batches, 'n'), refused: integerOf(refused, 'n') };
  }

  #storeBatch(campaignId: number, n: number, batch: NewBatch, now: number): void {
    const fresh = { ...batch, attempt: 1, bornAt: now, dueAt: now, relay: '' };
    const batchId = this.#tables.batches.insert(campaignId, fresh, true);
    this.#insertBatch.run(campaignId, batch.firstRow, n, batchId);
  }

  /** Refused rows are numbered as they come, and the results rely on the numbers being in the order of rows. */
  #storeRefused(campaign: CampaignRecord, part: IntakePart, now: number): void {
    const tally = emptyTally();
    let n = campaign.refusedTaken;
    let previousRow = n === 0 ? 0 : (this.findRefusedRow(campaign.id, n - 1) ?? 0);
    for (const one of part.refused) {
      invariant(one.row > previousRow && one.row <= part.rows, `refused row ${one.row} came out of order`);
      previousRow = one.row;
      this.#insertRefused.run(keyOf(campaign.id, n++), one.row, one.line, JSON.stringify(one.cells));
      tally[one.fate]++;
    }
    this.#tables.deliveries.insert(
      campaign.id,
      part.refused.map((one) => deliverRefused(one, now)),
    );
    this.#tables.campaigns.addTally(campaign.id, tally);
  }
}

function deliverRefused(refused: RefusedRow, now: number): Delivery {
  return {
    row: refused.row,
    fate: refused.fate,
    finishedAt: now,
    attempts: 0,
    relay: '',
    replyCode: 0,
    enhancedStatus: '',
    reply: refused.reason,
    classification: '',
  };
}

function makeListTooLong(rows: number): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIST_TOO_LONG',
    message: `the list has at least ${rows} rows, and a campaign can have ${maxRow}`,
    hint: 'Split the list and send each part as a campaign of its own.',
    exitCode: ExitCode.dataError,
  });
}
