// Keys: a campaign and a number within it as one safe integer, so that SQLite's rowid is the only index needed.
import { invariant } from '../base/invariant.ts';

const numbersPerCampaign = 2 ** 32;

/** Campaign ids end here: 2^20 × 2^32 is within the safe integers. */
export const maxCampaignId = 2 ** 20 - 1;

/** Row numbers end here. */
export const maxRow = numbersPerCampaign - 1;

/** The key of a row (from 1) or another number below 2^32 of a campaign. */
export function keyOf(campaignId: number, number: number): number {
  invariant(number >= 0 && number <= maxRow, `row ${number} of campaign ${campaignId} is out of range`);
  return campaignId * numbersPerCampaign + number;
}

/** The number within its campaign. */
export function numberOfKey(key: number): number {
  return key % numbersPerCampaign;
}
