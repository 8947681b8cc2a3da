// A campaign at the dispatcher: whether it may send now, what it has come to, and how it ends.
import type { Outcome } from '../mail/outcome.ts';
import { CampaignGuard, type GuardPause, type GuardRules } from '../schedule/campaign_guard.ts';
import type { CampaignTime, SendTime } from '../schedule/campaign_time.ts';
import type { RelayShare } from '../schedule/relay_choice.ts';
import type { RetryPolicy } from '../schedule/retry.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { TaskFrame } from './hands.ts';
import { SendGate } from './send_gate.ts';
import { ZoneGates } from './zone_gates.ts';

/** A campaign to be sent. */
export interface DispatchCampaign {
  readonly id: number;
  readonly name: string;
  /** The rest of a task that is not the batch, for a lane and the number of a relay. */
  readonly frame: (lane: string, relay: number) => TaskFrame;
  readonly time: CampaignTime;
  readonly retry: RetryPolicy;
  readonly inDoubt: 'resend' | 'hold';
  readonly guard: GuardRules;
  /** Which relays it goes by. */
  readonly relays: readonly RelayShare[];
  /** Its share among campaigns: twice the weight is twice the share. */
  readonly weight: number;
  /** Called once, when it is known that this run claims nothing more of it. */
  readonly ended: () => void;
}

/** Why nothing more is to be claimed. */
export type DispatchEnd =
  | { readonly kind: 'finished' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'relayFailed'; readonly failure: HandshakeFailure }
  | { readonly kind: 'paused'; readonly pause: GuardPause };

/** States: running → ended (nothing more is claimed, some may be in hand) → over (`resolve` was called). */
export class CampaignDesk {
  readonly campaign: DispatchCampaign;
  readonly over: Promise<DispatchEnd>;
  isListComplete = false;
  /** Whoever waits is cancelled, now and as the list brings them. */
  isCancelled = false;
  /** Some of it came back for what others of it met: until those are reported, nothing more goes out. */
  isSpared = false;
  /** When it was last said to wait until; so that it is said once. */
  saidWaitsUntil = 0;
  /** All that is left waits for its window until then; 0 where something does not. */
  idleUntil = 0;
  readonly #gate: SendGate;
  /** Undefined where all recipients are in the campaign's zone: then `#gate` has the windows. */
  readonly #zones: ZoneGates | undefined;
  readonly #guard: CampaignGuard;
  readonly #deaths = new Map<number, number>();
  readonly #resolve: (end: DispatchEnd) => void;
  readonly #reject: (error: unknown) => void;
  #end: DispatchEnd | undefined;

  constructor(campaign: DispatchCampaign) {
    this.campaign = campaign;
    const { time } = campaign;
    this.#zones = time.hasOwnZones === true ? new ZoneGates(time) : undefined;
    this.#gate = new SendGate(this.#zones === undefined ? time : { ...time, windows: [] });
    this.#guard = new CampaignGuard(campaign.guard);
    const { promise, resolve, reject } = Promise.withResolvers<DispatchEnd>();
    this.over = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get end(): DispatchEnd | undefined {
    return this.#end;
  }

  get deadlineAt(): number | undefined {
    return this.#gate.deadlineAt;
  }

  /** Whether anything of it may be sent, as far as that does not depend on its recipients. */
  sendTime(now: number): SendTime {
    return this.#gate.at(now);
  }

  /** Whether recipients of a zone may be sent to; '' is the campaign's. */
  sendTimeIn(zone: string, now: number): SendTime {
    return this.#zones === undefined ? this.#gate.at(now) : this.#zones.at(zone, now);
  }

  /** Until when nothing of it may be sent; undefined where something may. */
  waitsUntil(now: number): number | undefined {
    const sendTime = this.sendTime(now);
    if (sendTime.kind === 'closed') return sendTime.opensAt;
    return this.idleUntil > now ? this.idleUntil : undefined;
  }

  /** Whether recipients wait for a window that opens just then. */
  opensAt(at: number, now: number): boolean {
    return this.#zones?.opensAt(at, now) === true;
  }

  /** There is something of it that may be due. Returns whether it may have to wait for a window of its own. */
  noteStored(): boolean {
    this.idleUntil = 0;
    return this.#zones !== undefined;
  }

  noteLaunched(zone: string): void {
    if (this.#zones === undefined) return;
    this.#zones.noteLaunched(zone);
    this.idleUntil = 0;
    this.saidWaitsUntil = 0;
  }

  /** As `noteStored`. */
  noteReturned(zone: string): boolean {
    this.#zones?.noteReturned(zone);
    return this.#zones !== undefined;
  }

  /** Whether something is in hand whose zone has closed; asked once, for who asks recalls it. */
  mustRecall(now: number): boolean {
    return this.#zones?.mustRecall(now) === true;
  }

  /** When something that is in hand may have to be recalled. */
  nextRecallAt(now: number): number {
    return this.#zones?.nextRecallAt(now) ?? Infinity;
  }

  /** What a batch came to; a pause where it went on too badly. */
  note(lane: string, outcomes: readonly Outcome[]): GuardPause | undefined {
    return this.#guard.note(lane, outcomes);
  }

  /** Somebody complained of a message of its; a pause where too many have. */
  noteComplaint(): GuardPause | undefined {
    return this.#guard.noteComplaint();
  }

  /** A thread died that had a batch which begins with this row. Returns how many there were. */
  noteDeath(firstRow: number): number {
    const deaths = (this.#deaths.get(firstRow) ?? 0) + 1;
    this.#deaths.set(firstRow, deaths);
    return deaths;
  }

  /** The first reason to end stands. Returns whether this was it. */
  decide(end: DispatchEnd): boolean {
    if (this.#end !== undefined) return false;
    this.#end = end;
    this.campaign.ended();
    return true;
  }

  /** Nothing of it is in hand any more. */
  close(): void {
    if (this.#end !== undefined) this.#resolve(this.#end);
  }

  /** The dispatcher cannot go on. */
  fail(error: unknown): void {
    this.decide({ kind: 'stopped' });
    this.#reject(error);
  }
}
