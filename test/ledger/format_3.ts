// A ledger as format 3 made it: its own CREATE statements, with a campaign of which one recipient waits for another attempt.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** What was executed for a new file, kept as it was. */
const createFormat3 = `
CREATE TABLE campaign (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  plan_digest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  intake TEXT NOT NULL CHECK (intake IN ('open', 'complete')),
  columns TEXT NOT NULL,
  batches_taken INTEGER NOT NULL,
  refused_taken INTEGER NOT NULL,
  row_count INTEGER NOT NULL,
  finished_at INTEGER,
  compacted_at INTEGER,
  lanes TEXT,
  steering TEXT
) STRICT;

CREATE TABLE list (
  campaign_id INTEGER NOT NULL,
  n INTEGER NOT NULL,
  digest TEXT NOT NULL,
  row_count INTEGER NOT NULL,
  known_count INTEGER NOT NULL,
  rows_before INTEGER NOT NULL,
  batches_before INTEGER NOT NULL,
  refused_before INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE tally (
  campaign_id INTEGER NOT NULL,
  fate TEXT NOT NULL,
  row_count INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, fate)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  campaign_id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  born_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  lane TEXT NOT NULL,
  recipient_count INTEGER NOT NULL,
  first_row INTEGER NOT NULL,
  last_row INTEGER NOT NULL,
  from_intake INTEGER NOT NULL,
  relay TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX batch_due ON batch (campaign_id, due_at, id, recipient_count);
CREATE INDEX batch_lane ON batch (campaign_id, lane, due_at, id);

CREATE TABLE payload (
  batch_id INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE intake_batch (
  campaign_id INTEGER NOT NULL,
  first_row INTEGER NOT NULL,
  n INTEGER NOT NULL,
  batch_id INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, first_row),
  UNIQUE (campaign_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE refused (
  key INTEGER PRIMARY KEY,
  list_row INTEGER NOT NULL,
  line INTEGER NOT NULL,
  cells TEXT NOT NULL
) STRICT;

CREATE TABLE delivery (
  key INTEGER PRIMARY KEY,
  fate TEXT NOT NULL,
  finished_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  relay TEXT NOT NULL,
  reply_code INTEGER NOT NULL,
  enhanced_status TEXT NOT NULL,
  reply TEXT NOT NULL,
  classification TEXT NOT NULL
) STRICT;

CREATE TABLE deferral (
  key INTEGER NOT NULL,
  batch_id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  deferred_at INTEGER NOT NULL,
  relay TEXT NOT NULL,
  reply_code INTEGER NOT NULL,
  enhanced_status TEXT NOT NULL,
  reply TEXT NOT NULL,
  classification TEXT NOT NULL,
  PRIMARY KEY (key, batch_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quota (
  name TEXT PRIMARY KEY,
  written_at INTEGER NOT NULL,
  state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 1347375956;
PRAGMA user_version = 3;
`;

const perCampaign = 2 ** 32;

/** Row 1 is accepted, row 2 was deferred by the relay `r` and is due at 12. */
const rows = `
INSERT INTO campaign VALUES
  (1, 'spring', 'p', 5, 'complete', '["email","tz"]', 1, 0, 2, NULL, NULL, '{"groups":[],"others":"domain"}', NULL);
INSERT INTO list VALUES (1, 1, 'l', 2, 0, 0, 0, 0);
INSERT INTO tally VALUES (1, 'accepted', 1);
INSERT INTO payload VALUES
  (1, CAST('[[1,2,"a@a.example",["a@a.example",""]],[2,3,"b@a.example",["b@a.example","Asia/Tokyo"]]]' AS BLOB)),
  (2, CAST('[[2,3,"b@a.example",["b@a.example","Asia/Tokyo"]]]' AS BLOB));
INSERT INTO intake_batch VALUES (1, 1, 0, 1);
INSERT INTO delivery VALUES (${perCampaign + 1}, 'accepted', 10, 1, 'r', 250, '2.0.0', '250 2.0.0 ok', '');
INSERT INTO deferral VALUES (${perCampaign + 2}, 1, 1, 11, 'r', 451, '4.7.1', '451 4.7.1 later', '');
INSERT INTO batch VALUES (2, 1, 2, 5, 12, 'a.example', 1, 2, 2, 0, 'r');
`;

/** Makes `ledger.db` in a directory. */
export function makeFormat3(directory: string): void {
  const database = new DatabaseSync(join(directory, 'ledger.db'));
  try {
    database.exec('PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL');
    database.exec(`BEGIN; ${createFormat3} ${rows} COMMIT`);
  } finally {
    database.close();
  }
}
