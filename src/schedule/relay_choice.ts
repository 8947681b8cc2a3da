// The choice of a relay: which of a campaign's relays a batch goes to, by lane, weight, health and what it had before.

/** A relay of a campaign. */
export interface RelayShare {
  readonly name: string;
  /** Its share among those of the same rank; 0 is for failover only. */
  readonly weight: number;
  /** Lower ranks first; a higher one only while none of the lower ones can be used. */
  readonly rank: number;
  /** The lanes that it is for; absent: all. */
  readonly lanes?: readonly string[] | undefined;
}

/** A relay that a batch may go by, as it is now. */
export interface RelayCandidate extends RelayShare {
  /** In ms since the epoch: when it may be used again; not later than now where it may be used. */
  readonly blockedUntil: number;
  /** Given up in this run. */
  readonly isDead: boolean;
}

/** What of a batch the choice is a function of. */
export interface ChoosingBatch {
  readonly campaignId: number;
  readonly lane: string;
  readonly firstRow: number;
  /** Which relay the attempt before went by; a retry's first row is often another than the first attempt's. */
  readonly previousRelay?: string | undefined;
}

export type RelayChoice =
  | { readonly kind: 'relay'; readonly name: string }
  /** One will be free then, and waiting for it is better than any other. */
  | { readonly kind: 'wait'; readonly untilAt: number }
  /** None is for this lane, or all are dead. */
  | { readonly kind: 'none' };

/** How long a batch waits for a relay of the better rank, or for its own, before it moves on; in ms. */
export const patienceMs = 5000;

/**
 * Sticky: a retry goes by the relay that it had, which is the one that greylisting knows, even where that was the spare. A
 * first attempt is a function of the batch and not of chance, by rendezvous hashing over the relays' names: when one is
 * dead or blocked for long, its batches alone move on, in shares of the weights of the others, and no restart moves any.
 * Moving is a choice made before a transaction, so no attempt is charged.
 */
export function chooseRelay(
  relays: readonly RelayCandidate[],
  batch: ChoosingBatch,
  now: number,
): RelayChoice {
  const fit = relays.filter((relay) => !relay.isDead && isFor(relay, batch.lane));
  const previous = fit.filter(({ name }) => name === batch.previousRelay);
  const again = chooseSoon(previous, batch, now);
  if (again !== undefined) return again;
  const ranks = [...new Set(fit.map(({ rank }) => rank))].sort((a, b) => a - b);
  let untilAt = Infinity;
  for (const rank of ranks) {
    const peers = fit.filter((relay) => relay.rank === rank);
    const chosen = chooseSoon(peers, batch, now);
    if (chosen !== undefined) return chosen;
    untilAt = peers.reduce((least, { blockedUntil }) => Math.min(least, blockedUntil), untilAt);
  }
  return untilAt === Infinity ? { kind: 'none' } : { kind: 'wait', untilAt };
}

/** Among those that are free soon. */
function chooseSoon(
  relays: readonly RelayCandidate[],
  batch: ChoosingBatch,
  now: number,
): RelayChoice | undefined {
  const soon = relays.filter(({ blockedUntil }) => blockedUntil - now <= patienceMs);
  const chosen = chooseByWeight(soon, batch);
  if (chosen === undefined) return undefined;
  const { name, blockedUntil } = chosen;
  return blockedUntil <= now ? { kind: 'relay', name } : { kind: 'wait', untilAt: blockedUntil };
}

/** A relay with lanes of its own is for them only; lanes that have relays of their own may use the others, too. */
function isFor({ lanes }: RelayCandidate, lane: string): boolean {
  return lanes === undefined || lanes.includes(lane);
}

/**
 * Weighted rendezvous hashing (D. G. Thaler, C. V. Ravishankar 1998; weights by −weight / ln h): each relay has a score for the
 * batch, the best wins, and taking one away moves no batch of the others.
 */
function chooseByWeight(relays: readonly RelayCandidate[], batch: ChoosingBatch): RelayCandidate | undefined {
  const weighted = relays.filter(({ weight }) => weight > 0);
  const rivals = weighted.length > 0 ? weighted : relays;
  let best: RelayCandidate | undefined;
  let bestScore = -Infinity;
  for (const relay of rivals) {
    const score = -(relay.weight > 0 ? relay.weight : 1) / Math.log(hashOf(relay.name, batch));
    if (score > bestScore) [best, bestScore] = [relay, score];
  }
  return best;
}

/** In (0, 1): FNV-1a over the text, then the finish of MurmurHash3 (both public domain), for FNV alone mixes too little. */
function hashOf(name: string, { campaignId, firstRow }: ChoosingBatch): number {
  let hash = 0x811c9dc5;
  for (const char of `${name}\n${campaignId}\n${firstRow}`) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 4294967296;
}
