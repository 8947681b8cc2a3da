// Ledgers of an older format: brought to today's wholly or not at all, with everything that they hold.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { migrationsFrom } from '../../src/ledger/migrations.ts';
import { formatVersion } from '../../src/ledger/schema.ts';
import { collectRows, makeDirectory, openFor, settlementOf } from './fixture.ts';
import { makeFormat1 } from './format_1.ts';
import { makeFormat3 } from './format_3.ts';

const childFile = fileURLToPath(new URL('migrate_child.ts', import.meta.url));

function inspect<T>(directory: string, look: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(directory, 'ledger.db'));
  try {
    return look(database);
  } finally {
    database.close();
  }
}

function versionOf(directory: string): unknown {
  return inspect(directory, (database) => database.prepare('PRAGMA user_version').get()?.['user_version']);
}

/** Every table and index, with its columns in order. */
function shapeOf(directory: string): unknown {
  return inspect(directory, (database) =>
    database
      .prepare(`
        SELECT m.type, m.name, c.name AS column, c.type AS column_type, c."notnull" AS needed, c.pk
        FROM sqlite_schema AS m LEFT JOIN pragma_table_xinfo(m.name) AS c ORDER BY m.name, c.cid`)
      .all()
      .map((row) => Object.entries(row)),
  );
}

test('a ledger of format 1 has the tables of a new one when it was opened, and only then', async (t) => {
  const [old, fresh] = [makeDirectory(t), makeDirectory(t)];
  makeFormat1(old);
  assert.equal(versionOf(old), 1);
  for (const directory of [old, fresh]) await (await openLedger({ directory })).close();
  assert.equal(versionOf(old), formatVersion);
  assert.deepEqual(shapeOf(old), shapeOf(fresh));
});

test('a ledger of format 3 has the tables of a new one, and its retries go on by their relay, in no zone of their own', async (t) => {
  const [old, fresh] = [makeDirectory(t), makeDirectory(t)];
  makeFormat3(old);
  for (const directory of [old, fresh]) await (await openLedger({ directory })).close();
  assert.deepEqual([versionOf(old), shapeOf(old)], [formatVersion, shapeOf(fresh)]);
  const ledger = await openFor(t, old);
  assert.deepEqual((await ledger.auditCampaign(1)).differences, []);
  await ledger.undoPutOffs(1);
  assert.equal((await ledger.claimOfLane(1, 'a.example', 11)).nextDueAt, 12);
  const { batch } = await ledger.claimOfLane(1, 'a.example', 12);
  assert.ok(batch);
  assert.deepEqual([batch.attempt, batch.relay, batch.zone], [2, 'r', '']);
  await ledger.settle([settlementOf(batch)]);
  await ledger.finishCampaign(1, 20);
  assert.deepEqual((await ledger.auditCampaign(1)).differences, []);
});

test('a migrated campaign has its list, its rows and their fates, and adds up', async (t) => {
  const directory = makeDirectory(t);
  makeFormat1(directory, 'plan', 'digest');
  const ledger = await openFor(t, directory);
  const campaign = await ledger.findCampaign('spring');
  assert.deepEqual(campaign?.lists, [
    { digest: 'digest', rows: 5, known: 0, rowsBefore: 0, batchesBefore: 0, refusedBefore: 0 },
  ]);
  assert.deepEqual(
    [campaign.planDigest, campaign.intake, campaign.columns],
    ['plan', 'complete', ['email', 'name']],
  );
  const rows = await collectRows(ledger.readResults(campaign.id));
  assert.deepEqual(
    rows.map((row) => [row.row, row.address, row.delivery?.fate, row.deferralCount]),
    [
      [1, 'a@example.com', 'accepted', 0],
      [2, 'b@example.com', 'accepted', 0],
      [3, undefined, 'invalid', 0],
      [4, 'c@example.com', undefined, 1],
      [5, 'd@example.com', 'rejected', 0],
    ],
  );
  assert.deepEqual((await ledger.auditCampaign(campaign.id)).differences, []);
});

test('a migrated campaign is sent to its end', async (t) => {
  const directory = makeDirectory(t);
  makeFormat1(directory);
  const ledger = await openFor(t, directory);
  const [batch, ...others] = await ledger.claimDue(1, 12, 9);
  assert.ok(batch);
  assert.deepEqual([batch.id, batch.attempt, others.length], [3, 2, 0]);
  await ledger.settle([settlementOf(batch)]);
  await ledger.finishCampaign(1, 20);
  const campaign = await ledger.findCampaign('spring');
  assert.deepEqual([campaign?.tally.accepted, campaign?.finishedAt], [3, 20]);
  assert.deepEqual((await ledger.auditCampaign(1)).differences, []);
});

test('a list that was half read in format 1 is the first of its campaign once it is complete', async (t) => {
  const directory = makeDirectory(t);
  makeFormat1(directory);
  const ledger = await openFor(t, directory);
  assert.deepEqual((await ledger.findCampaign('autumn'))?.lists, []);
  await ledger.completeIntake(2, { rows: 1, listDigest: 'a', columns: ['email'] });
  const campaign = await ledger.findCampaign('autumn');
  assert.deepEqual([campaign?.intake, campaign?.lists[0]?.digest], ['complete', 'a']);
});

test('a migration of format 3 that is killed, after whichever statement, leaves it; the next opening does it all', async (t) => {
  for (let last = 1; last <= migrationsFrom(3).length + 1; last++) {
    const directory = makeDirectory(t);
    makeFormat3(directory);
    const child = spawnSync(process.execPath, [childFile, directory, String(last)], { encoding: 'utf8' });
    assert.deepEqual([child.signal, child.stdout], ['SIGKILL', ''], child.stderr);
    assert.equal(versionOf(directory), 3);
    await (await openLedger({ directory })).close();
    assert.equal(versionOf(directory), formatVersion);
  }
});

test('a migration that is killed, after whichever statement, leaves format 1; the next opening does it all', async (t) => {
  const statements = migrationsFrom(1).length;
  // One more than there are: the kill comes before the COMMIT.
  for (let last = 1; last <= statements + 1; last++) {
    const directory = makeDirectory(t);
    makeFormat1(directory);
    const child = spawnSync(process.execPath, [childFile, directory, String(last)], { encoding: 'utf8' });
    assert.deepEqual([child.signal, child.stdout], ['SIGKILL', ''], child.stderr);
    assert.equal(versionOf(directory), 1);
    const columns = inspect(directory, (database) =>
      database.prepare('SELECT list_digest FROM campaign').all(),
    );
    assert.deepEqual(
      columns.map((row) => row['list_digest']),
      ['l', ''],
    );
    const ledger = await openLedger({ directory });
    assert.equal((await ledger.findCampaign('spring'))?.lists[0]?.digest, 'l');
    await ledger.close();
    assert.equal(versionOf(directory), formatVersion);
  }
});
