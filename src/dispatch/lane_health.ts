// The health of lanes: a provider that throttles stops its own lane, and no other.
import type { Outcome } from '../mail/outcome.ts';
import { sharedLane } from '../mail/batch.ts';
import { Governor } from '../schedule/governor.ts';
import { isOfLane, signalOf } from '../schedule/governor_signal.ts';

/** What a lane may have now. */
export interface LaneAllowance {
  /** Nothing goes before; in ms since the epoch. */
  readonly blockedUntil: number;
  /** Batches that may be in hand. */
  readonly mostInHand: number;
  /** Of its configured rate, at most 1. */
  readonly rateFactor: number;
}

/** Pure: time is an argument, in ms since the epoch. */
export class LaneHealth {
  readonly #mostInHand: number;
  /** Of lanes that were throttled in this run. */
  readonly #governors = new Map<string, Governor>();

  /** `mostInHand`: of one lane, where nothing is the matter. */
  constructor(mostInHand: number) {
    this.#mostInHand = mostInHand;
  }

  /**
   * Notes what a batch came to. Returns the outcomes that are the relay's affair, and what the lane may have from now on
   * where that is something else than before.
   */
  note(
    lane: string,
    outcomes: readonly Outcome[],
    now: number,
  ): { readonly relays: readonly Outcome[]; readonly allowance: LaneAllowance | undefined } {
    if (!isNamed(lane)) return { relays: outcomes, allowance: undefined };
    const throttles = outcomes.filter(({ verdict }) => isOfLane(verdict));
    if (throttles.length === 0 && !this.#governors.has(lane))
      return { relays: outcomes, allowance: undefined };
    const governor = this.#governorOf(lane, now);
    for (const { verdict } of outcomes) {
      const signal = signalOf(verdict);
      if (signal !== undefined && (signal.kind === 'taken' || isOfLane(verdict))) governor.note(signal, now);
    }
    const relays = throttles.length === 0 ? outcomes : outcomes.filter(({ verdict }) => !isOfLane(verdict));
    return { relays, allowance: this.#allowanceOf(governor, now) };
  }

  /** When what the lane's trouble sent back may go; 0 for now. */
  blockedUntil(lane: string): number {
    return this.#governors.get(lane)?.allow(0).blockedUntil ?? 0;
  }

  #governorOf(lane: string, now: number): Governor {
    const known = this.#governors.get(lane);
    if (known !== undefined) return known;
    const governor = new Governor(this.#mostInHand);
    governor.note({ kind: 'opened' }, now);
    this.#governors.set(lane, governor);
    return governor;
  }

  #allowanceOf(governor: Governor, now: number): LaneAllowance {
    const { sessions, blockedUntil, rateFactor } = governor.allow(now);
    return { blockedUntil, rateFactor, mostInHand: Math.min(sessions, this.#mostInHand) };
  }
}

/** Domains of no lane of their own have nothing in common that could be throttled. */
function isNamed(lane: string): boolean {
  return lane !== '' && lane !== sharedLane;
}
