// Lanes in the ledger: claims of one lane past the others, and the rules that a list is cut by.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchOf, columns, openFor, settlementOf } from './fixture.ts';

async function openWithLanes(t: Parameters<typeof openFor>[0]) {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: 'p', createdAt: 0 });
  const batches = [
    batchOf([1], 'slow'),
    batchOf([2], 'slow'),
    batchOf([3], 'fast'),
    batchOf([4]),
    batchOf([5], 'fast'),
  ];
  await ledger.storeIntake(id, { batches, refused: [], rows: 5, columns }, 0);
  return { ledger, id };
}

test('a claim of one lane passes over the batches of the others, and says when the next is due', async (t) => {
  const { ledger, id } = await openWithLanes(t);
  assert.deepEqual((await ledger.listLanes(id)).toSorted(), ['', 'fast', 'slow']);
  const first = await ledger.claimOfLane(id, 'fast', 5);
  const second = await ledger.claimOfLane(id, 'fast', 5);
  assert.deepEqual(
    [first, second].map(({ batch, nextDueAt }) => [batch?.firstRow, batch?.lane, nextDueAt]),
    [
      [3, 'fast', 0],
      [5, 'fast', undefined],
    ],
  );
  assert.deepEqual(await ledger.claimOfLane(id, 'fast', 5), { batch: undefined, nextDueAt: undefined });
  assert.deepEqual(
    (await ledger.claimDue(id, 5, 9)).map((batch) => batch.firstRow),
    [1, 2, 4],
  );
});

test('a batch of a lane that is not due yet is not claimed', async (t) => {
  const { ledger, id } = await openWithLanes(t);
  const { batch } = await ledger.claimOfLane(id, '', 0);
  assert.ok(batch);
  const later = { ...batchOf([4]), attempt: 2, bornAt: 0, dueAt: 70, relay: '' };
  await ledger.settle([{ ...settlementOf(batch), deliveries: [], successors: [later] }]);
  assert.deepEqual(await ledger.claimOfLane(id, '', 69), { batch: undefined, nextDueAt: 70 });
  assert.equal((await ledger.claimOfLane(id, '', 70)).batch?.attempt, 2);
});

test('lane rules are kept with the campaign, and cannot change in the middle of a list', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: 'p', createdAt: 0 });
  await ledger.setLaneRules(id, 'one');
  await ledger.setLaneRules(id, 'two');
  assert.equal((await ledger.findCampaign('spring'))?.laneRules, 'two');
  await ledger.storeIntake(id, { batches: [batchOf([1])], refused: [], rows: 1, columns }, 0);
  await assert.rejects(ledger.setLaneRules(id, 'three'), /in the middle of a list/);
  await ledger.completeIntake(id, { rows: 1, listDigest: 'l', columns });
  await ledger.addList(id, { digest: 'm', rows: 2, known: 0 });
  await ledger.setLaneRules(id, undefined);
  assert.equal((await ledger.findCampaign('spring'))?.laneRules, undefined);
});

test('of a quota the newest state counts, and what is old is forgotten', async (t) => {
  const ledger = await openFor(t);
  await ledger.writeQuotas(
    [
      { name: 'a', state: '1' },
      { name: 'b', state: '1' },
    ],
    100,
  );
  await ledger.writeQuotas([{ name: 'b', state: '2' }], 200);
  assert.deepEqual(await ledger.readQuotas(100), [
    { name: 'a', state: '1' },
    { name: 'b', state: '2' },
  ]);
  assert.deepEqual(await ledger.readQuotas(101), [{ name: 'b', state: '2' }]);
});
