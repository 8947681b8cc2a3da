// Retrying: chosen rows are pending again, once each, with their history; everything else stays as it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { CutKey, Ledger, RetryChoice, Settlement, StoredBatch } from '../../src/ledger/ledger.ts';
import { packRecipients } from '../../src/mail/batch.ts';
import type { Delivery } from '../../src/mail/delivery.ts';
import { sumTally, type RetriableFate } from '../../src/mail/outcome.ts';
import {
  batchOf,
  cellsOf,
  collectRows,
  columns,
  deliveryOf,
  openFor,
  refusedOf,
  rowsOf,
  settlementOf,
  storeList,
} from './fixture.ts';

const noLane = (): CutKey => ({ lane: '', zone: '' });

function choose(fates: readonly RetriableFate[], categories?: readonly string[]): RetryChoice {
  return { fates: new Set(fates), categories: categories && new Set(categories) };
}

/** Settles all due batches with what `endOf` says of each row, and finishes the campaign. */
async function finishAll(
  ledger: Ledger,
  id: number,
  endOf: (row: number) => Partial<Delivery>,
): Promise<void> {
  for (;;) {
    const batches = await ledger.claimDue(id, 1e9, 50);
    if (batches.length === 0) break;
    await ledger.settle(batches.map((batch) => endBatch(batch, endOf)));
  }
  await ledger.finishCampaign(id, 7000);
}

function endBatch(batch: StoredBatch, endOf: (row: number) => Partial<Delivery>): Settlement {
  const deliveries = rowsOf(batch).map((row) =>
    Object.assign(deliveryOf(row), { attempts: batch.attempt }, endOf(row)),
  );
  return { campaignId: batch.campaignId, batchId: batch.id, deliveries, deferrals: [], successors: [] };
}

async function claimAll(ledger: Ledger, id: number): Promise<StoredBatch[]> {
  return ledger.claimDue(id, 1e9, 10_000);
}

async function assertAddsUp(ledger: Ledger, id: number): Promise<void> {
  assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
}

const full: Partial<Delivery> = {
  fate: 'rejected',
  replyCode: 552,
  reply: 'full',
  classification: 'mailbox-full',
};
const unknown: Partial<Delivery> = { fate: 'rejected', replyCode: 550, classification: 'no-such-recipient' };

test('rows with a chosen fate and category are pending again, the others stay finished, and all adds up', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2, 4, 5], [6]], [refusedOf(3)]);
  const ends: Partial<Delivery>[] = [{}, full, {}, {}, unknown, full, { fate: 'expired' }];
  await finishAll(ledger, id, (row) => ends[row - 1] ?? {});
  const tally = await ledger.retryRows(id, choose(['rejected'], ['mailbox-full']), 9000, noLane);
  assert.deepEqual([tally.rejected, sumTally(tally)], [2, 2]);
  const record = await ledger.findCampaign('spring');
  assert.equal(record?.finishedAt, undefined, 'it is finished no more');
  assert.deepEqual([record?.tally.accepted, record?.tally.rejected, record?.tally.invalid], [2, 1, 1]);
  await assertAddsUp(ledger, id);
  const [batch, ...more] = await claimAll(ledger, id);
  assert.ok(batch);
  assert.deepEqual(more, []);
  assert.deepEqual(rowsOf(batch), [2, 6]);
  assert.deepEqual([batch.attempt, batch.bornAt, batch.dueAt], [2, 9000, 9000], 'patience begins anew');
  await ledger.settle([settlementOf(batch)]);
  await ledger.finishCampaign(id, 9500);
  assert.equal((await ledger.findCampaign('spring'))?.finishedAt, 9500);
  await assertAddsUp(ledger, id);
});

test('an earlier outcome stays as a deferral, and what comes later counts as later', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1]]);
  await finishAll(ledger, id, () => full);
  await ledger.retryRows(id, choose(['rejected']), 9000, noLane);
  const [kept] = await collectRows(ledger.readResults(id));
  assert.equal(kept?.delivery, undefined);
  assert.deepEqual(
    [kept?.deferralCount, kept?.lastDeferral?.reply, kept?.lastDeferral?.attempt, kept?.lastDeferral?.at],
    [1, 'full', 1, 1001],
  );
  const [batch] = await claimAll(ledger, id);
  assert.ok(batch);
  await ledger.settle([settlementOf(batch, [1], 9100)]);
  const [deferred] = await collectRows(ledger.readResults(id));
  assert.deepEqual([deferred?.deferralCount, deferred?.lastDeferral?.attempt], [2, 2]);
  await finishAll(ledger, id, () => unknown);
  await ledger.retryRows(id, choose(['rejected']), 9900, noLane);
  const [again] = await collectRows(ledger.readResults(id));
  assert.deepEqual([again?.deferralCount, again?.lastDeferral?.classification], [3, 'no-such-recipient']);
  await assertAddsUp(ledger, id);
});

test('batches hold up to 250 rows of one lane and as many attempts, in the order of rows', async (t) => {
  const ledger = await openFor(t);
  const { id, rows } = await storeList(
    ledger,
    Array.from({ length: 8 }, (_, n) => Array.from({ length: 100 }, (_, k) => n * 100 + k + 1)),
  );
  await finishAll(ledger, id, (row) => ({ fate: 'expired', attempts: row % 10 === 0 ? 4 : 1 }));
  await ledger.retryRows(id, choose(['expired']), 0, ({ row }) => ({
    lane: row % 2 === 0 ? 'even' : 'odd',
    zone: '',
  }));
  const batches = await claimAll(ledger, id);
  const seen: number[] = [];
  for (const batch of batches) {
    const inside = rowsOf(batch);
    assert.ok(inside.length <= 250);
    assert.deepEqual(
      inside,
      inside.toSorted((a, b) => a - b),
    );
    assert.deepEqual([batch.firstRow, batch.lastRow], [inside[0], inside.at(-1)]);
    for (const row of inside) {
      assert.equal(batch.lane, row % 2 === 0 ? 'even' : 'odd');
      assert.equal(batch.attempt, row % 10 === 0 ? 5 : 2);
    }
    seen.push(...inside);
  }
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    Array.from({ length: rows }, (_, n) => n + 1),
  );
  // odd: 400 rows of two attempts; even: 320, and 80 of five.
  assert.deepEqual(
    batches.map((one) => one.recipientCount).toSorted((a, b) => a - b),
    [70, 80, 150, 250, 250],
  );
});

test('whatever the batches looked like, each chosen row is pending once, and nobody else', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('accepted', 'rejected', 'expired', 'inDoubt'), {
        minLength: 1,
        maxLength: 120,
      }),
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.nat(4), { minLength: 1, maxLength: 20 }),
      async (ends, batchRows, lanes) => {
        const ledger = await openFor(t);
        const { id } = await storeList(ledger, dealRows(ends.length, batchRows, lanes));
        await finishAll(ledger, id, (row) => ({ fate: ends[row - 1] ?? 'accepted' }));
        await ledger.retryRows(id, choose(['rejected', 'inDoubt']), 0, noLane);
        const pending = (await claimAll(ledger, id)).flatMap((one) => rowsOf(one));
        const wanted = ends.flatMap((end, n) => (end === 'rejected' || end === 'inDoubt' ? [n + 1] : []));
        assert.deepEqual(
          pending.toSorted((a, b) => a - b),
          wanted,
        );
        await assertAddsUp(ledger, id);
        await ledger.close();
      },
    ),
    { numRuns: 25 },
  );
});

/** Rows dealt to lanes, each lane cut into batches: they interleave. */
function dealRows(rows: number, batchRows: number, lanes: readonly number[]): number[][] {
  const open = new Map<number, number[]>();
  const batches: number[][] = [];
  for (let row = 1; row <= rows; row += 1) {
    const lane = lanes[row % lanes.length] ?? 0;
    const batch = [...(open.get(lane) ?? []), row];
    open.set(lane, batch);
    if (batch.length < batchRows) continue;
    batches.push(batch);
    open.delete(lane);
  }
  return [...batches, ...open.values()];
}

test('rows of batches that interleave come in the order of rows', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [
    [1, 4, 6],
    [2, 3, 5],
  ]);
  await finishAll(ledger, id, () => full);
  await ledger.retryRows(id, choose(['rejected']), 0, noLane);
  assert.deepEqual(
    (await claimAll(ledger, id)).map((one) => rowsOf(one)),
    [[1, 2, 3, 4, 5, 6]],
  );
});

test('batches of large rows are cut by their size, too', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  const large = 'x'.repeat(300_000);
  const batches = [1, 2, 3, 4, 5, 6, 7].map((row) => {
    const payload = packRecipients([{ row, line: row, address: 'a@example.com', cells: [large] }]);
    return { recipientCount: 1, firstRow: row, lastRow: row, lane: '', zone: '', payload };
  });
  await ledger.storeIntake(id, { batches, refused: [], rows: 7, columns }, 0);
  await ledger.completeIntake(id, { rows: 7, listDigest: '', columns });
  await finishAll(ledger, id, () => full);
  await ledger.retryRows(id, choose(['rejected']), 0, noLane);
  assert.deepEqual(
    (await claimAll(ledger, id)).map((one) => rowsOf(one)),
    [
      [1, 2, 3, 4],
      [5, 6, 7],
    ],
  );
});

test('a choice that no row meets changes nothing', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2]]);
  await finishAll(ledger, id, () => full);
  const before = await ledger.findCampaign('spring');
  const tally = await ledger.retryRows(id, choose(['rejected', 'expired'], ['policy']), 0, noLane);
  assert.equal(sumTally(tally), 0);
  assert.deepEqual(await ledger.findCampaign('spring'), before);
});

function failAtThree({ row }: { row: number }): CutKey {
  if (row === 3) throw new Error('no lane');
  return noLane();
}

test('a retry that fails in the middle has not happened', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2, 3]]);
  await finishAll(ledger, id, () => full);
  const before = await ledger.findCampaign('spring');
  await assert.rejects(ledger.retryRows(id, choose(['rejected']), 0, failAtThree), { message: 'no lane' });
  assert.deepEqual(await ledger.findCampaign('spring'), before);
  assert.deepEqual(await claimAll(ledger, id), []);
  await assertAddsUp(ledger, id);
});

test('while the list is read nothing is retried', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  await ledger.storeIntake(id, { batches: [batchOf([1])], refused: [], rows: 1, columns }, 0);
  await assert.rejects(
    ledger.retryRows(id, choose(['rejected']), 0, noLane),
    /bug: .* while its list is read/,
  );
});

test('a row whose recipient is not where it was stored stops the retry as a bug', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  const payload = packRecipients([{ row: 1, line: 2, address: 'r1@example.com', cells: cellsOf(1) }]);
  const batch = { recipientCount: 2, firstRow: 1, lastRow: 2, lane: '', zone: '', payload };
  await ledger.storeIntake(id, { batches: [batch], refused: [], rows: 2, columns }, 0);
  await ledger.completeIntake(id, { rows: 2, listDigest: '', columns });
  const [claimed] = await claimAll(ledger, id);
  assert.ok(claimed);
  const deliveries = [1, 2].map((row) => Object.assign(deliveryOf(row), full));
  await ledger.settle([{ campaignId: id, batchId: claimed.id, deliveries, deferrals: [], successors: [] }]);
  await assert.rejects(
    ledger.retryRows(id, choose(['rejected']), 0, noLane),
    /bug: 2 rows were to be retried/,
  );
  await assertAddsUp(ledger, id);
});
