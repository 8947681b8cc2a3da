// Campaign records: created, found, completed, finished.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyTally } from '../../src/mail/outcome.ts';
import { batchOf, columns, openFor, settlementOf, storeList } from './fixture.ts';

test('a fresh campaign is open, empty and found by its name', async (t) => {
  const ledger = await openFor(t);
  const created = await ledger.createCampaign({ name: 'spring', planDigest: 'p', createdAt: 7 });
  assert.deepEqual(created, {
    id: 1,
    name: 'spring',
    planDigest: 'p',
    createdAt: 7,
    intake: 'open',
    columns: [],
    lists: [],
    batchesTaken: 0,
    refusedTaken: 0,
    rows: 0,
    tally: emptyTally(),
    finishedAt: undefined,
    compactedAt: undefined,
    laneRules: undefined,
    steering: undefined,
  });
  assert.deepEqual(await ledger.findCampaign('spring'), created);
  assert.equal(await ledger.findCampaign('autumn'), undefined);
});

test('campaigns are listed oldest first', async (t) => {
  const ledger = await openFor(t);
  for (const name of ['b', 'a']) await ledger.createCampaign({ name, planDigest: '', createdAt: 0 });
  const names = (await ledger.listCampaigns()).map((one) => one.name);
  assert.deepEqual(names, ['b', 'a']);
});

test('a name is taken once', async (t) => {
  const ledger = await openFor(t);
  const fresh = { name: 'spring', planDigest: '', createdAt: 0 };
  await ledger.createCampaign(fresh);
  await assert.rejects(ledger.createCampaign(fresh), /^Error: bug: campaign spring is in the ledger already/);
});

test('a campaign is finished when every row has its fate, and the first time counts', async (t) => {
  const ledger = await openFor(t);
  const { id } = await storeList(ledger, [[1, 2]]);
  await assert.rejects(ledger.finishCampaign(id, 5), /bug: campaign 1 was to be finished with 0 of 2 fates/);
  const [batch] = await ledger.claimDue(id, 0, 1);
  assert.ok(batch);
  await ledger.settle([settlementOf(batch)]);
  await ledger.finishCampaign(id, 6);
  await ledger.finishCampaign(id, 7);
  assert.equal((await ledger.findCampaign('spring'))?.finishedAt, 6);
});

test('a campaign is not finished while its list is still being read', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  await assert.rejects(ledger.finishCampaign(id, 5), /bug: campaign 1 was to be finished/);
});

test('campaigns do not see the batches of one another', async (t) => {
  const ledger = await openFor(t);
  const first = await storeList(ledger, [[1]]);
  const second = await ledger.createCampaign({ name: 'other', planDigest: '', createdAt: 0 });
  const part = { batches: [batchOf([1, 2])], refused: [], rows: 2, columns };
  await ledger.storeIntake(second.id, part, 0);
  assert.equal((await ledger.claimDue(first.id, 0, 9)).length, 1);
  assert.equal((await ledger.claimDue(second.id, 0, 9))[0]?.recipientCount, 2);
  assert.equal((await ledger.pending(first.id)).recipients, 1);
});

test('a campaign of which nothing is stored may get another plan, and no other may', async (t) => {
  const ledger = await openFor(t);
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: 'p', createdAt: 0 });
  assert.equal((await ledger.replanCampaign(id, 'q')).planDigest, 'q');
  await ledger.storeIntake(id, { batches: [batchOf([1, 2])], refused: [], rows: 2, columns }, 0);
  assert.equal((await ledger.replanCampaign(id, 'r')).planDigest, 'q');
});
