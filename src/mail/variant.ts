// Which variant of a campaign a row gets: a function of campaign and row, the same on every attempt and after a restart.
import { createHash } from 'node:crypto';
import type { Campaign, Variant } from './campaign.ts';

/** Returns the index of a row's variant among the campaign's; rows are 1-based. */
export type ChooseVariant = (row: number) => number;

/**
 * Makes the choice among the variants of a campaign, each with the probability of its share. Two campaigns divide
 * the same list differently, for otherwise the same people would always be the ones to be tried on.
 */
export function makeVariantChooser(campaignName: string, variants: readonly Variant[]): ChooseVariant {
  const seed = createHash('sha256').update(`variant:${campaignName}`).digest().readUInt32LE(0);
  const total = variants.reduce((sum, { share }) => sum + share, 0);
  let sum = 0;
  const ends = variants.map(({ share }) => (sum += share) / total);
  return (row) => {
    const point = mixRow(seed, row) / 4_294_967_296;
    const index = ends.findIndex((end) => point < end);
    // Sums of shares may end a little below 1.
    return index === -1 ? variants.length - 1 : index;
  };
}

/** Names the variant of each row; undefined where a campaign has none. */
export function nameVariants(
  campaignName: string,
  variants: readonly Variant[] | undefined,
): ((row: number) => string) | undefined {
  if (variants === undefined) return undefined;
  const choose = makeVariantChooser(campaignName, variants);
  return (row) => variants[choose(row)]?.name ?? '';
}

/** The campaign as the recipients of one variant get it. */
export function withVariant(campaign: Campaign, variant: Variant): Campaign {
  const { html = campaign.html, bodyWork, originals } = variant.html === undefined ? campaign : variant;
  return {
    ...campaign,
    subject: variant.subject ?? campaign.subject,
    text: variant.leavesOutText === true ? undefined : (variant.text ?? campaign.text),
    html,
    bodyWork,
    originals,
    preheader: variant.preheader ?? campaign.preheader,
    variants: undefined,
  };
}

/** A row as 32 bits that look random: two rounds of multiplying and shifting, for rows are consecutive numbers. */
function mixRow(seed: number, row: number): number {
  let bits = (seed ^ Math.imul(row, 0x9e3779b1)) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
