// Accepting a submission: whether it may be, and whether it is a new campaign, a further list, or takes a campaign's place.
import { ExitCode, PosthasteError } from '../base/error.ts';
import { chooseRelays } from '../config/choose_relay.ts';
import { loadCampaign, type CampaignFile } from '../config/load_campaign.ts';
import type { Config } from '../config/load_config.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { CampaignStore } from './campaign_store.ts';
import type { KeptCampaign } from './kept_campaign.ts';
import { changedCampaign } from './retry.ts';

export interface AcceptTerms {
  readonly as?: string | undefined;
  readonly partial?: boolean | undefined;
  readonly expectRows?: number | undefined;
}

/** Who takes it over. */
export interface Taker {
  readonly store: CampaignStore;
  readonly config: Config;
  readonly ledger: Ledger;
  /** A campaign that is kept already. */
  readonly find: (name: string) => KeptCampaign | undefined;
  readonly keep: (name: string, file: CampaignFile) => KeptCampaign;
}

/** When it resolves, all of it is on disk. Throws what is wrong with the campaign. */
export async function acceptSubmission(
  { store, config, ledger, find, keep }: Taker,
  submission: string,
  { as, partial, expectRows }: AcceptTerms,
): Promise<KeptCampaign> {
  const file = loadCampaign(store.planOfSubmission(submission), process.env, as);
  const { name } = file.campaign;
  chooseRelays(config, file);
  const isNew = await isUnstored(ledger, file);
  await takeNamedList(store, submission, file);
  if (isNew && store.listOfSubmission(submission) === undefined) throw missingList(name);
  const known = find(name);
  const replaces = store.has(name) && known?.file.digest !== file.digest;
  const put = async (): Promise<CampaignFile> => {
    // Until it was stopped, its run may have stored something.
    if (replaces) await isUnstored(ledger, file);
    store.accept(submission, name, { partial: partial === true, expectedRows: expectRows }, replaces);
    return loadCampaign(store.planOf(name), process.env, name);
  };
  if (known === undefined) return keep(name, await put());
  await (replaces ? known.replace(put) : put());
  return known;
}

/** Whether nothing of a campaign is in the ledger. Throws ERR_CAMPAIGN_CHANGED (65) where something is, by another plan. */
async function isUnstored(ledger: Ledger, { campaign, digest }: CampaignFile): Promise<boolean> {
  const record = await ledger.findCampaign(campaign.name);
  if (record === undefined || (record.rows === 0 && record.lists.length === 0)) return true;
  if (record.planDigest !== digest) throw changedCampaign(campaign.name);
  return false;
}

/** A list that the campaign file names is among the files of a submission. */
async function takeNamedList(
  store: CampaignStore,
  submission: string,
  { list }: CampaignFile,
): Promise<void> {
  if (list.file === undefined || store.listOfSubmission(submission) !== undefined) return;
  const ending = /(\.[a-z0-9]+)*$/i.exec(list.file)?.[0] ?? '';
  await store.copyInto(submission, list.file, `lists/list${ending}`);
}

function missingList(name: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIST_MISSING',
    message: `campaign "${name}" came without a list`,
    hint: 'name a list, or - for standard input, or let the campaign file name one with list.file',
    exitCode: ExitCode.usage,
  });
}
