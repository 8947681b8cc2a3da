// Again for some: whether rows of a campaign may be sent again, and how many that would be.
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { CampaignRecord, EndCount, RetryChoice } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import { isChosen } from '../ledger/retry.ts';
import { unknownCampaign } from './audit.ts';
import { refuseIfCompacted } from './compact.ts';

/** Throws ERR_RETRY_LIST_OPEN (75) or ERR_ROWS_GONE (66) for a campaign of which nothing can be sent again. */
export function checkRetriable(record: CampaignRecord): void {
  refuseIfCompacted(record, 'nobody of them can be sent to again');
  if (record.intake === 'complete') return;
  throw new PosthasteError({
    code: 'ERR_RETRY_LIST_OPEN',
    message: `campaign "${record.name}" has no complete list yet`,
    hint: 'first let it be read to its end: posthaste send CAMPAIGN LIST; then retry',
    exitCode: ExitCode.tempFail,
  });
}

/** What a retry would be about, counted by how the rows ended. Changes nothing; throws what the retry would. */
export async function countRetry(
  stateDir: string,
  name: string,
  planDigest: string,
  choice: RetryChoice,
): Promise<EndCount[]> {
  const ledger = await openLedger({ directory: stateDir, mustExist: true });
  try {
    const record = await ledger.findCampaign(name);
    if (record === undefined) throw await unknownCampaign(ledger, stateDir, name);
    if (record.planDigest !== planDigest) throw changedCampaign(name);
    checkRetriable(record);
    return (await ledger.countEnds(record.id)).filter((ends) => isChosen(ends, choice));
  } finally {
    await ledger.close();
  }
}

/** The error for a campaign whose file is not what it was begun with. */
export function changedCampaign(name: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_CAMPAIGN_CHANGED',
    message: `campaign "${name}" was begun with another template`,
    hint: 'undo the change to go on with it, or send the changed one under a name of its own: --as NEW-NAME',
    exitCode: ExitCode.dataError,
  });
}
