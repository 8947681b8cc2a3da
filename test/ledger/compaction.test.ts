// Compaction: the record claims no rows before the first of them goes, and nothing else goes with them.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { batchOf, collectRows, columns, makeDirectory, openFor, refusedOf, settlementOf } from './fixture.ts';

/** A finished campaign; every tenth row was deferred once, the last one is refused. */
async function finishCampaign(ledger: Ledger, name: string, rows: number): Promise<number> {
  const { id } = await ledger.createCampaign({ name, planDigest: 'p', createdAt: 0 });
  for (let first = 1; first < rows; first += 250) {
    const inside = Array.from({ length: Math.min(250, rows - first) }, (_, n) => first + n);
    const part = { batches: [batchOf(inside)], refused: [], rows: inside.at(-1) ?? 0, columns };
    await ledger.storeIntake(id, part, 0);
  }
  await ledger.storeIntake(id, { batches: [], refused: [refusedOf(rows)], rows, columns }, 0);
  await ledger.completeIntake(id, { rows, listDigest: 'l', columns });
  for (;;) {
    const batches = await ledger.claimDue(id, 1e9, 8);
    if (batches.length === 0) break;
    await ledger.settle(
      batches.map((batch) => {
        const deferred = batch.attempt === 1 ? [batch.firstRow] : [];
        return settlementOf(batch, deferred);
      }),
    );
  }
  await ledger.finishCampaign(id, 1000);
  return id;
}

async function removeAll(ledger: Ledger, id: number): Promise<number> {
  let steps = 0;
  while ((await ledger.removeRemnants(id)) > 0) steps += 1;
  return steps;
}

test('the rows of a compacted campaign go in steps; its record stays, and so do its neighbours', async (t) => {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  const [first, middle, last] = [
    await finishCampaign(ledger, 'first', 300),
    await finishCampaign(ledger, 'middle', 30_000),
    await finishCampaign(ledger, 'last', 300),
  ];
  const before = await ledger.findCampaign('middle');
  assert.deepEqual(await ledger.listRemnants(), []);
  await ledger.compactCampaign(middle, 5000);
  assert.deepEqual(await ledger.listRemnants(), [middle]);
  assert.deepEqual(await ledger.findCampaign('middle'), { ...before, compactedAt: 5000 });
  // 120 payloads, 30,000 deliveries, 120 deferrals, one refused row.
  assert.equal(await removeAll(ledger, middle), 2 + 15 + 1 + 1);
  assert.deepEqual(await ledger.listRemnants(), []);
  assert.deepEqual(await ledger.findCampaign('middle'), { ...before, compactedAt: 5000 });
  for (const id of [first, last]) {
    assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
    assert.equal((await collectRows(ledger.readResults(id))).length, 300);
  }
  await ledger.close();
  const database = new DatabaseSync(join(directory, 'ledger.db'));
  const counts = ['payload', 'intake_batch', 'refused', 'delivery', 'deferral'].map(
    (table) => database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n'],
  );
  database.close();
  // Two neighbours of 300 rows: two batches, one refused row and two deferrals each.
  assert.deepEqual(counts, [4, 4, 2, 600, 4]);
});

test('at every moment of the removal the audit of the record is true', async (t) => {
  const ledger = await openFor(t);
  const id = await finishCampaign(ledger, 'spring', 5000);
  await ledger.compactCampaign(id, 5000);
  do {
    const audit = await ledger.auditCampaign(id);
    assert.deepEqual([audit.differences, audit.compactedAt, audit.rows], [[], 5000, 5000]);
  } while ((await ledger.removeRemnants(id)) > 0);
});

test('the audit of a compacted campaign finds sums that are not its rows', async (t) => {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  const id = await finishCampaign(ledger, 'spring', 300);
  await ledger.compactCampaign(id, 5000);
  await ledger.close();
  const database = new DatabaseSync(join(directory, 'ledger.db'));
  database.exec("UPDATE tally SET row_count = row_count - 1 WHERE fate = 'accepted'");
  database.close();
  const { differences } = await (await openFor(t, directory)).auditCampaign(id);
  assert.deepEqual(differences, [{ subject: 'fates together', expected: 300, found: 299 }]);
});

test('a campaign that is not finished keeps its rows, and so does one that is not compacted', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'open', planDigest: '', createdAt: 0 });
  await assert.rejects(ledger.compactCampaign(id, 5000), /bug: campaign 1 was to be compacted/);
  const finished = await finishCampaign(ledger, 'spring', 300);
  await assert.rejects(ledger.removeRemnants(finished), /bug: rows of campaign 2, which is not compacted/);
  await ledger.compactCampaign(finished, 5000);
  await assert.rejects(ledger.compactCampaign(finished, 6000), /bug: campaign 2 was to be compacted/);
  await assert.rejects(
    ledger.retryRows(finished, { fates: new Set(['rejected']) }, 0, () => ({ lane: '', zone: '' })),
    /bug: rows of campaign 2 were to be retried after they went/,
  );
});

test('the space of removed rows goes back to the file system, a step at a time', async (t) => {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  const empty = await ledger.readSpace();
  const id = await finishCampaign(ledger, 'spring', 30_000);
  await ledger.compactCampaign(id, 5000);
  await removeAll(ledger, id);
  const full = await ledger.readSpace();
  assert.ok(full.freeBytes > full.fileBytes * 0.9, JSON.stringify(full));
  let steps = 1;
  while (await ledger.shrink()) steps += 1;
  assert.ok(steps > 1, 'more than one step');
  assert.deepEqual(await ledger.readSpace(), empty);
  assert.equal(await ledger.shrink(), false);
  await ledger.close();
  assert.equal(statSync(join(directory, 'ledger.db')).size, empty.fileBytes);
});
