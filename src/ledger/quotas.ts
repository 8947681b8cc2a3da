// Quotas in the ledger: what was granted of limits that outlive the process, by their names.
import type { StatementSync } from 'node:sqlite';
import type { LedgerFile } from './file.ts';
import type { QuotaRecord } from './ledger.ts';
import { textOf } from './reader.ts';

/** The table `quota`: one row a limit, the newest state in the place of the older one. */
export class QuotaTable {
  readonly #put: StatementSync;
  readonly #forget: StatementSync;
  readonly #all: StatementSync;

  constructor(file: LedgerFile) {
    this.#put = file.prepare(`
      INSERT INTO quota (name, written_at, state) VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET written_at = excluded.written_at, state = excluded.state`);
    this.#forget = file.prepare('DELETE FROM quota WHERE written_at < ?');
    this.#all = file.prepare('SELECT name, state FROM quota ORDER BY name');
  }

  read(writtenSince: number): QuotaRecord[] {
    this.#forget.run(writtenSince);
    return this.#all.all().map((row) => ({ name: textOf(row, 'name'), state: textOf(row, 'state') }));
  }

  write(quotas: readonly QuotaRecord[], now: number): void {
    for (const { name, state } of quotas) this.#put.run(name, now, state);
  }
}
