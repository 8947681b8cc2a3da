// Pacing: what reports tell of the relay, its lanes and the campaign, and what claims, threads and limits are told of it.
import type { PosthasteEvent } from '../mail/event.ts';
import { CampaignGuard, type GuardPause, type GuardRules } from '../schedule/campaign_guard.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport } from '../worker/contract.ts';
import type { BatchRunner } from './hands.ts';
import type { LaneClaims } from './lane_claims.ts';
import { LaneHealth } from './lane_health.ts';
import { RelayHealth } from './relay_health.ts';

/** What is to be slowed down; the lane is undefined for the relay as a whole. */
export type SlowDown = (lane: string | undefined, rateFactor: number) => void;

export interface PacingOptions {
  readonly relayName: string;
  /** Sessions that the relay may have where nothing is the matter. */
  readonly maxSessions: number;
  readonly guard: GuardRules;
  /** Leaves a share (at most 1) of the configured rate. */
  readonly slowDown: SlowDown;
}

/** Why nothing more is to be claimed. */
export type PacingEnd =
  | { readonly kind: 'relayFailed'; readonly failure: HandshakeFailure }
  | { readonly kind: 'paused'; readonly pause: GuardPause };

/** The number of the relay in tasks; there is one. */
const relay = 0;
/** How soon it is seen that the first session is open, while other threads wait for it. */
const meetEveryMs = 20;

export class Pacing {
  readonly #options: PacingOptions;
  readonly #runner: BatchRunner;
  readonly #claims: LaneClaims;
  readonly #relay: RelayHealth;
  readonly #lanes: LaneHealth;
  readonly #guard: CampaignGuard;
  #sessions: number;
  #rateFactor = 1;

  constructor(options: PacingOptions, runner: BatchRunner, claims: LaneClaims) {
    this.#options = options;
    this.#runner = runner;
    this.#claims = claims;
    this.#relay = new RelayHealth(options.maxSessions);
    this.#lanes = new LaneHealth(runner.perLane);
    this.#guard = new CampaignGuard(options.guard);
    this.#sessions = options.maxSessions;
  }

  /** Nothing is to be given to the relay before; in ms since the epoch. */
  get blockedUntil(): number {
    return this.#relay.blockedUntil;
  }

  /** When what trouble sent back is due again. */
  unsentDueAt(lane: string, now: number): number {
    return Math.max(now, this.#relay.blockedUntil, this.#lanes.blockedUntil(lane));
  }

  /** How many batches may be in hand now. */
  mostInHand(now: number): number {
    if (this.#relay.isUnmet && this.#runner.sessionsOpen(relay) > 0) this.#relay.noteOpened(now);
    return this.#relay.mostInHand(now, this.#runner.threads);
  }

  /** How soon to look again whether a thread has met the relay, for which others wait. */
  get lookAgainMs(): number {
    return this.#relay.isUnmet && this.#runner.threads > 1 ? meetEveryMs : Infinity;
  }

  /** Notes a report. Events are to be published once it is settled. */
  note(
    report: BatchReport,
    lane: string,
    now: number,
  ): { readonly events: readonly PosthasteEvent[]; readonly end: PacingEnd | undefined } {
    const pause = this.#guard.note(lane, report.outcomes);
    const { relays: outcomes, allowance } = this.#lanes.note(lane, report.outcomes, now);
    if (allowance !== undefined) {
      this.#claims.limit(lane, allowance);
      this.#options.slowDown(lane, allowance.rateFactor);
    }
    const wasBlocked = this.#relay.blockedUntil > now;
    const change = this.#relay.note({ outcomes, relayFailure: report.relayFailure }, now);
    if (!wasBlocked && this.#relay.blockedUntil > now) this.#runner.recall(relay);
    this.#tellThreads();
    const end: PacingEnd | undefined =
      change.giveUp !== undefined
        ? { kind: 'relayFailed', failure: change.giveUp }
        : pause === undefined
          ? undefined
          : { kind: 'paused', pause };
    return { events: eventsOf(this.#options.relayName, change), end };
  }

  /** What threads have and nobody has taken comes back. */
  recall(): void {
    this.#runner.recall(relay);
  }

  #tellThreads(): void {
    const { sessions, rateFactor } = this.#relay;
    if (sessions !== this.#sessions) this.#runner.allowSessions(relay, sessions);
    this.#sessions = sessions;
    if (rateFactor !== this.#rateFactor) this.#options.slowDown(undefined, rateFactor);
    this.#rateFactor = rateFactor;
  }
}

function eventsOf(name: string, { recovered, failed }: ReturnType<RelayHealth['note']>): PosthasteEvent[] {
  const events: PosthasteEvent[] = [];
  if (recovered !== undefined) events.push({ kind: 'relayRecovered', relay: name, verdict: recovered });
  if (failed !== undefined) events.push({ kind: 'relayFailed', relay: name, verdict: failed });
  return events;
}
