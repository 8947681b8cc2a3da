// The campaign of a command line: a name of the ledger, or a campaign file, which knows more.
import { statSync } from 'node:fs';
import { loadCampaign, type CampaignFile } from '../config/load_campaign.ts';

export interface NamedCampaign {
  readonly name: string;
  /** Where a file was named. */
  readonly file: CampaignFile | undefined;
}

/**
 * Takes what is a file for one, and all else for a name. A file's campaign may have been sent under another name. Its secrets are
 * not read: who only names a campaign has no need of them.
 */
export function findCampaign(named: string, as?: string): NamedCampaign {
  if (!isFile(named)) return { name: named, file: undefined };
  const file = loadCampaign(named, 'elsewhere', as);
  return { name: file.campaign.name, file };
}

/** What no path can be (too long, a loop of links) is a name still. */
function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    return false;
  }
}
