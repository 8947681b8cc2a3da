// Taking a list in: from intake to the ledger, going on where an earlier run was interrupted.
import type { Clock } from '../base/clock.ts';
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { NewBatch } from '../intake/batch_cutter.ts';
import type { IntakePart, IntakeSink } from '../intake/intake.ts';
import type { CampaignRecord, Ledger, ListRecord } from '../ledger/ledger.ts';
import type { RefusedRow } from '../mail/recipient.ts';

export interface TakeInHooks {
  /** The columns are known and nothing has been stored: the last moment to refuse the list. */
  readonly begin: (columns: readonly string[]) => void;
  /** A batch that is not stored yet; the last moment to refuse the campaign for what its messages look like. */
  readonly batch: (payload: Uint8Array, columns: readonly string[]) => void;
  /** A part is in the ledger; `fresh` tells what it added. */
  readonly stored: (part: IntakePart, fresh: { batches: number; refused: readonly RefusedRow[] }) => void;
}

/** What an interrupted list is compared by: where batches are not the same every time, by rows, and by whoever reads them. */
export type ComparedBy = 'batches' | 'rows';

/**
 * A sink that stores what the ledger does not have yet. Intake gives the same batches and refused rows for the same
 * bytes, so an interrupted list is read again from the start, and the first `batchesTaken` batches and `refusedTaken`
 * refused rows are compared instead of stored; of a `later` list, those behind what the campaign had before it.
 *
 * Compared by rows, batches have only recipients that are not stored. Those that come below what was read then are the ones
 * that waited for their batch to fill, so they are few, and are kept until the list has come so far again.
 */
export class LedgerSink implements IntakeSink {
  readonly #ledger: Ledger;
  readonly #campaign: CampaignRecord;
  readonly #clock: Clock;
  readonly #hooks: TakeInHooks;
  /** Where a later list ends, which is known before any of it is stored. */
  readonly #lastRow: number;
  #batches: number;
  #refused: number;
  #kept: NewBatch[] = [];

  constructor(
    ledger: Ledger,
    campaign: CampaignRecord,
    clock: Clock,
    hooks: TakeInHooks,
    later?: ListRecord,
    comparedBy: ComparedBy = 'batches',
  ) {
    this.#batches = comparedBy === 'rows' ? campaign.batchesTaken : (later?.batchesBefore ?? 0);
    this.#refused = later?.refusedBefore ?? 0;
    this.#lastRow = later === undefined ? Infinity : later.rowsBefore + later.rows - later.known;
    this.#ledger = ledger;
    this.#campaign = campaign;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  async begin(columns: readonly string[]): Promise<void> {
    const { name, columns: taken } = this.#campaign;
    // Batches hold cells without the names of their columns. Those of NDJSON grow: at the beginning there are fewer.
    const agree = taken.length === 0 || columns.every((column, index) => column === taken[index]);
    if (!agree) throw changedList(name, 'its columns differ');
    this.#hooks.begin(columns);
  }

  async store(part: IntakePart): Promise<void> {
    // Stored, such rows would be of no list: neither this one nor the one with them could ever be completed.
    if (part.rows > this.#lastRow) throw changedList(this.#campaign.name, 'it has grown while it was read');
    const batches: NewBatch[] = this.#kept;
    this.#kept = [];
    for (const batch of part.batches) {
      this.#hooks.batch(batch.payload, part.columns);
      if (this.#batches < this.#campaign.batchesTaken) await this.#compareBatch(batch);
      else batches.push(batch);
      this.#batches += 1;
    }
    const refused: RefusedRow[] = [];
    for (const row of part.refused) {
      if (this.#refused < this.#campaign.refusedTaken) await this.#compareRefused(row);
      else refused.push(this.#checkNew(row));
      this.#refused += 1;
    }
    if (part.rows < this.#campaign.rows) this.#kept = batches;
    else await this.#ledger.storeIntake(this.#campaign.id, { ...part, batches, refused }, this.#clock.now());
    const stored = part.rows < this.#campaign.rows ? part : { ...part, batches };
    this.#hooks.stored(stored, { batches: batches.length, refused });
  }

  /** Throws where the list, now that it is read, is shorter than what is stored of it. `rows` are the campaign's. */
  checkEnd(rows: number): void {
    const { name, rows: taken, batchesTaken, refusedTaken } = this.#campaign;
    const reached = rows >= taken && this.#batches >= batchesTaken && this.#refused >= refusedTaken;
    if (!reached) throw changedList(name, 'it ends before what was read then');
  }

  async #compareBatch(batch: NewBatch): Promise<void> {
    const stored = await this.#ledger.readIntakeBatch(this.#campaign.id, this.#batches);
    if (stored !== undefined && Buffer.compare(stored, batch.payload) === 0) return;
    throw this.#changedList(batch.firstRow, batch.lastRow);
  }

  async #compareRefused(row: RefusedRow): Promise<void> {
    const stored = await this.#ledger.readRefusedRow(this.#campaign.id, this.#refused);
    if (stored !== row.row) throw this.#changedList(row.row, row.row);
  }

  /** Whatever was refused so far down is stored. */
  #checkNew(refused: RefusedRow): RefusedRow {
    if (refused.row <= this.#campaign.rows) throw this.#changedList(refused.row, refused.row);
    return refused;
  }

  #changedList(firstRow: number, lastRow: number): PosthasteError {
    return changedList(this.#campaign.name, `rows ${firstRow} to ${lastRow} differ`);
  }
}

/** The error for a list that is not the one a campaign was begun with. */
export function changedList(campaign: string, detail: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIST_CHANGED',
    message: `campaign "${campaign}" was begun with another list: ${detail}`,
    hint: 'give the list that it was begun with, to its end; then another can be added, or sent as a campaign of its own (--as NEW-NAME)',
    exitCode: ExitCode.dataError,
  });
}
