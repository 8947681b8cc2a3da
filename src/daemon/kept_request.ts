// What a run of a kept campaign is asked: what its file says, as it is steered, of the list at hand.
import { chooseRelays } from '../config/choose_relay.ts';
import type { CampaignFile } from '../config/load_campaign.ts';
import type { Config } from '../config/load_config.ts';
import type { Campaign } from '../mail/campaign.ts';
import type { CampaignRequest } from './campaign_run.ts';
import type { WaitingList } from './campaign_store.ts';
import { paceUnder, type KeptSteering } from './steering.ts';

const batchRows = 250;

/** `campaign` is the file's, prepared; to retry, it need not be. */
export function makeRequest(
  file: CampaignFile,
  campaign: Campaign,
  config: Config,
  steering: KeptSteering,
  list: WaitingList | undefined,
): CampaignRequest {
  const { retry, time, pauseAbove, inDoubt } = file;
  return {
    campaign,
    relays: chooseRelays(config, file).shares,
    pace: paceUnder(steering, file.pace),
    priority: steering.priority ?? file.priority,
    retry,
    time,
    pauseAbove,
    inDoubt,
    listPath: list?.path,
    list: {
      ...file.list,
      batchRows,
      partial: list?.partial,
      expectedRows: list?.expectedRows,
    },
  };
}
