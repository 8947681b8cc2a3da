// Migrations: the statements that make the file of an older format one of today's. INTERNALS.md says how one is added.
import { formatVersion } from './schema.ts';

/** The first leads from format 1 to 2, and so on. What has been released once is never changed: files were made by it. */
const migrations: readonly (readonly string[])[] = [
  [
    // A campaign may have several lists. The digest of its only one so far becomes the first of them, once it is complete.
    `CREATE TABLE list (
      campaign_id INTEGER NOT NULL,
      n INTEGER NOT NULL,
      digest TEXT NOT NULL,
      row_count INTEGER NOT NULL,
      known_count INTEGER NOT NULL,
      rows_before INTEGER NOT NULL,
      batches_before INTEGER NOT NULL,
      refused_before INTEGER NOT NULL,
      PRIMARY KEY (campaign_id, n)
    ) STRICT, WITHOUT ROWID`,
    `INSERT INTO list SELECT id, 1, list_digest, row_count, 0, 0, 0, 0 FROM campaign WHERE intake = 'complete'`,
    'ALTER TABLE campaign DROP COLUMN list_digest',
    'ALTER TABLE campaign ADD COLUMN compacted_at INTEGER',
    // How the list that is being taken in is cut into lanes. Format 1 knew one lane, which is what no rules mean.
    'ALTER TABLE campaign ADD COLUMN lanes TEXT',
    'CREATE INDEX batch_lane ON batch (campaign_id, lane, due_at, id)',
    `CREATE TABLE quota (
      name TEXT PRIMARY KEY,
      written_at INTEGER NOT NULL,
      state TEXT NOT NULL
    ) STRICT, WITHOUT ROWID`,
  ],
  [
    // Which relay the attempt before went by; nobody remembers that of older batches.
    `ALTER TABLE batch ADD COLUMN relay TEXT NOT NULL DEFAULT ''`,
    'ALTER TABLE campaign ADD COLUMN steering TEXT',
  ],
  [
    // In whose timezone the recipients of a batch are; those of older batches are in the campaign's.
    `ALTER TABLE batch ADD COLUMN zone TEXT NOT NULL DEFAULT ''`,
    'ALTER TABLE batch ADD COLUMN due_before INTEGER',
    'CREATE INDEX batch_put_off ON batch (campaign_id) WHERE due_before IS NOT NULL',
  ],
];

/** The statements from a format to today's, in order, the new mark at their end; none for today's. For one transaction. */
export function migrationsFrom(version: number): readonly string[] {
  if (version === formatVersion) return [];
  return [...migrations.slice(version - 1).flat(), `PRAGMA user_version = ${formatVersion}`];
}
