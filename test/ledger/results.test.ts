// Results: every row once, in the order of the list, whatever the batches looked like.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  addressOf,
  batchOf,
  cellsOf,
  collectRows,
  columns,
  deferralOf,
  deliveryOf,
  openFor,
  refusedOf,
  settlementOf,
  storeList,
} from './fixture.ts';

test('a row comes with its line, cells, address, fate and deferrals', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 3, 4]], [refusedOf(2)]);
  for (const dueAt of [10, 20]) {
    const [batch] = await ledger.claimDue(id, 10, 1);
    assert.ok(batch);
    await ledger.settle([settlementOf(batch, [3], dueAt)]);
  }
  const results = await collectRows(ledger.readResults(id));
  const none = { deferralCount: 0, lastDeferral: undefined };
  assert.deepEqual(results, [
    { row: 1, line: 2, cells: cellsOf(1), address: addressOf(1), delivery: deliveryOf(1), ...none },
    {
      row: 2,
      line: 3,
      cells: ['?'],
      address: undefined,
      delivery: results[1]?.delivery,
      ...none,
    },
    {
      row: 3,
      line: 4,
      cells: cellsOf(3),
      address: addressOf(3),
      delivery: undefined,
      deferralCount: 2,
      lastDeferral: deferralOf(3, 2),
    },
    { row: 4, line: 5, cells: cellsOf(4), address: addressOf(4), delivery: deliveryOf(4), ...none },
  ]);
});

test('rows of interleaved lanes, in several pages, come in the order of the list', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 1700 }),
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.nat(6), { minLength: 1, maxLength: 30 }),
      async (rowCount, batchRows, lanes) => {
        const ledger = await openFor(t);
        const { batches, refused } = dealRows(rowCount, batchRows, lanes);
        const { id } = await storeList(
          ledger,
          batches,
          refused.map((row) => refusedOf(row)),
        );
        const results = await collectRows(ledger.readResults(id));
        assert.deepEqual(
          results.map((one) => one.row),
          Array.from({ length: rowCount }, (_, index) => index + 1),
        );
        assert.ok(results.every((one) => (one.address === undefined) === refused.includes(one.row)));
        await ledger.close();
      },
    ),
    { numRuns: 20 },
  );
});

/** Deals rows to lanes as intake does: a lane's batch is stored when it is full, the rest at the end. Lane 0 is refused. */
function dealRows(
  rowCount: number,
  batchRows: number,
  lanes: readonly number[],
): { batches: number[][]; refused: number[] } {
  const open = new Map<number, number[]>();
  const batches: number[][] = [];
  const refused: number[] = [];
  for (let row = 1; row <= rowCount; row++) {
    const lane = lanes[row % lanes.length] ?? 0;
    if (lane === 0) refused.push(row);
    else open.set(lane, [...(open.get(lane) ?? []), row]);
    const filled = open.get(lane);
    if (filled === undefined || filled.length < batchRows) continue;
    batches.push(filled);
    open.delete(lane);
  }
  return { batches: [...batches, ...open.values()], refused };
}

test('rows that intake has read but not stored yet are left out', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  await ledger.storeIntake(id, { batches: [batchOf([2, 700])], refused: [], rows: 900, columns }, 0);
  const rows = (await collectRows(ledger.readResults(id))).map((one) => one.row);
  assert.deepEqual(rows, [2, 700]);
});

test('a reader that goes away leaves the ledger usable', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2, 3]]);
  for await (const page of ledger.readResults(id)) {
    if (page.some(({ row }) => row === 2)) break;
  }
  const [batch] = await ledger.claimDue(id, 0, 1);
  assert.ok(batch);
  await ledger.settle([settlementOf(batch)]);
});

test('settling goes on between the pages of a read', async (t) => {
  const ledger = await openFor(t);
  const rows = Array.from({ length: 1200 }, (_, index) => index + 1);
  const { id } = await storeList(ledger, [rows]);
  const [batch] = await ledger.claimDue(id, 0, 1);
  assert.ok(batch);
  const finished: number[] = [];
  for await (const page of ledger.readResults(id)) {
    if (page[0]?.row === 1) await ledger.settle([settlementOf(batch)]);
    for (const one of page) if (one.delivery !== undefined) finished.push(one.row);
  }
  assert.equal(finished[0], 501, 'the first page was read before');
  assert.equal(finished.length, 700);
});

test('a long read gives the event loop a turn after every page', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [Array.from({ length: 1200 }, (_, index) => index + 1)]);
  let turns = 0;
  const countTurn = (): void => {
    turns++;
    if (turns < 3) setImmediate(countTurn);
  };
  setImmediate(countTurn);
  await collectRows(ledger.readResults(id));
  assert.equal(turns, 3);
});
