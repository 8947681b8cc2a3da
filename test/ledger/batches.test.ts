// Pending batches: who is due, who is claimed, what is left.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { batchOf, columns, makeDirectory, openFor, rowsOf, settlementOf, storeList } from './fixture.ts';

/** Stores one batch for each due time, rows 1, 2, 3 …, and returns the campaign's id. */
async function storeDue(ledger: Ledger, dueTimes: readonly number[]): Promise<number> {
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  for (const [index, dueAt] of dueTimes.entries()) {
    const part = { batches: [batchOf([index + 1], 'slow')], refused: [], rows: index + 1, columns };
    await ledger.storeIntake(id, part, dueAt);
  }
  return id;
}

test('a stored batch comes back whole', async (t) => {
  const ledger = await openFor(t);
  const id = await storeDue(ledger, [40]);
  const [batch] = await ledger.claimDue(id, 40, 1);
  const { payload } = batchOf([1]);
  assert.deepEqual(batch, {
    id: 1,
    campaignId: id,
    attempt: 1,
    bornAt: 40,
    dueAt: 40,
    lane: 'slow',
    relay: '',
    zone: '',
    recipientCount: 1,
    firstRow: 1,
    lastRow: 1,
    payload: new Uint8Array(payload),
  });
  assert.deepEqual(await ledger.readPayload(1), batch?.payload);
});

test("a payload's buffer is its own, so it may be transferred", async (t) => {
  const ledger = await openFor(t);
  const id = await storeDue(ledger, [0]);
  const [batch] = await ledger.claimDue(id, 0, 1);
  assert.ok(batch);
  assert.equal(batch.payload.buffer.byteLength, batch.payload.byteLength);
});

test('the oldest due comes first, then the smaller id, and nothing before its time', async (t) => {
  const ledger = await openFor(t);
  const id = await storeDue(ledger, [30, 10, 50, 10]);
  assert.deepEqual((await ledger.claimDue(id, 9, 9)).map(rowsOf), []);
  assert.deepEqual((await ledger.claimDue(id, 30, 9)).map(rowsOf), [[2], [4], [1]]);
});

test('a claimed batch is not claimed again until it is released', async (t) => {
  const ledger = await openFor(t);
  const id = await storeDue(ledger, [1, 2, 3]);
  assert.deepEqual((await ledger.claimDue(id, 9, 2)).map(rowsOf), [[1], [2]]);
  assert.deepEqual((await ledger.claimDue(id, 9, 2)).map(rowsOf), [[3]]);
  assert.deepEqual(await ledger.claimDue(id, 9, 2), []);
  await ledger.release([2]);
  assert.deepEqual((await ledger.claimDue(id, 9, 2)).map(rowsOf), [[2]]);
});

test('claims end with the process that made them', async (t) => {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  const id = await storeDue(ledger, [1, 2]);
  await ledger.claimDue(id, 9, 9);
  await ledger.close();
  const reopened = await openFor(t, directory);
  assert.deepEqual((await reopened.claimDue(id, 9, 9)).map(rowsOf), [[1], [2]]);
});

test('the next due time is that of the batches nobody has claimed', async (t) => {
  const ledger = await openFor(t);
  const id = await storeDue(ledger, [20, 10]);
  assert.equal(await ledger.nextDueAt(id), 10);
  await ledger.claimDue(id, 10, 1);
  assert.equal(await ledger.nextDueAt(id), 20);
  assert.deepEqual(await ledger.pending(id), { batches: 2, recipients: 2, oldestDueAt: 10, nextDueAt: 20 });
  await ledger.claimDue(id, 20, 1);
  assert.equal(await ledger.nextDueAt(id), undefined);
});

test('a campaign without batches has nothing pending', async (t) => {
  const ledger = await openFor(t);
  const id = await storeDue(ledger, []);
  const nothing = { batches: 0, recipients: 0, oldestDueAt: undefined, nextDueAt: undefined };
  assert.deepEqual(await ledger.pending(id), nothing);
});

test('the id of a settled batch never comes back', async (t) => {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  const { id } = await storeList(ledger, [[1, 2]]);
  const [first] = await ledger.claimDue(id, 0, 1);
  assert.ok(first);
  await ledger.settle([settlementOf(first, [2])]);
  const [second] = await ledger.claimDue(id, 0, 1);
  assert.ok(second);
  await ledger.settle([settlementOf(second)]);
  await ledger.close();
  const reopened = await openFor(t, directory);
  const other = await reopened.createCampaign({ name: 'other', planDigest: '', createdAt: 0 });
  await reopened.storeIntake(other.id, { batches: [batchOf([1])], refused: [], rows: 1, columns }, 0);
  const [third] = await reopened.claimDue(other.id, 0, 1);
  assert.deepEqual([first.id, second.id, third?.id], [1, 2, 3]);
});
