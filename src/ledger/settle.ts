// Settling: a pending batch becomes deliveries, deferrals and successors, checked to add up.
import { invariant } from '../base/invariant.ts';
import { emptyTally } from '../mail/outcome.ts';
import type { BatchTable, PendingBatch } from './batches.ts';
import type { CampaignTable } from './campaigns.ts';
import type { DeliveryTable } from './deliveries.ts';
import type { Settlement } from './ledger.ts';

export interface SettleTables {
  readonly campaigns: CampaignTable;
  readonly batches: BatchTable;
  readonly deliveries: DeliveryTable;
}

/** Records one settlement, inside a transaction. Throws "bug: …" where INTERNALS.md's promises of `settle` are broken. */
export function settleBatch(tables: SettleTables, settlement: Settlement): void {
  const { campaignId, batchId, deliveries, deferrals, successors } = settlement;
  const batch = tables.batches.find(batchId);
  invariant(batch !== undefined, `batch ${batchId} is not pending, so it cannot be settled`);
  checkSettlement(batch, settlement);
  const tally = emptyTally();
  for (const one of deliveries) tally[one.fate]++;
  tables.deliveries.insert(campaignId, deliveries);
  tables.deliveries.insertDeferrals(campaignId, batchId, deferrals);
  for (const successor of successors) tables.batches.insert(campaignId, successor, false);
  tables.batches.remove(batch);
  tables.campaigns.addTally(campaignId, tally);
}

function checkSettlement(batch: PendingBatch, settlement: Settlement): void {
  const { id, campaignId, recipientCount } = batch;
  invariant(campaignId === settlement.campaignId, `batch ${id} belongs to campaign ${campaignId}`);
  const left = settlement.successors.reduce((sum, one) => sum + one.recipientCount, 0);
  const finished = settlement.deliveries.length;
  invariant(
    finished + left === recipientCount,
    `batch ${id} of ${recipientCount} recipients was settled with ${finished} deliveries and ${left} left`,
  );
  invariant(settlement.deferrals.length <= left, `batch ${id} has more deferrals than recipients left`);
  for (const one of settlement.deliveries) checkRow(batch, one.row, one.row);
  for (const one of settlement.deferrals) checkRow(batch, one.row, one.row);
  for (const one of settlement.successors) checkRow(batch, one.firstRow, one.lastRow);
}

function checkRow(batch: PendingBatch, firstRow: number, lastRow: number): void {
  if (firstRow >= batch.firstRow && lastRow <= batch.lastRow) return;
  invariant(false, `rows ${firstRow} to ${lastRow} are not within batch ${batch.id}`);
}
