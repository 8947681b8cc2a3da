// A relay at the dispatcher: what the reports tell of it and its lanes, and what threads and limits are told of it.
import type { PosthasteEvent } from '../mail/event.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport } from '../worker/contract.ts';
import type { BatchRunner } from './hands.ts';
import { LaneHealth, type LaneAllowance } from './lane_health.ts';
import { RelayHealth } from './relay_health.ts';

/** A relay as the dispatcher knows it. */
export interface DispatchRelay {
  readonly name: string;
  /** Sessions that it may have where nothing is the matter. */
  readonly maxSessions: number;
}

/** What is to be slowed down: a relay, or a lane of all relays; leaves a share (at most 1) of the configured rate. */
export type SlowDown = (
  what: { readonly kind: 'relay' | 'lane'; readonly name: string },
  rateFactor: number,
) => void;

/** What a report has changed. Events are to be published once it is settled. */
export interface RelayNews {
  readonly events: readonly PosthasteEvent[];
  /** What the batch's lane may have from now on, where that is something else than before. */
  readonly allowance: LaneAllowance | undefined;
  /** Trying on is pointless, until somebody mends something. */
  readonly giveUp: HandshakeFailure | undefined;
}

export class RelayDesk {
  readonly #relay: DispatchRelay;
  readonly #number: number;
  readonly #runner: BatchRunner;
  readonly #slowDown: SlowDown;
  readonly #health: RelayHealth;
  readonly #lanes: LaneHealth;
  #sessions: number;
  #rateFactor = 1;
  #isHeld = false;
  #givenUp: HandshakeFailure | undefined;

  /** `number` is the relay's in tasks. */
  constructor(relay: DispatchRelay, number: number, runner: BatchRunner, slowDown: SlowDown) {
    this.#relay = relay;
    this.#number = number;
    this.#runner = runner;
    this.#slowDown = slowDown;
    this.#health = new RelayHealth(relay.maxSessions);
    this.#lanes = new LaneHealth(runner.perLane);
    this.#sessions = relay.maxSessions;
  }

  get name(): string {
    return this.#relay.name;
  }

  /** Nothing is to be given to it before; in ms since the epoch. */
  get blockedUntil(): number {
    return this.#isHeld ? Infinity : this.#health.blockedUntil;
  }

  /** Somebody said that nothing goes by it for now. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Why it was given up; undefined for one that is used. */
  get givenUp(): HandshakeFailure | undefined {
    return this.#givenUp;
  }

  get rateFactor(): number {
    return this.#rateFactor;
  }

  /** Sessions that it may have now, over all threads. */
  get sessionsAllowed(): number {
    return this.#health.sessions;
  }

  /** When a batch of a lane may go by it. */
  blockedUntilFor(lane: string): number {
    return Math.max(this.blockedUntil, this.laneBlockedUntil(lane));
  }

  /** Until when the provider behind a lane wants nothing of what comes by this relay. */
  laneBlockedUntil(lane: string): number {
    return this.#lanes.blockedUntil(lane);
  }

  /** Whether nobody has met it yet, so that others wait for the first session. */
  get isUnmet(): boolean {
    return this.#health.isUnmet;
  }

  /** Whether what goes by it now is to tell whether it is well again. */
  isProbed(now: number): boolean {
    return this.#health.isProbed(now);
  }

  /** How many batches may be in hand for it now. */
  mostInHand(now: number): number {
    if (this.#isHeld || this.#givenUp !== undefined) return 0;
    if (this.#health.isUnmet && this.#runner.sessionsOpen(this.#number) > 0) this.#health.noteOpened(now);
    return this.#health.mostInHand(now, this.#runner.threads);
  }

  /** Holds it, or lets it go on: then it is tried even where it was given up. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (isHeld) this.#runner.recall(this.#number);
    else this.#givenUp = undefined;
  }

  /** Somebody may have mended what it was given up for. */
  tryAgain(): void {
    this.#givenUp = undefined;
  }

  /** Notes what a batch that went by it came to. */
  note(report: BatchReport, lane: string, now: number): RelayNews {
    const { relays: outcomes, allowance } = this.#lanes.note(lane, report.outcomes, now);
    if (allowance !== undefined) this.#slowDown({ kind: 'lane', name: lane }, allowance.rateFactor);
    const wasBlocked = this.#health.blockedUntil > now;
    const change = this.#health.note({ outcomes, relayFailure: report.relayFailure }, now);
    if (!wasBlocked && this.#health.blockedUntil > now) this.#runner.recall(this.#number);
    this.#tellThreads();
    return { events: this.#eventsOf(change), allowance, giveUp: change.giveUp };
  }

  /** Nothing goes by it any more; what threads have and nobody has taken comes back. */
  giveUp(failure: HandshakeFailure): void {
    this.#givenUp = failure;
    this.#runner.recall(this.#number);
  }

  #tellThreads(): void {
    const { sessions, rateFactor } = this.#health;
    if (sessions !== this.#sessions) this.#runner.allowSessions(this.#number, sessions);
    this.#sessions = sessions;
    if (rateFactor !== this.#rateFactor) this.#slowDown({ kind: 'relay', name: this.name }, rateFactor);
    this.#rateFactor = rateFactor;
  }

  #eventsOf({ recovered, failed }: ReturnType<RelayHealth['note']>): PosthasteEvent[] {
    const events: PosthasteEvent[] = [];
    if (recovered !== undefined)
      events.push({ kind: 'relayRecovered', relay: this.name, verdict: recovered });
    if (failed !== undefined) events.push({ kind: 'relayFailed', relay: this.name, verdict: failed });
    return events;
  }
}
