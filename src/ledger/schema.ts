// The ledger's tables and the mark of its format. INTERNALS.md says why they are as they are.

/** "POST" in ASCII, in the header of the file, so that no other program's database is taken for ours. */
export const applicationId = 0x504f5354;

/** Raised by one with every change of the tables; `migrations.ts` leads older files here. */
export const formatVersion = 4;

/** Makes the tables of a new file. */
export const createTables = `
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
  relay TEXT NOT NULL DEFAULT '',
  zone TEXT NOT NULL DEFAULT '',
  due_before INTEGER
) STRICT;

CREATE INDEX batch_due ON batch (campaign_id, due_at, id, recipient_count);
CREATE INDEX batch_lane ON batch (campaign_id, lane, due_at, id);
CREATE INDEX batch_put_off ON batch (campaign_id) WHERE due_before IS NOT NULL;

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

PRAGMA application_id = ${applicationId};
PRAGMA user_version = ${formatVersion};
`;
