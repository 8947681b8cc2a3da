// A campaign's name on the command line: judged as `name:` of the campaign file is.
import { InvalidArgumentError } from 'commander';
import { campaignName } from '../config/campaign_schema.ts';
import { expectationOf } from '../config/key.ts';

/** For options of commander. */
export function parseCampaignName(text: string): string {
  const name = campaignName().safeParse(text);
  if (name.success) return name.data;
  throw new InvalidArgumentError(`expected ${expectationOf(campaignName()) ?? 'a name'}.`);
}
