// A ledger as format 1 made it: its own CREATE statements, with a campaign that is half sent and one whose list is half read.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** What the first release executed for a new file, kept as it was. */
const createFormat1 = `
CREATE TABLE campaign (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  plan_digest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  intake TEXT NOT NULL CHECK (intake IN ('open', 'complete')),
  columns TEXT NOT NULL,
  list_digest TEXT NOT NULL,
  batches_taken INTEGER NOT NULL,
  refused_taken INTEGER NOT NULL,
  row_count INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;

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
  from_intake INTEGER NOT NULL
) STRICT;

CREATE INDEX batch_due ON batch (campaign_id, due_at, id, recipient_count);

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

PRAGMA application_id = 1347375956;
PRAGMA user_version = 1;
`;

const perCampaign = 2 ** 32;

/** The list of "spring": row 3 is no address. Its recipients are in one batch each of two. */
export const springList =
  'email,name\na@example.com,Ann\nb@example.com,Ben\nbad,Eve\nc@example.com,Cid\nd@example.com,Dot\n';

/** Rows 1 and 2 are accepted, 3 is invalid, 4 was deferred once and is pending, 5 is rejected. `digest` is its list's. */
const spring = (planDigest: string, digest: string): string => `
INSERT INTO campaign VALUES (1, 'spring', '${planDigest}', 5, 'complete', '["email","name"]', '${digest}', 2, 1, 5, NULL);
INSERT INTO tally VALUES (1, 'accepted', 2), (1, 'invalid', 1), (1, 'rejected', 1);
INSERT INTO payload VALUES
  (1, CAST('[[1,2,"a@example.com",["a@example.com","Ann"]],[2,3,"b@example.com",["b@example.com","Ben"]]]' AS BLOB)),
  (2, CAST('[[4,5,"c@example.com",["c@example.com","Cid"]],[5,6,"d@example.com",["d@example.com","Dot"]]]' AS BLOB)),
  (3, CAST('[[4,5,"c@example.com",["c@example.com","Cid"]]]' AS BLOB));
INSERT INTO intake_batch VALUES (1, 1, 0, 1), (1, 4, 1, 2);
INSERT INTO refused VALUES (${perCampaign}, 3, 4, '["bad","Eve"]');
INSERT INTO delivery VALUES
  (${perCampaign + 1}, 'accepted', 10, 1, 'r', 250, '2.0.0', '250 2.0.0 ok', ''),
  (${perCampaign + 2}, 'accepted', 10, 1, 'r', 250, '2.0.0', '250 2.0.0 ok', ''),
  (${perCampaign + 3}, 'invalid', 6, 0, '', 0, '', 'address has no "@"', ''),
  (${perCampaign + 5}, 'rejected', 11, 1, 'r', 550, '5.1.1', '550 5.1.1 who', 'mailbox');
INSERT INTO deferral VALUES (${perCampaign + 4}, 2, 1, 11, 'r', 451, '4.7.1', '451 4.7.1 later', '');
INSERT INTO batch VALUES (3, 1, 2, 5, 12, '', 1, 4, 4, 0);
`;

/** Of "autumn" one batch is stored, and no more of its list was read. */
const autumn = `
INSERT INTO campaign VALUES (2, 'autumn', 'p', 7, 'open', '["email"]', '', 1, 0, 1, NULL);
INSERT INTO payload VALUES (4, CAST('[[1,2,"a@example.com",["a@example.com"]]]' AS BLOB));
INSERT INTO intake_batch VALUES (2, 1, 0, 4);
INSERT INTO batch VALUES (4, 2, 1, 7, 7, '', 1, 1, 1, 1);
`;

/** Makes `ledger.db` in a directory. The digests are of spring's template and list. */
export function makeFormat1(directory: string, planDigest = 'p', listDigest = 'l'): void {
  const database = new DatabaseSync(join(directory, 'ledger.db'));
  try {
    database.exec('PRAGMA page_size = 8192; PRAGMA journal_mode = WAL');
    database.exec(`BEGIN; ${createFormat1} ${spring(planDigest, listDigest)} ${autumn} COMMIT`);
  } finally {
    database.close();
  }
}
