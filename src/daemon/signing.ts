// Whether the messages of a campaign will be signed.
import { domainOf } from '../mail/address.ts';
import type { Campaign } from '../mail/campaign.ts';
import { keysFor, type DkimKey } from '../sign/key.ts';

/** What must be said before a campaign is sent: who has keys expects signatures. */
export function warnAboutSigning(keys: readonly DkimKey[], campaign: Campaign): string[] {
  const domain = domainOf(campaign.from.address);
  if (keys.length === 0 || keysFor(keys, domain).length > 0) return [];
  return [
    `campaign ${campaign.name}: its messages are not signed, for dkim has no key for ${domain} or a domain above it`,
  ];
}
