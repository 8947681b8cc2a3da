// Remnants: the rows of compacted campaigns, found and removed a few milliseconds' worth at a time.
import type { StatementSync } from 'node:sqlite';
import type { LedgerFile } from './file.ts';
import { keyOf, maxRow } from './key.ts';
import { integerOf } from './reader.ts';

/** 100 payloads are some 300 pages; 2,000 rows took 2 ms to delete. */
const payloadsPerStep = 100;
const rowsPerStep = 2000;

const keysOfCampaign = `BETWEEN id * ${maxRow + 1} AND id * ${maxRow + 1} + ${maxRow}`;

/** What holds rows of a campaign, beyond `payload`, which goes with `intake_batch`. */
const keyedTables = ['delivery', 'deferral', 'refused'] as const;

export class Remnants {
  readonly #list: StatementSync;
  readonly #batches: StatementSync;
  readonly #deletePayload: StatementSync;
  readonly #deleteBatch: StatementSync;
  /** In the order of `keyedTables`. */
  readonly #deleteKeyed: readonly StatementSync[];

  constructor(file: LedgerFile) {
    const keyed = keyedTables.map((name) => ` OR EXISTS (SELECT 1 FROM ${name} WHERE key ${keysOfCampaign})`);
    this.#list = file.prepare(`
      SELECT id FROM campaign WHERE compacted_at IS NOT NULL AND (
        EXISTS (SELECT 1 FROM intake_batch WHERE campaign_id = id)${keyed.join('')}) ORDER BY id`);
    this.#batches = file.prepare(
      'SELECT batch_id, first_row FROM intake_batch WHERE campaign_id = ? ORDER BY first_row LIMIT ?',
    );
    this.#deletePayload = file.prepare('DELETE FROM payload WHERE batch_id = ?');
    this.#deleteBatch = file.prepare('DELETE FROM intake_batch WHERE campaign_id = ? AND first_row = ?');
    this.#deleteKeyed = keyedTables.map((name) =>
      file.prepare(
        `DELETE FROM ${name} WHERE key BETWEEN ?1 AND ?2
         AND key IN (SELECT key FROM ${name} WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ${rowsPerStep})`,
      ),
    );
  }

  /** The compacted campaigns of which something is left: a few look-ups a campaign. */
  list(): number[] {
    return this.#list.all().map((row) => integerOf(row, 'id'));
  }

  /** Removes some, inside a transaction. Returns how many rows of tables; 0 when none are left. */
  remove(campaignId: number): number {
    const batches = this.#batches.all(campaignId, payloadsPerStep);
    for (const row of batches) {
      this.#deletePayload.run(integerOf(row, 'batch_id'));
      this.#deleteBatch.run(campaignId, integerOf(row, 'first_row'));
    }
    if (batches.length > 0) return batches.length;
    const [from, to] = [keyOf(campaignId, 0), keyOf(campaignId, maxRow)];
    for (const statement of this.#deleteKeyed) {
      const changes = Number(statement.run(from, to).changes);
      if (changes > 0) return changes;
    }
    return 0;
  }
}
