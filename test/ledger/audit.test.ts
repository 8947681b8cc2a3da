// The audit: whatever was tampered with shows.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import type { AuditDifference } from '../../src/ledger/ledger.ts';
import { batchOf, columns, makeDirectory, openFor, refusedOf, settlementOf, storeList } from './fixture.ts';

/** The differences that an audit finds in a half-finished campaign of five rows after `sql` was run on it. */
async function auditAfter(t: TestContext, sql: string): Promise<readonly AuditDifference[]> {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  const { id } = await storeList(ledger, [[1, 2, 4], [5]], [refusedOf(3)]);
  const [batch] = await ledger.claimDue(id, 0, 1);
  assert.ok(batch);
  await ledger.settle([settlementOf(batch, [4])]);
  await ledger.close();
  const database = new DatabaseSync(join(directory, 'ledger.db'));
  database.exec(sql);
  database.close();
  return (await (await openFor(t, directory)).auditCampaign(id)).differences;
}

test('a campaign that adds up has no differences', async (t) => {
  assert.deepEqual(await auditAfter(t, ''), []);
});

test('while intake runs, rows that are not stored yet are no difference', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  await ledger.storeIntake(id, { batches: [batchOf([1, 5])], refused: [], rows: 9, columns }, 0);
  assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
});

const tampered: readonly (readonly [sql: string, ...subjects: string[]])[] = [
  ['DELETE FROM delivery WHERE reply LIKE "% Ok 1"', 'rows accepted', 'finished and pending rows together'],
  [`UPDATE tally SET row_count = 9 WHERE fate = 'accepted'`, 'rows accepted'],
  [`UPDATE delivery SET fate = 'rejected' WHERE key % 4294967296 = 2`, 'rows accepted', 'rows rejected'],
  ['UPDATE delivery SET key = key + 2 WHERE key % 4294967296 = 2', 'rows both pending and finished'],
  ['UPDATE delivery SET key = key + 9 WHERE key % 4294967296 = 2', 'largest finished row'],
  ['UPDATE delivery SET key = key - 1 WHERE key % 4294967296 = 1', 'smallest finished row'],
  ['UPDATE batch SET recipient_count = 7 WHERE id = 2', 'recipients of pending batches'],
  [
    'UPDATE payload SET bytes = (SELECT bytes FROM payload WHERE batch_id = 2) WHERE batch_id = 3',
    'rows pending twice',
  ],
  [
    'UPDATE payload SET bytes = CAST(replace(bytes, "[5,", "[6,") AS BLOB) WHERE batch_id = 2',
    'pending rows that are not in the list',
  ],
  ['DELETE FROM batch WHERE id = 2', 'finished and pending rows together'],
  ['DELETE FROM refused', 'rows refused by intake'],
  ['DELETE FROM intake_batch WHERE n = 1', 'batches stored by intake'],
];

for (const [sql, ...subjects] of tampered) {
  test(`the audit finds: ${subjects.join(', ')}`, async (t) => {
    const differences = await auditAfter(t, sql.replaceAll('"', `'`));
    assert.deepEqual(
      differences.map((one) => one.subject),
      subjects,
    );
  });
}
