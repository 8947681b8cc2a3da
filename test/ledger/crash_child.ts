// A process that opens a ledger and is there to be killed: `node crash_child.ts DIRECTORY try|claim|settle|retry|compact [STEPS]`.
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PosthasteError } from '../../src/base/error.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { rowsOf, settlementOf } from './fixture.ts';

/** Longer than any test: what is due then never comes. */
const neverAt = 1e12;

const [directory = '', task, steps = ''] = process.argv.slice(2);

try {
  const ledger = await openLedger({ directory });
  say('open');
  const campaign = await ledger.findCampaign('spring');
  if (campaign !== undefined && task === 'claim') await claimAndWait(ledger, campaign.id);
  if (campaign !== undefined && task === 'settle') await settleAll(ledger, campaign.id);
  if (campaign !== undefined && task === 'retry') await retry(ledger, campaign.id, Number(steps));
  if (campaign !== undefined && task === 'compact') await compact(ledger, campaign.id, Number(steps));
} catch (error) {
  say(error instanceof PosthasteError ? error.code : String(error));
}

async function claimAndWait(ledger: Ledger, campaignId: number): Promise<void> {
  const claimed = await ledger.claimDue(campaignId, 0, 3);
  say(`claimed ${claimed.map((one) => one.id).join(' ')}`);
  await sleep(60_000);
}

/** Settles two batches a transaction; every third row is deferred. */
async function settleAll(ledger: Ledger, campaignId: number): Promise<void> {
  for (;;) {
    const claimed = await ledger.claimDue(campaignId, 0, 2);
    if (claimed.length === 0) return;
    const settlements = claimed.map((one) => {
      const deferred = rowsOf(one).filter((row) => row % 3 === 0);
      return settlementOf(one, deferred, neverAt);
    });
    await ledger.settle(settlements);
    for (const one of claimed) say(`settled ${one.id}`);
  }
}

/** Kills itself within the transaction, when it has seen `rows` rows; with 0, after the commit. */
async function retry(ledger: Ledger, campaignId: number, rows: number): Promise<void> {
  let seen = 0;
  await ledger.retryRows(campaignId, { fates: new Set(['rejected']) }, 9000, () => {
    seen += 1;
    if (seen === rows) process.kill(process.pid, 'SIGKILL');
    return { lane: '', zone: '' };
  });
  process.kill(process.pid, 'SIGKILL');
}

/** Marks the campaign where it is not, removes a few steps' rows, and kills itself; ends where none are left. */
async function compact(ledger: Ledger, campaignId: number, steps: number): Promise<void> {
  const { compactedAt } = (await ledger.findCampaign('spring')) ?? {};
  if (compactedAt === undefined) await ledger.compactCampaign(campaignId, 5000);
  for (let step = 0; step < steps; step += 1) {
    if ((await ledger.removeRemnants(campaignId)) > 0) continue;
    while (await ledger.shrink());
    return ledger.close();
  }
  process.kill(process.pid, 'SIGKILL');
}

/** Writes at once: a line that was said before the kill must be in the pipe. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}
