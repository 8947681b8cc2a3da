// Pending batches: stored whole, claimed in memory, gone when they are settled.
import type { StatementSync } from 'node:sqlite';
import { invariant } from '../base/invariant.ts';
import type { LedgerFile } from './file.ts';
import type { LaneClaim, PendingSummary, StoredBatch, Successor } from './ledger.ts';
import { bytesOf, integerOf, optionalIntegerOf, textOf, type SqlRow } from './reader.ts';

/** What settling checks a batch by. */
export interface PendingBatch {
  readonly id: number;
  readonly campaignId: number;
  readonly recipientCount: number;
  readonly firstRow: number;
  readonly lastRow: number;
  readonly fromIntake: boolean;
}

/** The tables `batch` and `payload`, and the claims of this process. */
export class BatchTable {
  /** Ids of claimed batches. Bounded by what the workers hold at one time. */
  readonly #claimed = new Set<number>();
  readonly #insert: StatementSync;
  readonly #insertPayload: StatementSync;
  readonly #reserve: StatementSync;
  readonly #due: StatementSync;
  readonly #dueOfLane: StatementSync;
  readonly #lanes: StatementSync;
  readonly #next: StatementSync;
  readonly #whole: StatementSync;
  readonly #facts: StatementSync;
  readonly #payload: StatementSync;
  readonly #putOff: StatementSync;
  readonly #undoPutOffs: StatementSync;
  readonly #sums: StatementSync;
  readonly #ids: StatementSync;
  readonly #delete: StatementSync;
  readonly #deletePayload: StatementSync;

  constructor(file: LedgerFile) {
    this.#insert = file.prepare(`
      INSERT INTO batch (campaign_id, attempt, born_at, due_at, lane, recipient_count, first_row, last_row, from_intake, relay, zone)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#insertPayload = file.prepare('INSERT INTO payload (batch_id, bytes) VALUES (?, ?)');
    this.#reserve = file.prepare(`
      INSERT INTO batch (campaign_id, attempt, born_at, due_at, lane, recipient_count, first_row, last_row, from_intake)
      VALUES (?, 0, 0, 0, '', 0, 0, 0, 0)`);
    this.#due = file.prepare(
      'SELECT id FROM batch WHERE campaign_id = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?',
    );
    this.#dueOfLane = file.prepare(
      'SELECT id, due_at FROM batch WHERE campaign_id = ? AND lane = ? ORDER BY due_at, id LIMIT ?',
    );
    this.#lanes = file.prepare('SELECT DISTINCT lane FROM batch WHERE campaign_id = ?');
    this.#next = file.prepare(
      'SELECT id, due_at FROM batch WHERE campaign_id = ? ORDER BY due_at, id LIMIT ?',
    );
    this.#whole = file.prepare('SELECT * FROM batch JOIN payload ON batch_id = id WHERE id = ?');
    this.#facts = file.prepare(
      'SELECT id, campaign_id, recipient_count, first_row, last_row, from_intake FROM batch WHERE id = ?',
    );
    this.#payload = file.prepare('SELECT bytes FROM payload WHERE batch_id = ?');
    this.#putOff = file.prepare(
      'UPDATE batch SET due_before = coalesce(due_before, due_at), due_at = ? WHERE id = ?',
    );
    this.#undoPutOffs = file.prepare(`
      UPDATE batch SET due_at = due_before, due_before = NULL WHERE campaign_id = ? AND due_before IS NOT NULL`);
    this.#sums = file.prepare(`
      SELECT count(*) AS batches, total(recipient_count) AS recipients, min(due_at) AS oldest_due_at
      FROM batch WHERE campaign_id = ?`);
    this.#ids = file.prepare('SELECT id FROM batch WHERE campaign_id = ? ORDER BY due_at, id');
    this.#delete = file.prepare('DELETE FROM batch WHERE id = ?');
    this.#deletePayload = file.prepare('DELETE FROM payload WHERE batch_id = ?');
  }

  /** Stores a batch as pending and returns its id. Inside a transaction. */
  insert(campaignId: number, batch: Successor, fromIntake: boolean): number {
    const { attempt, bornAt, dueAt, lane, recipientCount, firstRow, lastRow } = batch;
    invariant(
      recipientCount > 0 && firstRow <= lastRow,
      `a batch of ${recipientCount} rows was to be stored`,
    );
    const { lastInsertRowid } = this.#insert.run(
      campaignId,
      attempt,
      bornAt,
      dueAt,
      lane,
      recipientCount,
      firstRow,
      lastRow,
      fromIntake ? 1 : 0,
      batch.relay,
      batch.zone,
    );
    this.#insertPayload.run(lastInsertRowid, batch.payload);
    return Number(lastInsertRowid);
  }

  /** An id that no batch has or will have. Inside a transaction. */
  reserveId(campaignId: number): number {
    // AUTOINCREMENT remembers the highest id ever given, so one that came and went stays used.
    const { lastInsertRowid } = this.#reserve.run(campaignId);
    this.#delete.run(lastInsertRowid);
    return Number(lastInsertRowid);
  }

  /** Takes a batch out of the pending ones, with its payload unless the results need it. Inside a transaction. */
  remove(batch: PendingBatch): void {
    this.#delete.run(batch.id);
    if (!batch.fromIntake) this.#deletePayload.run(batch.id);
  }

  /** The facts of a pending batch, or undefined where none has this id. */
  find(id: number): PendingBatch | undefined {
    const row = this.#facts.get(id);
    if (row === undefined) return undefined;
    return {
      id,
      campaignId: integerOf(row, 'campaign_id'),
      recipientCount: integerOf(row, 'recipient_count'),
      firstRow: integerOf(row, 'first_row'),
      lastRow: integerOf(row, 'last_row'),
      fromIntake: integerOf(row, 'from_intake') === 1,
    };
  }

  claimDue(campaignId: number, now: number, limit: number): StoredBatch[] {
    // At most `claimed.size` of these are claimed, so this many are enough.
    const due = this.#due.all(campaignId, now, this.#claimed.size + limit);
    const free = due.map((row) => integerOf(row, 'id')).filter((id) => !this.#claimed.has(id));
    const batches = free.slice(0, limit).map((id) => this.get(id));
    for (const batch of batches) this.#claimed.add(batch.id);
    return batches;
  }

  claimOfLane(campaignId: number, lane: string, now: number): LaneClaim {
    // At most `claimed.size` of these are claimed: the last two are the one that is claimed now and the next.
    const first = this.#dueOfLane.all(campaignId, lane, this.#claimed.size + 2);
    const [due, next] = first.filter((row) => !this.#claimed.has(integerOf(row, 'id')));
    if (due === undefined) return { batch: undefined, nextDueAt: undefined };
    const dueAt = integerOf(due, 'due_at');
    if (dueAt > now) return { batch: undefined, nextDueAt: dueAt };
    const batch = this.get(integerOf(due, 'id'));
    this.#claimed.add(batch.id);
    return { batch, nextDueAt: next === undefined ? undefined : integerOf(next, 'due_at') };
  }

  /** Every lane in which there is a pending batch. Looks at each of them: 20,000 for ten million rows. */
  lanes(campaignId: number): string[] {
    return this.#lanes.all(campaignId).map((row) => textOf(row, 'lane'));
  }

  release(ids: readonly number[]): void {
    for (const id of ids) this.#claimed.delete(id);
  }

  /** Inside a transaction. */
  putOff(id: number, untilAt: number): void {
    this.#putOff.run(untilAt, id);
  }

  /** Inside a transaction. */
  undoPutOffs(campaignId: number): void {
    this.#undoPutOffs.run(campaignId);
  }

  nextDueAt(campaignId: number): number | undefined {
    const rows = this.#next.all(campaignId, this.#claimed.size + 1);
    const next = rows.find((row) => !this.#claimed.has(integerOf(row, 'id')));
    return next === undefined ? undefined : integerOf(next, 'due_at');
  }

  /** Sums over one index entry per pending batch: 20,000 for ten million rows. */
  pending(campaignId: number): PendingSummary {
    const row = this.#sums.get(campaignId);
    invariant(row !== undefined, 'a sum without a row');
    return {
      batches: integerOf(row, 'batches'),
      recipients: integerOf(row, 'recipients'),
      oldestDueAt: optionalIntegerOf(row, 'oldest_due_at'),
      nextDueAt: this.nextDueAt(campaignId),
    };
  }

  /** The ids of all pending batches of a campaign. */
  pendingIds(campaignId: number): number[] {
    return this.#ids.all(campaignId).map((row) => integerOf(row, 'id'));
  }

  /** A pending batch, whole. */
  get(id: number): StoredBatch {
    const row = this.#whole.get(id);
    invariant(row !== undefined, `there is no pending batch ${id} with a payload`);
    return readBatch(row);
  }

  payload(id: number): Uint8Array {
    const row = this.#payload.get(id);
    invariant(row !== undefined, `there is no payload of batch ${id}`);
    return bytesOf(row, 'bytes');
  }
}

function readBatch(row: SqlRow): StoredBatch {
  return {
    id: integerOf(row, 'id'),
    campaignId: integerOf(row, 'campaign_id'),
    attempt: integerOf(row, 'attempt'),
    bornAt: integerOf(row, 'born_at'),
    dueAt: integerOf(row, 'due_at'),
    lane: textOf(row, 'lane'),
    relay: textOf(row, 'relay'),
    zone: textOf(row, 'zone'),
    recipientCount: integerOf(row, 'recipient_count'),
    firstRow: integerOf(row, 'first_row'),
    lastRow: integerOf(row, 'last_row'),
    payload: bytesOf(row, 'bytes'),
  };
}
