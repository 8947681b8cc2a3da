// The dispatcher: gives a campaign's due batches to the threads and settles what comes back, until nothing is left.
import type { Clock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import type { CampaignTime } from '../schedule/campaign_time.ts';
import type { BatchReport } from '../worker/contract.ts';
import { AlarmClock } from './alarm_clock.ts';
import { Hands, type BatchRunner, type TaskFrame } from './hands.ts';
import { LaneClaims, type ClaimedBatch, type LaneLedger } from './lane_claims.ts';
import { Pacing, type PacingEnd, type PacingOptions } from './pacing.ts';
import { endOf, outcomesAfterDeadline, SendGate } from './send_gate.ts';
import {
  countFates,
  Settling,
  type DispatchJournals,
  type RulesNow,
  type SettleLedger,
  type SettlingOptions,
} from './settling.ts';

/** What the dispatcher needs of the ledger. */
export interface DispatchLedger extends LaneLedger, SettleLedger {
  claimDue(campaignId: number, now: number, limit: number): Promise<ClaimedBatch[]>;
  nextDueAt(campaignId: number): Promise<number | undefined>;
}

export interface DispatchOptions extends SettlingOptions, PacingOptions {
  readonly campaignId: number;
  /** The rest of a task that is not the batch. */
  readonly frame: (lane: string) => TaskFrame;
  readonly time: CampaignTime;
  readonly clock: Clock;
  /** Called once, when it is known that this run claims nothing more. */
  readonly ended: () => void;
}

export type DispatchEnd = { readonly kind: 'finished' } | { readonly kind: 'stopped' } | PacingEnd;

/** About 5,000 recipients in one transaction. */
const batchesExpiredAtOnce = 20;

/** Threads that die one after the other, with nothing settled in between, are a bug and not an accident. */
const maxCrashes = 3;

const longestSleepMs = 60_000;

/**
 * One loop, one actor: reports are collected by callbacks, everything else happens in `run`, so nothing interleaves
 * with a settlement. A batch is: pending (ledger) → in hand (a thread has it) → reported → settled (ledger).
 */
export class Dispatcher {
  readonly #options: DispatchOptions;
  readonly #ledger: DispatchLedger;
  readonly #alarm = new AlarmClock();
  readonly #hands: Hands;
  readonly #claims: LaneClaims;
  readonly #settling: Settling;
  readonly #pacing: Pacing;
  readonly #gate: SendGate;
  #crashes = 0;
  /** When the campaign was last said to wait until; so that it is said once. */
  #saidWaitsUntil = 0;
  #end: DispatchEnd | undefined;
  #listComplete = false;

  constructor(
    options: DispatchOptions,
    ledger: DispatchLedger,
    runner: BatchRunner,
    journals: DispatchJournals,
  ) {
    this.#options = options;
    this.#gate = new SendGate(options.time);
    this.#ledger = ledger;
    this.#hands = new Hands(runner, () => this.#alarm.rouse());
    this.#claims = new LaneClaims(ledger, options.campaignId, runner.perLane);
    this.#pacing = new Pacing(options, runner, this.#claims);
    this.#settling = new Settling(options, this.#hands, ledger, journals);
  }

  /** Batches that threads have at the moment. */
  get inHand(): number {
    return this.#hands.count;
  }

  /** Tells the dispatcher that there are new batches in the ledger, and of which lanes. */
  notifyStored(lanes: Iterable<string>): void {
    for (const lane of lanes) this.#claims.note(lane, 0);
    this.#alarm.rouse();
  }

  /** Tells the dispatcher that the list is stored to its end: when nothing is pending any more, it is finished. */
  notifyListComplete(): void {
    this.#listComplete = true;
    this.#alarm.rouse();
  }

  /** Claims nothing more; `run` returns when what is in hand has come back. The threads are told by the caller. */
  stop(): void {
    this.#decide({ kind: 'stopped' });
    this.#alarm.rouse();
  }

  /** Runs to the end. Throws when the ledger cannot be written, or on a bug; nothing is lost then either. */
  async run(): Promise<DispatchEnd> {
    await this.#claims.open();
    for (;;) {
      await this.#settleReports();
      await this.#settleCrashed();
      if (this.#end === undefined) await this.#claim();
      if (this.#end !== undefined && this.#hands.count === 0) return this.#end;
      if (!this.#hands.hasReports) await this.#alarm.sleep(() => this.#delayMs());
    }
  }

  async #claim(): Promise<void> {
    const { campaignId, clock } = this.#options;
    const complete = this.#listComplete;
    const now = clock.now();
    const sendTime = this.#gate.at(now);
    if (sendTime.kind === 'open') await this.#launchDue(now);
    else if (sendTime.kind === 'over') await this.#expireWaiting(now);
    // A batch whose lane has to wait would send for as long as that takes.
    if (sendTime.kind !== 'open' && this.#hands.count > 0) this.#pacing.recall();
    const isAllSettled = complete && this.#hands.count === 0;
    if (isAllSettled && (await this.#ledger.nextDueAt(campaignId)) === undefined)
      this.#decide({ kind: 'finished' });
    else if (sendTime.kind === 'closed') this.#sayThatItWaits(sendTime.opensAt);
  }

  async #launchDue(now: number): Promise<void> {
    while (this.#hands.room > 0 && this.#hands.count < this.#pacing.mostInHand(now)) {
      const batch = await this.#claims.claim(now);
      if (batch === undefined) return;
      this.#hands.launch(batch, this.#options.frame(batch.lane));
    }
  }

  #sayThatItWaits(untilAt: number): void {
    if (this.#saidWaitsUntil === untilAt) return;
    this.#saidWaitsUntil = untilAt;
    this.#options.publish({ kind: 'campaignWaits', campaign: this.#options.campaignName, untilAt });
  }

  /** The deadline is over: whoever waits expires, due or not. What threads have comes back with its own outcomes. */
  async #expireWaiting(now: number): Promise<void> {
    const { campaignId, campaignName: campaign, publish } = this.#options;
    const forEver = Number.MAX_SAFE_INTEGER;
    while (this.#end === undefined) {
      const batches = await this.#ledger.claimDue(campaignId, forEver, batchesExpiredAtOnce);
      if (batches.length === 0) return;
      for (const batch of batches) this.#hands.hold(batch);
      const rules = this.#rulesNow();
      const settlements = batches.map((batch) =>
        this.#settling.plan(batch.id, outcomesAfterDeadline(batch, now), rules),
      );
      // Stored again and claimed again, they would go round for ever.
      const isLast = settlements.every(({ successors }) => successors.length === 0);
      invariant(isLast, 'a batch outlived the deadline');
      await this.#ledger.settle(settlements);
      for (const { id } of batches) this.#hands.letGo(id);
      for (const settlement of settlements)
        publish({ kind: 'rowsEnded', campaign, fates: countFates(settlement) });
    }
  }

  async #settleReports(): Promise<void> {
    const reports = this.#hands.takeReports();
    if (reports.length === 0) return;
    await this.#settle(reports);
    this.#crashes = 0;
  }

  async #settle(reports: readonly BatchReport[]): Promise<void> {
    const lanes = reports.map(({ batchId }) => this.#hands.find(batchId)?.lane ?? '');
    const events = reports.flatMap((report, position) => this.#note(report, lanes[position] ?? ''));
    const settlements = await this.#settling.settle(reports, this.#rulesNow());
    for (const lane of lanes) this.#claims.noteReturned(lane);
    for (const { successors } of settlements)
      for (const { lane, dueAt } of successors) this.#claims.note(lane, dueAt);
    for (const event of events) this.#options.publish(event);
  }

  #rulesNow(): RulesNow {
    const now = this.#options.clock.now();
    // Where no window comes before the deadline, it is over already.
    const isOver = this.#gate.at(now).kind === 'over';
    return {
      now,
      unsentDueAt: (lane) => this.#pacing.unsentDueAt(lane, now),
      mayExpireUnsent: this.#end === undefined,
      deadlineAt: isOver ? now : this.#gate.deadlineAt,
    };
  }

  /** What a report tells of relay, lane and campaign; the events of it are for when it is settled. */
  #note(report: BatchReport, lane: string): readonly PosthasteEvent[] {
    const { events, end } = this.#pacing.note(report, lane, this.#options.clock.now());
    if (end !== undefined) {
      this.#decide(end);
      // A batch whose lane has to wait would hold up the end.
      this.#pacing.recall();
    }
    return events;
  }

  async #settleCrashed(): Promise<void> {
    const crashed = this.#hands.takeCrashed();
    if (crashed.length === 0) return;
    this.#crashes += 1;
    await this.#settle(this.#settling.reportCrashed(crashed, this.#options.clock.now()));
    if (this.#crashes < maxCrashes) return;
    const error = crashed[0]?.error;
    throw new PosthasteError({
      code: 'ERR_THREAD_CRASHED',
      message: `${maxCrashes} sending threads died one after the other: ${messageOf(error)}`,
      hint: 'this is a bug of Posthaste; nothing is lost, and the same command goes on',
      exitCode: ExitCode.software,
      cause: error,
    });
  }

  /** Until the next batch is due, or the relay may be tried again; a report that makes room rouses us. */
  async #delayMs(): Promise<number> {
    const { clock } = this.#options;
    const now = clock.now();
    const sendTime = this.#gate.at(now);
    if (this.#end !== undefined || sendTime.kind === 'over') return longestSleepMs;
    const { blockedUntil, lookAgainMs } = this.#pacing;
    const isFull = this.#hands.room <= 0 || this.#hands.count >= this.#pacing.mostInHand(now);
    const opensAt = sendTime.kind === 'closed' ? sendTime.opensAt : 0;
    const workAt = isFull && blockedUntil <= now ? now + lookAgainMs : this.#claims.nextAt;
    const nextAt = Math.min(Math.max(workAt, blockedUntil, opensAt), endOf(sendTime));
    return Math.min(Math.max(nextAt - now, 0), longestSleepMs);
  }

  /** The first reason to end stands. */
  #decide(end: DispatchEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#options.ended();
  }
}
