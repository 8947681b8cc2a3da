// The lists of a campaign: added when the one before is complete, numbered on, and counted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchOf, collectRows, columns, openFor, refusedOf, settlementOf, storeList } from './fixture.ts';

test('a later list opens the intake again, and begins where the campaign is', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1], [2, 4]], [refusedOf(3)]);
  await ledger.settle((await ledger.claimDue(id, 0, 9)).map((batch) => settlementOf(batch)));
  await ledger.finishCampaign(id, 7);
  const added = await ledger.addList(id, { digest: 'second', rows: 5, known: 3 });
  assert.deepEqual([added.intake, added.finishedAt], ['open', undefined]);
  assert.deepEqual(added.lists, [
    { digest: 'l', rows: 4, known: 0, rowsBefore: 0, batchesBefore: 0, refusedBefore: 0 },
    { digest: 'second', rows: 5, known: 3, rowsBefore: 4, batchesBefore: 2, refusedBefore: 1 },
  ]);
});

test('what is new in a later list is stored, counted, read and finished with the rest', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2]]);
  await ledger.addList(id, { digest: 'second', rows: 3, known: 1 });
  await ledger.storeIntake(id, { batches: [batchOf([3])], refused: [refusedOf(4)], rows: 4, columns }, 0);
  await ledger.completeIntake(id, { rows: 4, listDigest: 'second', columns });
  await ledger.settle((await ledger.claimDue(id, 0, 9)).map((batch) => settlementOf(batch)));
  await ledger.finishCampaign(id, 9);
  const campaign = await ledger.findCampaign('spring');
  assert.deepEqual([campaign?.rows, campaign?.tally.accepted, campaign?.tally.invalid], [4, 3, 1]);
  assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
  const results = await collectRows(ledger.readResults(id));
  assert.deepEqual(
    results.map(({ row, delivery }) => [row, delivery?.fate]),
    [
      [1, 'accepted'],
      [2, 'accepted'],
      [3, 'accepted'],
      [4, 'invalid'],
    ],
  );
});

test('a list of which every row is known is noted, and the campaign stays finished', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1]]);
  await ledger.settle((await ledger.claimDue(id, 0, 9)).map((batch) => settlementOf(batch)));
  await ledger.finishCampaign(id, 7);
  const added = await ledger.addList(id, { digest: 'second', rows: 1, known: 1 });
  assert.deepEqual([added.intake, added.finishedAt, added.lists.length], ['complete', 7, 2]);
});

test('a list is not added while another is taken in, and not completed short of its rows or as another', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1]]);
  const list = { digest: 'second', rows: 2, known: 0 };
  await ledger.addList(id, list);
  await assert.rejects(
    ledger.addList(id, { ...list, digest: 'third' }),
    /bug: a list was added to campaign 1/,
  );
  await ledger.storeIntake(id, { batches: [batchOf([2])], refused: [], rows: 2, columns }, 0);
  const done = { rows: 2, listDigest: 'second', columns };
  await assert.rejects(
    ledger.completeIntake(id, done),
    /bug: a later list was completed at row 2 instead of 3/,
  );
  await ledger.storeIntake(id, { batches: [batchOf([3])], refused: [], rows: 3, columns }, 0);
  await assert.rejects(ledger.completeIntake(id, { ...done, rows: 3, listDigest: 'l' }), /bug: another list/);
  await ledger.completeIntake(id, { ...done, rows: 3 });
});

test('the rows of earlier lists are read in order, and none beyond the row that was asked for', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(
    ledger,
    [
      [1, 4],
      [2, 5],
    ],
    [refusedOf(3)],
  );
  const rows = await collectRows(ledger.readRows(id, 4));
  assert.deepEqual(
    rows.map(({ row, address }) => [row, address]),
    [
      [1, 'r1@example.com'],
      [2, 'r2@example.com'],
      [3, undefined],
      [4, 'r4@example.com'],
    ],
  );
});
