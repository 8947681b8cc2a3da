// The lanes of a campaign's lists: by the rules of the configuration, or by those that a half-read list was begun with.
import { domainOf } from '../mail/address.ts';
import type { Recipient } from '../mail/recipient.ts';
import type { CampaignRecord, Ledger } from '../ledger/ledger.ts';
import {
  makeLaneByKnown,
  makeLaneByOperator,
  makeLaneOf,
  type LaneGroup,
  type LaneRules,
  type OperatorOf,
} from '../schedule/lanes.ts';

/** Rules as the configuration has them. */
export interface WantedLanes extends LaneRules {
  readonly groups: readonly LaneGroup[];
  /** Undefined: no MX is looked up. */
  readonly mx: object | undefined;
}

/** How a list is cut. */
export interface ListLanes {
  /** From a domain in lower case to its lane; undefined: all are of one lane. */
  readonly laneOf: ((domain: string) => string | Promise<string>) | undefined;
  /** Whether batches are the same every time: not where some were cut by what the DNS said. */
  readonly isRepeatable: boolean;
}

/** What is kept with a campaign. */
type KeptRules =
  | (LaneRules & { readonly byMx?: undefined })
  | (LaneRules & { readonly groups: readonly LaneGroup[]; readonly byMx: true });

/**
 * How the list that is taken in now is cut. Batches are compared with those that an interrupted intake has stored, so once there
 * are any, the rules of then count: whoever edits `lanes` in between has not changed the list. What was cut by MX cannot be cut
 * again: there rows are compared, and the rules of today count.
 */
export async function chooseLanes(
  ledger: Ledger,
  { id, rows, laneRules }: CampaignRecord,
  rowsBefore: number,
  wanted: WantedLanes | undefined,
  operatorOf: OperatorOf,
): Promise<ListLanes> {
  const byMx = { laneOf: laneOfToday(wanted, operatorOf), isRepeatable: false };
  if (rows > rowsBefore) {
    // Our own writing, so its shape is trusted.
    const kept: KeptRules | undefined = laneRules === undefined ? undefined : JSON.parse(laneRules);
    if (kept?.byMx === true) return byMx;
    return { laneOf: kept && makeLaneOf(kept), isRepeatable: true };
  }
  const text = writeRules(wanted);
  if (text !== laneRules) await ledger.setLaneRules(id, text);
  return wanted?.mx === undefined ? { laneOf: wanted && makeLaneOf(wanted), isRepeatable: true } : byMx;
}

function laneOfToday(wanted: WantedLanes | undefined, operatorOf: OperatorOf): ListLanes['laneOf'] {
  if (wanted === undefined) return undefined;
  return wanted.mx === undefined ? makeLaneOf(wanted) : makeLaneByOperator(wanted, operatorOf);
}

/** Only what the lane of a domain depends on, but for what the DNS says: limits may change at any time. */
export function writeRules(rules: WantedLanes | undefined): string | undefined {
  if (rules === undefined) return undefined;
  const { others } = rules;
  const kept: KeptRules =
    rules.mx === undefined
      ? { groups: rules.groups.map(({ name, domains }) => ({ name, domains })), others }
      : { groups: rules.groups.map(({ name, domains, mx }) => ({ name, domains, mx })), others, byMx: true };
  return JSON.stringify(kept);
}

/** The lane of a recipient by the rules of today, and by what is remembered of operators. */
export function laneOfRecipient(
  rules: LaneRules | undefined,
  recall: (domain: string) => string | undefined,
): (recipient: Recipient) => string {
  if (rules === undefined) return () => '';
  const laneOf = makeLaneByKnown(rules, recall);
  return ({ address }) => laneOf(domainOf(address));
}
