// The audit: a campaign's rows counted one by one, against the sums that are kept.
import { unpackRecipients } from '../mail/batch.ts';
import { fates, sumTally } from '../mail/outcome.ts';
import type { BatchTable } from './batches.ts';
import type { CampaignTable } from './campaigns.ts';
import type { DeliveryTable } from './deliveries.ts';
import type { IntakeStore } from './intake_store.ts';
import { maxRow } from './key.ts';
import type { AuditDifference, CampaignAudit, CampaignRecord } from './ledger.ts';

export interface AuditTables {
  readonly campaigns: CampaignTable;
  readonly batches: BatchTable;
  readonly deliveries: DeliveryTable;
  readonly intake: IntakeStore;
}

/**
 * Proves "one fate each": finished rows are distinct by their key, pending rows are distinct and not finished, all are rows
 * of the list, and together they are as many as the list has. Then each row is in exactly one place.
 */
export function auditLedger(tables: AuditTables, campaignId: number): CampaignAudit {
  const campaign = tables.campaigns.get(campaignId);
  if (campaign.compactedAt !== undefined) return auditRecord(campaign);
  const finished = tables.deliveries.count(campaignId, maxRow);
  const pending = countPending(tables, campaign);
  const counts: AuditDifference[] = [
    ...fates.map((fate) => ({
      subject: `rows ${fate}`,
      expected: campaign.tally[fate],
      found: finished.tally[fate],
    })),
    ...intakeCounts(tables, campaign),
    ...pending.counts,
    countAll(campaign, sumTally(finished.tally) + pending.recipients),
    { subject: 'smallest finished row', expected: 1, found: Math.min(finished.firstRow ?? 1, 1) },
    {
      subject: 'largest finished row',
      expected: campaign.rows,
      found: Math.max(finished.lastRow ?? 0, campaign.rows),
    },
  ];
  const stored = sumTally(finished.tally) + pending.recipients;
  return {
    rows: campaign.intake === 'open' ? Math.min(stored, campaign.rows) : campaign.rows,
    tally: finished.tally,
    pendingRecipients: pending.recipients,
    compactedAt: undefined,
    differences: counts.filter((one) => one.expected !== one.found),
  };
}

/** What is left of a compacted campaign to prove: its sums are as many as it had rows. */
function auditRecord(campaign: CampaignRecord): CampaignAudit {
  const { rows, tally, compactedAt } = campaign;
  const sums = { subject: 'fates together', expected: rows, found: sumTally(tally) };
  const differences = sums.expected === sums.found ? [] : [sums];
  return { rows, tally, pendingRecipients: 0, compactedAt, differences };
}

/** While intake runs, rows that it has read may still be in batches that it is filling. */
function countAll(campaign: CampaignRecord, stored: number): AuditDifference {
  const found = campaign.intake === 'open' ? Math.max(stored, campaign.rows) : stored;
  return { subject: 'finished and pending rows together', expected: campaign.rows, found };
}

function intakeCounts(tables: AuditTables, campaign: CampaignRecord): AuditDifference[] {
  const counted = tables.intake.count(campaign.id);
  return [
    { subject: 'batches stored by intake', expected: campaign.batchesTaken, found: counted.batches },
    { subject: 'rows refused by intake', expected: campaign.refusedTaken, found: counted.refused },
  ];
}

interface PendingCount {
  readonly recipients: number;
  readonly counts: readonly AuditDifference[];
}

/** Reads the recipients of all pending batches. One bit per row of the list remembers which were there. */
function countPending(tables: AuditTables, campaign: CampaignRecord): PendingCount {
  const seen = new Uint8Array(Math.floor(campaign.rows / 8) + 1);
  let [recipients, strangers, repeated, finished] = [0, 0, 0, 0];
  for (const id of tables.batches.pendingIds(campaign.id)) {
    for (const { row } of unpackRecipients(tables.batches.payload(id))) {
      recipients++;
      const byte = seen[row >>> 3] ?? 0;
      const bit = 1 << (row & 7);
      if (row < 1 || row > campaign.rows) strangers++;
      else if ((byte & bit) !== 0) repeated++;
      else if (tables.deliveries.has(campaign.id, row)) finished++;
      seen[row >>> 3] = byte | bit;
    }
  }
  const recorded = tables.batches.pending(campaign.id).recipients;
  return {
    recipients,
    counts: [
      { subject: 'recipients of pending batches', expected: recorded, found: recipients },
      { subject: 'pending rows that are not in the list', expected: 0, found: strangers },
      { subject: 'rows pending twice', expected: 0, found: repeated },
      { subject: 'rows both pending and finished', expected: 0, found: finished },
    ],
  };
}
