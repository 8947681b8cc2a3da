// Killed in the middle of a retry or of a compaction: nothing is half done, and the next one goes on.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { CampaignRecord, Ledger } from '../../src/ledger/ledger.ts';
import type { Delivery } from '../../src/mail/delivery.ts';
import { deliveryOf, makeDirectory, openFor, rowsOf, storeList } from './fixture.ts';

const childFile = fileURLToPath(new URL('crash_child.ts', import.meta.url));

test('a retry that is killed before its commit has not happened, and one that is killed after it has', async (t) => {
  const directory = makeDirectory(t);
  const rejected = 2000;
  const { id } = await withLedger(t, directory, (ledger) => finishList(ledger, 4000, rejected));
  // At the first row, behind the one that stores the first batch, at the last: nothing is there.
  for (const rows of [1, 251, rejected]) {
    await runToDeath(t, directory, 'retry', rows);
    await withLedger(t, directory, async (ledger) => {
      const { finishedAt, tally } = (await ledger.findCampaign('spring')) ?? {};
      assert.deepEqual([finishedAt, tally?.rejected], [7000, rejected], `killed at row ${rows}`);
      assert.equal((await ledger.pending(id)).recipients, 0);
      assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
    });
  }
  await runToDeath(t, directory, 'retry', 0);
  await withLedger(t, directory, async (ledger) => {
    const { finishedAt, tally } = (await ledger.findCampaign('spring')) ?? {};
    assert.deepEqual([finishedAt, tally?.rejected, tally?.accepted], [undefined, 0, 2000]);
    assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
    const due = await ledger.claimDue(id, 9000, 100);
    const rows = due.flatMap((one) => rowsOf(one)).toSorted((a, b) => a - b);
    assert.deepEqual(
      rows,
      Array.from({ length: rejected }, (_, n) => n + 1),
    );
  });
});

test('a compaction that is killed again and again goes on each time, and no record claims rows meanwhile', async (t) => {
  const directory = makeDirectory(t);
  const { id } = await withLedger(t, directory, (ledger) => finishList(ledger, 30_000, 10));
  let deaths = 0;
  // Killed after the mark alone, then after four steps at a time.
  for (let steps = 0; (await runToDeath(t, directory, 'compact', steps)) === 'SIGKILL'; steps = 4) {
    deaths += 1;
    await withLedger(t, directory, async (ledger) => {
      assert.equal((await ledger.findCampaign('spring'))?.compactedAt, 5000);
      const { differences, tally } = await ledger.auditCampaign(id);
      assert.deepEqual([differences, tally.accepted, tally.rejected], [[], 29_990, 10]);
    });
  }
  assert.ok(deaths > 3, `${deaths} deaths`);
  await withLedger(t, directory, async (ledger) => {
    assert.deepEqual(await ledger.listRemnants(), []);
    const { fileBytes, freeBytes } = await ledger.readSpace();
    assert.ok(fileBytes < 30 * 8192 && freeBytes === 0, `${fileBytes} octets, ${freeBytes} of them free`);
  });
});

/** The list of a campaign that is finished at 7000, its first rows as rejected. */
async function finishList(ledger: Ledger, rows: number, rejected: number): Promise<CampaignRecord> {
  const batches = Array.from({ length: rows / 250 }, (_, n) =>
    Array.from({ length: 250 }, (_, k) => n * 250 + k + 1),
  );
  const campaign = await storeList(ledger, batches);
  for (const batch of await ledger.claimDue(campaign.id, 0, batches.length)) {
    const fateOf = (row: number): Delivery['fate'] => (row <= rejected ? 'rejected' : 'accepted');
    const deliveries = rowsOf(batch).map((row) => deliveryOf(row, fateOf(row)));
    await ledger.settle([
      { campaignId: campaign.id, batchId: batch.id, deliveries, deferrals: [], successors: [] },
    ]);
  }
  await ledger.finishCampaign(campaign.id, 7000);
  return campaign;
}

/** Runs a child until it is dead. Returns the signal that killed it, or null. */
async function runToDeath(
  t: TestContext,
  directory: string,
  task: 'retry' | 'compact',
  steps: number,
): Promise<NodeJS.Signals | null> {
  const child = spawn(process.execPath, [childFile, directory, task, String(steps)], { stdio: 'inherit' });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'close');
  assert.ok(child.signalCode === 'SIGKILL' || child.exitCode === 0, `${task} ended with ${child.exitCode}`);
  return child.signalCode;
}

async function withLedger<T>(
  t: TestContext,
  directory: string,
  work: (ledger: Ledger) => Promise<T>,
): Promise<T> {
  const ledger = await openFor(t, directory);
  const result = await work(ledger);
  await ledger.close();
  return result;
}
