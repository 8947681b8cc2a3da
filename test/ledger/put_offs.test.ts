// Batches that are put off: due later for no reason but the clock, and due as before when that reason is gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchOf, columns, makeDirectory, openFor, settlementOf } from './fixture.ts';

/** Three batches that are due at 10, in two timezones and in the campaign's. */
async function openWithZones(t: Parameters<typeof openFor>[0], directory = makeDirectory(t)) {
  const ledger = await openFor(t, directory);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: 'p', createdAt: 0 });
  const batches = [batchOf([1], 'x', 'Asia/Tokyo'), batchOf([2, 3], 'x'), batchOf([4], 'x', 'Europe/Rome')];
  await ledger.storeIntake(id, { batches, refused: [], rows: 4, columns }, 10);
  return { ledger, id };
}

test('a batch keeps its zone, and what is left of it has the same', async (t) => {
  const { ledger, id } = await openWithZones(t);
  const claimed = await ledger.claimDue(id, 10, 9);
  assert.deepEqual(
    claimed.map(({ zone }) => zone),
    ['Asia/Tokyo', '', 'Europe/Rome'],
  );
  const [tokyo] = claimed;
  assert.ok(tokyo);
  await ledger.settle([settlementOf(tokyo, [1], 50)]);
  assert.equal((await ledger.claimDue(id, 50, 9))[0]?.zone, 'Asia/Tokyo');
});

test('a batch that is put off is due then and no attempt is charged; the others are due as they were', async (t) => {
  const { ledger, id } = await openWithZones(t);
  const [tokyo, own] = await ledger.claimDue(id, 10, 2);
  assert.ok(tokyo && own);
  await ledger.putOff([{ batchId: tokyo.id, untilAt: 500 }]);
  assert.equal((await ledger.claimOfLane(id, 'x', 20)).batch?.zone, 'Europe/Rome');
  assert.deepEqual(await ledger.claimOfLane(id, 'x', 499), { batch: undefined, nextDueAt: 500 });
  const { batch } = await ledger.claimOfLane(id, 'x', 500);
  assert.deepEqual(batch, { ...tokyo, dueAt: 500 });
});

test('undone, also after a restart, put-offs leave each batch due when it was before, however often it was put off', async (t) => {
  const directory = makeDirectory(t);
  const first = await openWithZones(t, directory);
  for (const untilAt of [100, 200]) {
    const claimed = await first.ledger.claimDue(first.id, untilAt, 9);
    const tokyo = claimed.filter(({ zone }) => zone === 'Asia/Tokyo');
    await first.ledger.putOff(tokyo.map(({ id: batchId }) => ({ batchId, untilAt })));
    await first.ledger.release(claimed.map(({ id }) => id));
  }
  await first.ledger.close();
  const ledger = await openFor(t, directory);
  const { id } = first;
  const pending = async () => (await ledger.claimDue(id, 1000, 9)).map(({ zone, dueAt }) => [zone, dueAt]);
  assert.deepEqual(await pending(), [
    ['', 10],
    ['Europe/Rome', 10],
    ['Asia/Tokyo', 200],
  ]);
  await ledger.undoPutOffs(id);
  await ledger.release([1, 2, 3]);
  assert.deepEqual(await pending(), [
    ['Asia/Tokyo', 10],
    ['', 10],
    ['Europe/Rome', 10],
  ]);
});
