// Settling: batches become deliveries and successors, and whatever does not add up changes nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Ledger, Settlement, StoredBatch } from '../../src/ledger/ledger.ts';
import { sumTally } from '../../src/mail/outcome.ts';
import {
  batchOf,
  collectRows,
  deferralOf,
  deliveryOf,
  openFor,
  rowsOf,
  settlementOf,
  storeList,
} from './fixture.ts';

async function claimOne(ledger: Ledger, campaignId: number, now = 0): Promise<StoredBatch> {
  const [batch] = await ledger.claimDue(campaignId, now, 1);
  assert.ok(batch);
  return batch;
}

test('a settled batch is gone, its rows have their fates and the tally has them', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2, 3]]);
  const batch = await claimOne(ledger, id);
  const deliveries = [deliveryOf(1), deliveryOf(2, 'rejected'), deliveryOf(3)];
  await ledger.settle([{ campaignId: id, batchId: batch.id, deliveries, deferrals: [], successors: [] }]);
  assert.equal((await ledger.pending(id)).batches, 0);
  const tally = (await ledger.findCampaign('spring'))?.tally;
  assert.equal(tally?.accepted, 2);
  assert.equal(tally.rejected, 1);
  const results = await collectRows(ledger.readResults(id));
  assert.deepEqual(
    results.map((one) => one.delivery),
    deliveries,
  );
});

test('what was deferred comes back in a new batch when it is due', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2, 3]]);
  await ledger.settle([settlementOf(await claimOne(ledger, id), [2], 60)]);
  assert.deepEqual(await ledger.claimDue(id, 59, 1), []);
  const again = await claimOne(ledger, id, 60);
  assert.equal(again.attempt, 2);
  assert.equal(again.bornAt, 0);
  assert.deepEqual(rowsOf(again), [2]);
});

test("a successor's payload goes with it, intake's stays", async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2]]);
  const first = await claimOne(ledger, id);
  await ledger.settle([settlementOf(first, [2])]);
  const second = await claimOne(ledger, id);
  await ledger.settle([settlementOf(second)]);
  assert.deepEqual(await ledger.readPayload(first.id), first.payload);
  await assert.rejects(ledger.readPayload(second.id), /bug: there is no payload of batch 2/);
});

test('several settlements are one transaction: one bad one undoes all', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [
    [1, 2],
    [3, 4],
  ]);
  const [first, second] = await ledger.claimDue(id, 0, 2);
  assert.ok(first && second);
  const bad = { ...settlementOf(second), deliveries: [deliveryOf(3)] };
  await assert.rejects(ledger.settle([settlementOf(first), bad]), /bug: batch 2 of 2 recipients/);
  assert.equal((await ledger.pending(id)).recipients, 4);
  assert.equal((await ledger.findCampaign('spring'))?.tally.accepted, 0);
  assert.deepEqual(await ledger.claimDue(id, 0, 2), [], 'the claims are still ours');
  await ledger.settle([settlementOf(first), settlementOf(second)]);
  assert.equal((await ledger.findCampaign('spring'))?.tally.accepted, 4);
});

test('a settlement that does not add up is refused and changes nothing', async (t) => {
  const ledger = await openFor(t);
  const rows = Array.from({ length: 25 }, (_, index) => index + 1);
  const { id } = await storeList(ledger, [rows, [26]]);
  const batch = await claimOne(ledger, id);
  const good = settlementOf(batch, [25]);
  const lacking = { ...good, deliveries: good.deliveries.slice(1) };
  const surplus = { ...good, deliveries: [...good.deliveries, deliveryOf(25)] };
  const stranger = { ...good, deliveries: [deliveryOf(26), ...good.deliveries.slice(1)] };
  const twiceFar = { ...good, deliveries: [deliveryOf(24), ...good.deliveries.slice(1)] };
  const twiceNear = { ...good, deliveries: [deliveryOf(2), ...good.deliveries.slice(1)] };
  const again = { attempt: 2, bornAt: 0, dueAt: 0, relay: '' };
  const cases: [Settlement, RegExp][] = [
    [lacking, /bug: batch 1 of 25 recipients was settled with 23 deliveries and 1 left/],
    [surplus, /bug: batch 1 of 25 recipients was settled with 25 deliveries and 1 left/],
    [stranger, /bug: rows 26 to 26 are not within batch 1/],
    [twiceFar, /bug: row 24 of campaign 1 has a delivery already/],
    [twiceNear, /bug: row 2 of campaign 1 has a delivery already/],
    [{ ...good, successors: [{ ...batchOf([26]), ...again }] }, /bug: rows 26 to 26 are not within batch 1/],
    [{ ...good, deferrals: [deferralOf(26)] }, /bug: rows 26 to 26 are not within batch 1/],
    [{ ...good, deferrals: [deferralOf(24), deferralOf(25)] }, /bug: batch 1 has more deferrals/],
    [{ ...good, campaignId: 2 }, /bug: batch 1 belongs to campaign 1/],
    [{ ...good, batchId: 9 }, /bug: batch 9 is not pending/],
  ];
  for (const [settlement, expected] of cases) {
    await assert.rejects(ledger.settle([settlement]), expected);
    assert.equal((await ledger.pending(id)).recipients, 26);
    assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
  }
  await ledger.settle([good]);
});

test('a batch is settled once', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2]]);
  const settlement = settlementOf(await claimOne(ledger, id));
  await ledger.settle([settlement]);
  await assert.rejects(ledger.settle([settlement]), /bug: batch 1 is not pending/);
  await assert.rejects(ledger.settle([settlement, settlement]), /bug: batch 1 is not pending/);
  assert.equal((await ledger.findCampaign('spring'))?.tally.accepted, 2);
});

test('whatever is deferred, in whatever order, every row ends with one fate', async (t) => {
  const list = fc.array(fc.array(fc.nat(3), { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(list, async (patience) => {
      const ledger = await openFor(t);
      await settleAll(ledger, patience);
      await ledger.close();
    }),
    { numRuns: 25 },
  );
});

/** One batch for each array; its numbers say how often a row is deferred before it is accepted. */
async function settleAll(ledger: Ledger, patience: readonly (readonly number[])[]): Promise<void> {
  const deferrals = [0, ...patience.flat()];
  let row = 0;
  const batches = patience.map((one) => one.map(() => ++row));
  const { id } = await storeList(ledger, batches);
  for (;;) {
    const claimed = await ledger.claimDue(id, 0, 2);
    if (claimed.length === 0) break;
    const settlements = claimed.map((batch) => {
      const deferred = rowsOf(batch).filter((one) => (deferrals[one] ?? 0) >= batch.attempt);
      return settlementOf(batch, deferred);
    });
    await ledger.settle(settlements);
    const audit = await ledger.auditCampaign(id);
    assert.deepEqual(audit.differences, []);
    assert.equal(sumTally(audit.tally) + audit.pendingRecipients, row);
  }
  await ledger.finishCampaign(id, 1);
  const results = await collectRows(ledger.readResults(id));
  assert.deepEqual(
    results.map((one) => one.deferralCount),
    deferrals.slice(1),
  );
}
