// An outcome: what one attempt at one recipient came to. A fate: what a row ended as.
import type { Verdict } from './verdict.ts';

/**
 * What one attempt came to.
 * - accepted: the relay took the message.
 * - rejected: 5yz, for good.
 * - deferred: 4yz; another attempt later.
 * - inDoubt: the end of data was sent and its reply never seen (RFC 1047).
 * - unsent: the relay failed, or we stopped, before this attempt could count; it is not charged.
 * - invalid: the message could not be made of this row.
 */
export type OutcomeKind = 'accepted' | 'rejected' | 'deferred' | 'inDoubt' | 'unsent' | 'invalid';

/** Plain data: it crosses threads. */
export interface Outcome {
  readonly row: number;
  readonly kind: OutcomeKind;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly verdict: Verdict;
}

/** The ends of a row. Every row of a list has exactly one when its campaign is finished. */
export const fates = [
  'accepted',
  'rejected',
  'expired',
  'suppressed',
  'invalid',
  'duplicate',
  'cancelled',
  'inDoubt',
] as const;

export type Fate = (typeof fates)[number];

/**
 * The ends that may be undone. Who accepted has the message, an invalid or duplicate row has nobody to send to, and who
 * is suppressed must not be mailed.
 */
export const retriableFates = ['rejected', 'expired', 'inDoubt', 'cancelled'] as const;

export type RetriableFate = (typeof retriableFates)[number];

/** How many rows met each fate. */
export type Tally = Record<Fate, number>;

export function emptyTally(): Tally {
  return {
    accepted: 0,
    rejected: 0,
    expired: 0,
    suppressed: 0,
    invalid: 0,
    duplicate: 0,
    cancelled: 0,
    inDoubt: 0,
  };
}

/** How many rows have a fate. */
export function sumTally(tally: Tally): number {
  return fates.reduce((sum, fate) => sum + tally[fate], 0);
}
