// The lane rules of a campaign's lists: those of the configuration, or those that a half-read list was begun with.
import { domainOf } from '../mail/address.ts';
import type { Recipient } from '../mail/recipient.ts';
import type { CampaignRecord, Ledger } from '../ledger/ledger.ts';
import { makeLaneOf, type LaneRules } from '../schedule/lanes.ts';

/** From a domain in lower case to its lane; undefined: all are of one lane. */
export type LaneOf = (domain: string) => string;

export function laneOfRules(rules: LaneRules | undefined): LaneOf | undefined {
  return rules === undefined ? undefined : makeLaneOf(rules);
}

/**
 * How the list that is taken in now is cut. Batches are compared with those that an interrupted intake has stored, so once there
 * are any, the rules of then count: whoever edits `lanes` in between has not changed the list.
 */
export async function chooseLaneRules(
  ledger: Ledger,
  { id, rows, laneRules }: CampaignRecord,
  rowsBefore: number,
  wanted: LaneRules | undefined,
): Promise<LaneRules | undefined> {
  if (rows > rowsBefore) {
    // Our own writing, so its shape is trusted.
    const kept: LaneRules | undefined = laneRules === undefined ? undefined : JSON.parse(laneRules);
    return kept;
  }
  const text = writeRules(wanted);
  if (text !== laneRules) await ledger.setLaneRules(id, text);
  return wanted;
}

/** Only what the lane of a domain depends on: limits may change at any time. */
export function writeRules(rules: LaneRules | undefined): string | undefined {
  if (rules === undefined) return undefined;
  const groups = rules.groups.map(({ name, domains }) => ({ name, domains }));
  return JSON.stringify({ groups, others: rules.others });
}

/** The lane of a recipient by the rules of today. */
export function laneOfRecipient(rules: LaneRules | undefined): (recipient: Recipient) => string {
  const laneOf = laneOfRules(rules);
  return laneOf === undefined ? () => '' : ({ address }) => laneOf(domainOf(address));
}
