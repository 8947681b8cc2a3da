// The audit of a campaign: the ledger recounted row by row, with what only the journals know.
import { ExitCode, PosthasteError } from '../base/error.ts';
import { outcomesAfterLoss } from '../dispatch/after_loss.ts';
import type { CampaignAudit, Ledger } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import { readCampaignJournal } from './journals.ts';

export interface AuditReport extends CampaignAudit {
  readonly campaign: string;
  /** The list was read to its end and every row has its fate. */
  readonly finished: boolean;
  /** Of the pending recipients: answered, by the journals of a run that died; the next run settles them. */
  readonly unsettled: number;
  /** Of the pending recipients: their end of data was sent, and nobody can know. */
  readonly inDoubt: number;
}

/** Opens the ledger of `stateDir` for as long as it takes. Throws ERR_CAMPAIGN_UNKNOWN (66), and what `openLedger` throws. */
export async function auditCampaign(stateDir: string, name: string): Promise<AuditReport> {
  const ledger = await openLedger({ directory: stateDir, mustExist: true });
  try {
    const record = await ledger.findCampaign(name);
    if (record === undefined) throw await unknownCampaign(ledger, stateDir, name);
    const audit = await ledger.auditCampaign(record.id);
    const finished = record.intake === 'complete' && audit.pendingRecipients === 0;
    return { campaign: name, finished, ...audit, ...(await countJournalled(ledger, stateDir, record.id)) };
  } finally {
    await ledger.close();
  }
}

async function countJournalled(
  ledger: Ledger,
  stateDir: string,
  campaignId: number,
): Promise<Pick<AuditReport, 'unsettled' | 'inDoubt'>> {
  let [unsettled, inDoubt] = [0, 0];
  for (const [batch, journalled] of await readCampaignJournal(stateDir, ledger, campaignId)) {
    for (const { kind } of outcomesAfterLoss(batch, journalled, 0)) {
      if (kind === 'inDoubt') inDoubt += 1;
      else if (kind !== 'unsent') unsettled += 1;
    }
  }
  return { unsettled, inDoubt };
}

/** The error for a name that a ledger does not have. */
export async function unknownCampaign(
  ledger: Ledger,
  stateDir: string,
  name: string,
): Promise<PosthasteError> {
  const names = (await ledger.listCampaigns()).map((one) => one.name);
  return new PosthasteError({
    code: 'ERR_CAMPAIGN_UNKNOWN',
    message: `there is no campaign "${name}" in ${stateDir}`,
    hint:
      names.length === 0
        ? 'It holds no campaign yet; name another with --state.'
        : `It has: ${names.join(', ')}.`,
    exitCode: ExitCode.noInput,
  });
}
