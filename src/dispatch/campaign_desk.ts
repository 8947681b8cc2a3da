// A campaign at the dispatcher: whether it may send now, what it has come to, and how it ends.
import type { Outcome } from '../mail/outcome.ts';
import { CampaignGuard, type GuardPause, type GuardRules } from '../schedule/campaign_guard.ts';
import type { CampaignTime, SendTime } from '../schedule/campaign_time.ts';
import type { RelayShare } from '../schedule/relay_choice.ts';
import type { RetryPolicy } from '../schedule/retry.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { TaskFrame } from './hands.ts';
import { SendGate } from './send_gate.ts';

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
  /** When it was last said to wait until; so that it is said once. */
  saidWaitsUntil = 0;
  readonly #gate: SendGate;
  readonly #guard: CampaignGuard;
  readonly #deaths = new Map<number, number>();
  readonly #resolve: (end: DispatchEnd) => void;
  readonly #reject: (error: unknown) => void;
  #end: DispatchEnd | undefined;

  constructor(campaign: DispatchCampaign) {
    this.campaign = campaign;
    this.#gate = new SendGate(campaign.time);
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

  sendTime(now: number): SendTime {
    return this.#gate.at(now);
  }

  /** What a batch came to; a pause where it went on too badly. */
  note(lane: string, outcomes: readonly Outcome[]): GuardPause | undefined {
    return this.#guard.note(lane, outcomes);
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
