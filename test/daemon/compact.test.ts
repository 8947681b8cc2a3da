// Compacting what is due: by the age of its end, and no further than one step when it is stopped.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compactDue } from '../../src/daemon/compact.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { batchOf, columns, openFor, settlementOf } from '../ledger/fixture.ts';

async function addCampaign(ledger: Ledger, name: string, finishedAt: number | undefined): Promise<void> {
  const { id } = await ledger.createCampaign({ name, planDigest: '', createdAt: 0 });
  await ledger.storeIntake(id, { batches: [batchOf([1, 2])], refused: [], rows: 2, columns }, 0);
  await ledger.completeIntake(id, { rows: 2, listDigest: '', columns });
  if (finishedAt === undefined) return;
  for (const batch of await ledger.claimDue(id, 0, 1)) await ledger.settle([settlementOf(batch)]);
  await ledger.finishCampaign(id, finishedAt);
}

async function compactedIn(ledger: Ledger): Promise<string[]> {
  return (await ledger.listCampaigns())
    .filter((one) => one.compactedAt !== undefined)
    .map(({ name }) => name);
}

test('campaigns that finished as long ago as that, or longer, lose their rows; pending ones never do', async (t) => {
  const ledger = await openFor(t);
  for (const [name, finishedAt] of [
    ['at 99', 99],
    ['at 100', 100],
    ['at 101', 101],
    ['open', undefined],
  ] as const)
    await addCampaign(ledger, name, finishedAt);
  assert.deepEqual(await compactDue(ledger, { keepMs: undefined, now: 1e9 }), []);
  assert.deepEqual(await compactedIn(ledger), []);
  const due = await compactDue(ledger, { keepMs: 50, now: 150 });
  assert.deepEqual(
    due.map((one) => one.name),
    ['at 99', 'at 100'],
  );
  assert.deepEqual(await compactedIn(ledger), ['at 99', 'at 100']);
  assert.deepEqual(await ledger.listRemnants(), []);
  assert.deepEqual(await compactDue(ledger, { keepMs: 50, now: 150 }), [], 'once');
});

test('stopped in between, it leaves rows that no record claims, and the next one removes them, whatever keep says', async (t) => {
  const ledger = await openFor(t);
  await addCampaign(ledger, 'spring', 99);
  let steps = 0;
  await compactDue(ledger, { keepMs: 0, now: 150, stopped: () => (steps += 1) > 1 });
  assert.deepEqual(await ledger.listRemnants(), [1]);
  assert.deepEqual(await compactedIn(ledger), ['spring']);
  await compactDue(ledger, { keepMs: undefined, now: 150 });
  assert.deepEqual(await ledger.listRemnants(), []);
});
