// The rows of a campaign with their fates, out of a ledger that nobody else has open.
import type { ResultRow } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import { unknownCampaign } from './audit.ts';
import { refuseIfCompacted } from './compact.ts';

export interface OpenResults {
  readonly columns: readonly string[];
  /** Every stored row in row order. */
  readonly pages: AsyncIterable<readonly ResultRow[]>;
  readonly close: () => Promise<void>;
}

/** Throws ERR_CAMPAIGN_UNKNOWN and ERR_ROWS_GONE (66), and what `openLedger` throws. */
export async function openResults(stateDir: string, name: string): Promise<OpenResults> {
  const ledger = await openLedger({ directory: stateDir, mustExist: true });
  try {
    const record = await ledger.findCampaign(name);
    if (record === undefined) throw await unknownCampaign(ledger, stateDir, name);
    refuseIfCompacted(record, 'there are no results any more');
    return { columns: record.columns, pages: ledger.readResults(record.id), close: () => ledger.close() };
  } catch (error) {
    await ledger.close();
    throw error;
  }
}
