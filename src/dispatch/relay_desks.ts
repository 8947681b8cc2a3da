// The relays at the dispatcher: which of them a batch goes by, and what its report tells of them.
import type { PosthasteEvent } from '../mail/event.ts';
import { chooseRelay, patienceMs, type RelayCandidate, type RelayShare } from '../schedule/relay_choice.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport } from '../worker/contract.ts';
import type { BatchRunner, HeldBatch } from './hands.ts';
import type { ClaimedBatch, LaneClaims } from './lane_claims.ts';
import { RelayDesk, type DispatchRelay, type SlowDown } from './relay_desk.ts';

/** Where a batch goes. */
export type Route =
  | { readonly kind: 'go'; readonly relay: number }
  | { readonly kind: 'wait'; readonly untilAt: number };

/** How soon it is seen that the first session is open, while other threads wait for it. */
const meetEveryMs = 20;
/** A relay that is held or given up may come back at any time, and somebody says so then. */
const lookAgainMs = 60_000;

export class RelayDesks {
  readonly #runner: BatchRunner;
  readonly #claims: LaneClaims;
  readonly #slowDown: SlowDown;
  readonly #desks: RelayDesk[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(relays: readonly DispatchRelay[], runner: BatchRunner, claims: LaneClaims, slowDown: SlowDown) {
    this.#runner = runner;
    this.#claims = claims;
    this.#slowDown = slowDown;
    for (const relay of relays) this.add(relay);
  }

  /** One more; its number is how many there were. */
  add(relay: DispatchRelay): void {
    const number = this.#desks.length;
    this.#numbers.set(relay.name, number);
    this.#desks.push(new RelayDesk(relay, number, this.#runner, this.#slowDown));
  }

  get count(): number {
    return this.#desks.length;
  }

  find(name: string): RelayDesk | undefined {
    const number = this.#numbers.get(name);
    return number === undefined ? undefined : this.#desks[number];
  }

  nameOf(number: number): string {
    return this.#at(number).name;
  }

  /** Whether any of these relays takes one more batch now. `inHand` counts those of a relay. */
  hasRoom(relays: readonly RelayShare[], inHand: (relay: number) => number, now: number): boolean {
    return relays.some(({ name }) => this.#hasRoom(this.#numberOf(name), inHand, now));
  }

  /** A word that differs from the one before where a relay has got room, or has none any more. */
  describeRoom(inHand: (relay: number) => number, now: number): string {
    return this.#desks.map((_, number) => (this.#hasRoom(number, inHand, now) ? '1' : '0')).join('');
  }

  /** The same for those that may be used at all. */
  describeUsable(now: number): string {
    return this.#desks.map((desk) => (desk.isUsable(now) ? '1' : '0')).join('');
  }

  /** The limits of a relay grant nothing until then: where a campaign has others, its batches go by those. */
  noteLimited(number: number, untilAt: number): void {
    this.#at(number).noteLimited(untilAt);
  }

  /** Limits have changed. */
  forgetLimits(): void {
    for (const desk of this.#desks) desk.noteLimited(0);
  }

  /** When a relay without room may have some, if nobody does anything; in ms since the epoch. */
  roomAt(inHand: (relay: number) => number, now: number): number {
    return this.#desks.reduce((soonest, desk, number) => {
      const { blockedUntil, isHeld, givenUp } = desk;
      if (isHeld || givenUp !== undefined || this.#hasRoom(number, inHand, now)) return soonest;
      if (blockedUntil > now) return Math.min(soonest, blockedUntil);
      return desk.isUnmet && this.#runner.threads > 1 ? Math.min(soonest, now + meetEveryMs) : soonest;
    }, Infinity);
  }

  /** Whether what goes by it now is to tell whether it is well again. */
  isProbed(number: number, now: number): boolean {
    return this.#at(number).isProbed(now);
  }

  /** Why none of these relays is to be tried any more; undefined while one is. */
  givenUp(relays: readonly RelayShare[]): HandshakeFailure | undefined {
    const failures = relays.map(({ name }) => this.find(name)?.givenUp);
    return failures.includes(undefined) ? undefined : failures.at(-1);
  }

  /** A relay without room now is passed over: its batches move on, for no attempt is charged by that. */
  choose(
    relays: readonly RelayShare[],
    batch: ClaimedBatch,
    inHand: (relay: number) => number,
    now: number,
  ): Route {
    const [only] = relays;
    if (only !== undefined && relays.length === 1)
      return this.#routeBy(this.#numberOf(only.name), batch.lane, now);
    const candidates = relays.map((share) => this.#candidate(share, batch.lane, inHand, now));
    const previousRelay = batch.relay === '' ? undefined : batch.relay;
    const choice = chooseRelay(candidates, { ...batch, previousRelay }, now);
    if (choice.kind === 'relay') return { kind: 'go', relay: this.#numberOf(choice.name) };
    return { kind: 'wait', untilAt: choice.kind === 'wait' ? choice.untilAt : now + lookAgainMs };
  }

  /** That there is room for it was seen before it was claimed; its lane may be free at another relay only. */
  #routeBy(relay: number, lane: string, now: number): Route {
    const untilAt = this.#at(relay).laneBlockedUntil(lane);
    return untilAt > now ? { kind: 'wait', untilAt } : { kind: 'go', relay };
  }

  /** When what trouble has sent back is due again. */
  unsentDueAt(relays: readonly RelayShare[], lane: string, now: number): number {
    const soonest = relays.reduce((least, { name }) => {
      const desk = this.find(name);
      const at = desk === undefined || desk.givenUp !== undefined ? Infinity : desk.blockedUntilFor(lane);
      return Math.min(least, at);
    }, Infinity);
    return Math.max(now, soonest === Infinity ? 0 : soonest);
  }

  /** Notes a report. Events are to be published once it is settled. */
  note(
    report: BatchReport,
    { batch, goesBy }: HeldBatch,
    now: number,
  ): { readonly events: readonly PosthasteEvent[]; readonly giveUp: HandshakeFailure | undefined } {
    const desk = this.#at(goesBy);
    const { events, allowance, giveUp } = desk.note(report, batch.lane, now);
    if (allowance !== undefined) {
      // A lane that one relay holds back goes by the others; whether a relay is held or has stopped is no affair of its lanes.
      const blockedUntil = Math.min(...this.#desks.map((one) => one.laneBlockedUntil(batch.lane)));
      this.#claims.limit(batch.lane, { blockedUntil, mostInHand: allowance.mostInHand });
    }
    return { events, giveUp };
  }

  /** Somebody may have mended what relays were given up for: with other credentials, or at the relay, and resumed a campaign. */
  tryAgain(names: Iterable<string>): void {
    for (const name of names) this.find(name)?.tryAgain();
  }

  giveUp(number: number, failure: HandshakeFailure): void {
    this.#at(number).giveUp(failure);
  }

  #candidate(
    share: RelayShare,
    lane: string,
    inHand: (relay: number) => number,
    now: number,
  ): RelayCandidate {
    const number = this.#numberOf(share.name);
    const desk = this.#at(number);
    const isFull = !this.#hasRoom(number, inHand, now);
    const blockedUntil = Math.max(desk.blockedUntilFor(lane), desk.limitedUntil);
    return {
      ...share,
      blockedUntil: isFull ? Math.max(blockedUntil, now + patienceMs + 1) : blockedUntil,
      isDead: desk.givenUp !== undefined || desk.isHeld,
    };
  }

  #hasRoom(number: number, inHand: (relay: number) => number, now: number): boolean {
    return inHand(number) < this.#at(number).mostInHand(now);
  }

  #numberOf(name: string): number {
    const number = this.#numbers.get(name);
    if (number === undefined) throw new Error(`bug: relay ${name} is unknown to the dispatcher`);
    return number;
  }

  #at(number: number): RelayDesk {
    const desk = this.#desks[number];
    if (desk === undefined) throw new Error(`bug: there is no relay number ${number}`);
    return desk;
  }
}
