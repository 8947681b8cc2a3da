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
export function makeLaneOf({ groups, others }: LaneRules): (domain: string) => string {
  const find = makePatternFinder(groups.map(({ name, domains }) => [name, domains]));
  if (others === 'shared') return (domain) => find(domain) ?? sharedLane;
  return (domain) => find(domain) ?? domain;
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
