// Lanes: which destination domains share limits, so that a slow one never delays another.
import { sharedLane } from '../mail/batch.ts';

/** Domains that share a lane. Patterns are in lower case: `example.com` alone, `*.example.com` for all below it. */
export interface LaneGroup {
  /** Without a dot, so it is no domain. */
  readonly name: string;
  readonly domains: readonly string[];
  /** Patterns of the host names of MX records: whose domains are run by the same operator. */
  readonly mx: readonly string[];
}

export interface LaneRules {
  /** The first group with a domain's exact name wins, then the one with the longest pattern above it. */
  readonly groups: readonly Pick<LaneGroup, 'name' | 'domains'>[];
  /** Domains of no group: all in one lane, or each in its own, which has the domain's name. */
  readonly others: 'shared' | 'domain';
}

/**
 * Makes the function from a domain in lower case to its lane. It is asked for every recipient: one look-up for an exact
 * name or a domain of no group, and one more for each dot only where there are patterns (bench/lanes.ts).
 */
export function makeLaneOf(rules: LaneRules): (domain: string) => string {
  const find = makeGroupFinder(rules);
  const laneOfOther = makeOtherLane(rules);
  return (domain) => find(domain) ?? laneOfOther(domain);
}

/** As `makeLaneOf`, but a domain that no group names is of its operator's lane, where that is known. */
export function makeLaneByKnown(
  rules: LaneRules,
  recall: (domain: string) => string | undefined,
): (domain: string) => string {
  const find = makeGroupFinder(rules);
  const laneOfOther = makeOtherLane(rules);
  return (domain) => find(domain) ?? recall(domain) ?? laneOfOther(domain);
}

/** Who runs the mail of a domain, as the name of a group; undefined: none of them, or it is not known. */
export type OperatorOf = (domain: string) => string | undefined | Promise<string | undefined>;

/** The same where the operator is found out, and that takes its time. */
export function makeLaneByOperator(
  rules: LaneRules,
  operatorOf: OperatorOf,
): (domain: string) => string | Promise<string> {
  const find = makeGroupFinder(rules);
  const laneOfOther = makeOtherLane(rules);
  return (domain) => {
    const named = find(domain);
    if (named !== undefined) return named;
    const operator = operatorOf(domain);
    if (!(operator instanceof Promise)) return operator ?? laneOfOther(domain);
    return operator.then((lane) => lane ?? laneOfOther(domain));
  };
}

function makeGroupFinder({ groups }: LaneRules): (domain: string) => string | undefined {
  return makePatternFinder(groups.map(({ name, domains }) => [name, domains]));
}

function makeOtherLane({ others }: LaneRules): (domain: string) => string {
  return others === 'shared' ? () => sharedLane : (domain) => domain;
}

/** Makes the function from a domain or host name to the name whose pattern takes it. */
export function makePatternFinder(
  named: readonly (readonly [name: string, patterns: readonly string[]])[],
): (domain: string) => string | undefined {
  const exact = new Map<string, string>();
  const below = new Map<string, string>();
  for (const [name, patterns] of named) {
    for (const pattern of patterns) {
      const map = pattern.startsWith('*.') ? below : exact;
      const key = pattern.startsWith('*.') ? pattern.slice(2) : pattern;
      if (!map.has(key)) map.set(key, name);
    }
  }
  if (below.size === 0) return (domain) => exact.get(domain);
  return (domain) => exact.get(domain) ?? findAbove(below, domain);
}

/** The longest of the domains above this one that is in the map. */
function findAbove(below: ReadonlyMap<string, string>, domain: string): string | undefined {
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1)) {
    const found = below.get(domain.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}
