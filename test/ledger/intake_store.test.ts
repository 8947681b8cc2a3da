// What intake stored: counters, order, and what a re-run compares itself with.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosthasteError } from '../../src/base/error.ts';
import { batchOf, collectRows, columns, openFor, refusedOf } from './fixture.ts';

test('a part counts its batches, refused rows and rows, and refused rows have their fate', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  const refused = [refusedOf(2), refusedOf(4, 'duplicate')];
  await ledger.storeIntake(id, { batches: [batchOf([1, 3])], refused, rows: 5, columns }, 9);
  const campaign = await ledger.findCampaign('spring');
  assert.equal(campaign?.batchesTaken, 1);
  assert.equal(campaign.refusedTaken, 2);
  assert.equal(campaign.rows, 5);
  assert.deepEqual(campaign.columns, columns);
  assert.equal(campaign.tally.invalid, 1);
  assert.equal(campaign.tally.duplicate, 1);
  const [, second] = await collectRows(ledger.readResults(id));
  assert.deepEqual(second?.delivery, {
    row: 2,
    fate: 'invalid',
    finishedAt: 9,
    attempts: 0,
    relay: '',
    replyCode: 0,
    enhancedStatus: '',
    reply: 'row 2 is invalid',
    classification: '',
  });
});

test('batches and refused rows are found by their number, over all parts', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  const [first, second] = [batchOf([3, 4]), batchOf([1, 5])];
  await ledger.storeIntake(id, { batches: [first], refused: [refusedOf(2)], rows: 4, columns }, 0);
  await ledger.storeIntake(id, { batches: [second], refused: [refusedOf(6)], rows: 6, columns }, 0);
  assert.deepEqual(await ledger.readIntakeBatch(id, 0), new Uint8Array(first.payload));
  assert.deepEqual(await ledger.readIntakeBatch(id, 1), new Uint8Array(second.payload));
  assert.equal(await ledger.readIntakeBatch(id, 2), undefined);
  assert.equal(await ledger.readRefusedRow(id, 0), 2);
  assert.equal(await ledger.readRefusedRow(id, 1), 6);
  assert.equal(await ledger.readRefusedRow(id, 2), undefined);
});

test('a part of a re-run that ends earlier does not take rows back', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  await ledger.storeIntake(id, { batches: [batchOf([1, 2])], refused: [], rows: 9, columns }, 0);
  await ledger.storeIntake(id, { batches: [batchOf([3])], refused: [], rows: 5, columns }, 0);
  assert.equal((await ledger.findCampaign('spring'))?.rows, 9);
});

test('intake is complete only when every row is stored, and stores nothing after', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  await ledger.storeIntake(id, { batches: [batchOf([1, 3])], refused: [refusedOf(2)], rows: 4, columns }, 0);
  const done = { rows: 4, listDigest: 'l', columns: [...columns, 'late'] };
  await assert.rejects(ledger.completeIntake(id, done), /bug: intake stored 3 of the 4 rows/);
  await ledger.storeIntake(id, { batches: [batchOf([4])], refused: [], rows: 4, columns }, 0);
  await ledger.completeIntake(id, done);
  const campaign = await ledger.findCampaign('spring');
  assert.equal(campaign?.intake, 'complete');
  assert.equal(campaign.lists[0]?.digest, 'l');
  assert.deepEqual(campaign.columns, done.columns);
  const late = { batches: [batchOf([5])], refused: [], rows: 5, columns };
  await assert.rejects(ledger.storeIntake(id, late, 0), /bug: a part was to be stored after the whole list/);
});

test('a part that breaks off leaves nothing of itself behind', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  const before = await ledger.findCampaign('spring');
  const part = { batches: [batchOf([1, 2])], refused: [refusedOf(4), refusedOf(3)], rows: 4, columns };
  await assert.rejects(ledger.storeIntake(id, part, 0), /bug: refused row 3 came out of order/);
  assert.deepEqual(await ledger.findCampaign('spring'), before);
  assert.equal(await ledger.readIntakeBatch(id, 0), undefined);
  assert.equal(await ledger.readRefusedRow(id, 0), undefined);
  assert.equal((await ledger.pending(id)).batches, 0);
  await ledger.storeIntake(id, { ...part, refused: [refusedOf(3), refusedOf(4)] }, 0);
  assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
});

test('refused rows stay in order over parts', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  await ledger.storeIntake(id, { batches: [], refused: [refusedOf(5)], rows: 5, columns }, 0);
  const part = { batches: [], refused: [refusedOf(4)], rows: 6, columns };
  await assert.rejects(ledger.storeIntake(id, part, 0), /bug: refused row 4 came out of order/);
});

test('a list with more rows than a key can hold is an error of the list', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  const part = { batches: [], refused: [], rows: 2 ** 32, columns };
  await assert.rejects(ledger.storeIntake(id, part, 0), (error) => {
    assert.ok(error instanceof PosthasteError);
    assert.equal(error.code, 'ERR_LIST_TOO_LONG');
    assert.equal(error.exitCode, 65);
    return true;
  });
});

test('the largest row of the largest campaign has a key of its own', async () => {
  const { keyOf, maxCampaignId, maxRow, numberOfKey } = await import('../../src/ledger/key.ts');
  assert.ok(Number.isSafeInteger(keyOf(maxCampaignId, maxRow)));
  assert.equal(numberOfKey(keyOf(maxCampaignId, maxRow)), maxRow);
  assert.equal(keyOf(3, 0) - keyOf(2, maxRow), 1);
  assert.throws(() => keyOf(1, maxRow + 1), /out of range/);
});
