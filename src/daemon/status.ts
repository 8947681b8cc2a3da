// Status: where each campaign of a state directory stands, from sums that are kept and never counted.
import type { CampaignRecord, PendingSummary } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import { sumTally, type Tally } from '../mail/outcome.ts';
import { unknownCampaign } from './audit.ts';

/** One campaign. Instants in ms since the epoch. */
export interface CampaignStatus {
  readonly name: string;
  /**
   * takingIn: its list is not read to the end. sending: something is due. waiting: all that is pending is due later.
   * finished: every row has its fate.
   */
  readonly state: 'takingIn' | 'sending' | 'waiting' | 'finished';
  /** Whether a process is at it; else `posthaste send` goes on. */
  readonly running: boolean;
  /** Rows stored so far: those with a fate, and the pending ones. */
  readonly rows: number;
  readonly tally: Tally;
  readonly pending: number;
  /** Of the pending recipients; in the past where somebody should be at it. */
  readonly nextDueAt: number | undefined;
  readonly startedAt: number;
  readonly finishedAt: number | undefined;
  /** Since when only its record is kept. */
  readonly compactedAt: number | undefined;
}

/** What a campaign's record and what is pending of it say at an instant. */
export function statusOf(
  record: CampaignRecord,
  pending: PendingSummary,
  now: number,
  running: boolean,
): CampaignStatus {
  const { name, tally, createdAt, finishedAt, compactedAt } = record;
  // While a list is read, some of its rows may wait for their batch to fill; after a kill they are read again.
  const rows = record.intake === 'complete' ? record.rows : sumTally(tally) + pending.recipients;
  return {
    name,
    state: stateOf(record, pending, now),
    running,
    rows,
    tally,
    pending: pending.recipients,
    nextDueAt: pending.oldestDueAt,
    startedAt: createdAt,
    finishedAt,
    compactedAt,
  };
}

function stateOf(record: CampaignRecord, pending: PendingSummary, now: number): CampaignStatus['state'] {
  if (record.finishedAt !== undefined) return 'finished';
  if (record.intake === 'open') return 'takingIn';
  return (pending.oldestDueAt ?? now) > now ? 'waiting' : 'sending';
}

/**
 * All campaigns of a state directory that no other process has, oldest first, or the named one. Throws
 * ERR_CAMPAIGN_UNKNOWN (66), and what `openLedger` throws.
 */
export async function readStatus(
  stateDir: string,
  name: string | undefined,
  now: number,
): Promise<CampaignStatus[]> {
  const ledger = await openLedger({ directory: stateDir, mustExist: true });
  try {
    const records = await ledger.listCampaigns();
    const wanted = records.filter((record) => name === undefined || record.name === name);
    if (name !== undefined && wanted.length === 0) throw await unknownCampaign(ledger, stateDir, name);
    const statuses: CampaignStatus[] = [];
    for (const record of wanted) statuses.push(statusOf(record, await ledger.pending(record.id), now, false));
    return statuses;
  } finally {
    await ledger.close();
  }
}
