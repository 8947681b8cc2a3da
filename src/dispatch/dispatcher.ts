// The dispatcher: gives a campaign's due batches to the threads and settles what comes back, until nothing is left.
import type { Clock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { Random } from '../base/random.ts';
import { makeJournalError } from '../journal/fault.ts';
import type { JournalledBatch } from '../journal/reader.ts';
import type { Batch } from '../mail/batch.ts';
import { countOutcomes, type PosthasteEvent } from '../mail/event.ts';
import type { Fate, Outcome } from '../mail/outcome.ts';
import { emptyTransactionTimes } from '../mail/transaction_times.ts';
import type { CampaignTime } from '../schedule/campaign_time.ts';
import type { RetryPolicy } from '../schedule/retry.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport, BatchTask } from '../worker/contract.ts';
import { nameRecipient, outcomesAfterLoss, recipientsInDoubt } from './after_loss.ts';
import { RelayHealth } from './relay_health.ts';
import { endOf, outcomesAfterDeadline, SendGate } from './send_gate.ts';
import { planSettlement, type Settlement } from './settle.ts';

/** A due batch, claimed by this run. */
export type ClaimedBatch = Batch & { readonly lane: string };

/** What the dispatcher needs of the ledger. */
export interface DispatchLedger {
  claimDue(campaignId: number, now: number, limit: number): Promise<ClaimedBatch[]>;
  release(batchIds: readonly number[]): Promise<void>;
  nextDueAt(campaignId: number): Promise<number | undefined>;
  settle(settlements: readonly Settlement[]): Promise<void>;
}

/** What the dispatcher needs of the threads. */
export interface BatchRunner {
  readonly capacity: number;
  run(task: BatchTask): Promise<BatchReport>;
}

/** What the dispatcher needs of the threads' journals. */
export interface DispatchJournals {
  /** What the journals of this run say of batches, by batch id. */
  read(): ReadonlyMap<number, JournalledBatch>;
  /** Everything of this writer below is settled. */
  trim(writer: number, oldestNeeded: number): void;
}

export interface DispatchOptions {
  readonly campaignId: number;
  readonly campaignName: string;
  readonly relayName: string;
  /** The rest of a task that is not the batch. */
  readonly task: () => Pick<BatchTask, 'relay' | 'limits' | 'planKey' | 'plan'>;
  readonly retry: RetryPolicy;
  readonly time: CampaignTime;
  readonly inDoubt: 'resend' | 'hold';
  readonly clock: Clock;
  readonly random: Random;
  readonly publish: (event: PosthasteEvent) => void;
  /** Called once, when it is known that this run claims nothing more. */
  readonly ended: () => void;
}

export type DispatchEnd =
  | { readonly kind: 'finished' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'relayFailed'; readonly failure: HandshakeFailure };

/** About 5,000 recipients in one transaction. */
const batchesExpiredAtOnce = 20;

/** Threads that die one after the other, with nothing settled in between, are a bug and not an accident. */
const maxCrashes = 3;

/**
 * One loop, one actor: reports are collected by callbacks, everything else happens in `run`, so nothing interleaves
 * with a settlement. A batch is: pending (ledger) → in hand (a thread has it) → reported → settled (ledger).
 */
export class Dispatcher {
  readonly #options: DispatchOptions;
  readonly #ledger: DispatchLedger;
  readonly #runner: BatchRunner;
  readonly #journals: DispatchJournals;
  readonly #inHand = new Map<number, ClaimedBatch>();
  #reports: BatchReport[] = [];
  #crashed: { batchId: number; error: unknown }[] = [];
  #crashes = 0;
  readonly #health = new RelayHealth();
  readonly #gate: SendGate;
  /** When the campaign was last said to wait until; so that it is said once. */
  #saidWaitsUntil = 0;
  #end: DispatchEnd | undefined;
  #listComplete = false;
  #wake: () => void = () => {};
  #woken = false;

  constructor(
    options: DispatchOptions,
    ledger: DispatchLedger,
    runner: BatchRunner,
    journals: DispatchJournals,
  ) {
    this.#options = options;
    this.#gate = new SendGate(options.time);
    this.#ledger = ledger;
    this.#runner = runner;
    this.#journals = journals;
  }

  /** Batches that threads have at the moment. */
  get inHand(): number {
    return this.#inHand.size;
  }

  /** Tells the dispatcher that there are new batches in the ledger. */
  notifyStored(): void {
    this.#rouse();
  }

  /** Tells the dispatcher that the list is stored to its end: when nothing is pending any more, it is finished. */
  notifyListComplete(): void {
    this.#listComplete = true;
    this.#rouse();
  }

  /** Claims nothing more; `run` returns when what is in hand has come back. The threads are told by the caller. */
  stop(): void {
    this.#decide({ kind: 'stopped' });
    this.#rouse();
  }

  /** Runs to the end. Throws when the ledger cannot be written, or on a bug; nothing is lost then either. */
  async run(): Promise<DispatchEnd> {
    for (;;) {
      await this.#settleReports();
      await this.#settleCrashed();
      if (this.#end === undefined) await this.#claim();
      if (this.#end !== undefined && this.#inHand.size === 0) return this.#end;
      if (this.#reports.length === 0) await this.#sleep();
    }
  }

  async #claim(): Promise<void> {
    const { campaignId, clock } = this.#options;
    const complete = this.#listComplete;
    const now = clock.now();
    const sendTime = this.#gate.at(now);
    if (sendTime.kind === 'open') await this.#launchDue(now);
    else if (sendTime.kind === 'over') await this.#expireWaiting(now);
    const isAllSettled = complete && this.#inHand.size === 0;
    if (isAllSettled && (await this.#ledger.nextDueAt(campaignId)) === undefined)
      this.#decide({ kind: 'finished' });
    else if (sendTime.kind === 'closed') this.#sayThatItWaits(sendTime.opensAt);
  }

  async #launchDue(now: number): Promise<void> {
    const room = this.#runner.capacity - this.#inHand.size;
    if (room <= 0 || now < this.#health.blockedUntil) return;
    for (const batch of await this.#ledger.claimDue(this.#options.campaignId, now, room)) this.#launch(batch);
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
      for (const batch of batches) this.#inHand.set(batch.id, batch);
      const settlements = batches.map((batch) => this.#plan(batch.id, outcomesAfterDeadline(batch, now)));
      // Stored again and claimed again, they would go round for ever.
      const isLast = settlements.every(({ successors }) => successors.length === 0);
      invariant(isLast, 'a batch outlived the deadline');
      await this.#ledger.settle(settlements);
      for (const { id } of batches) this.#inHand.delete(id);
      for (const settlement of settlements)
        publish({ kind: 'rowsEnded', campaign, fates: countFates(settlement) });
    }
  }

  #launch(batch: ClaimedBatch): void {
    this.#inHand.set(batch.id, batch);
    const { id: batchId, campaignId, attempt, payload } = batch;
    const task: BatchTask = { ...this.#options.task(), batchId, campaignId, attempt, payload };
    void this.#supervise(task);
  }

  /** Never rejects: what a thread brings back, or that it died, is noted for `run`. */
  async #supervise(task: BatchTask): Promise<void> {
    try {
      const report = await this.#runner.run(task);
      // Only now: `run` puts another array in its place while we wait.
      this.#reports.push(report);
    } catch (error) {
      this.#crashed.push({ batchId: task.batchId, error });
    }
    this.#rouse();
  }

  async #settleReports(): Promise<void> {
    const reports = this.#reports;
    if (reports.length === 0) return;
    this.#reports = [];
    await this.#settle(reports);
    this.#crashes = 0;
  }

  async #settle(reports: readonly BatchReport[]): Promise<void> {
    const events: PosthasteEvent[] = [];
    for (const report of reports) this.#noteHealth(report, events);
    const settlements = reports.map(({ batchId, outcomes }) => this.#plan(batchId, outcomes));
    for (const report of reports) this.#nameDoubts(report);
    await this.#ledger.settle(settlements);
    // Durable before visible: events only now.
    for (const [position, report] of reports.entries()) {
      this.#inHand.delete(report.batchId);
      this.#journals.trim(report.journal.writer, report.journal.oldestNeeded);
      this.#publishSettled(report, settlements[position]);
    }
    for (const event of events) this.#options.publish(event);
    const failure = reports.find((report) => report.journalFailure !== undefined)?.journalFailure;
    if (failure !== undefined) throw makeJournalError(failure);
  }

  /** Before they are settled: the journal has them, and whom nobody names now nobody might ever name. */
  #nameDoubts({ batchId, outcomes }: BatchReport): void {
    const batch = this.#inHand.get(batchId);
    const inDoubt = batch === undefined ? [] : recipientsInDoubt(batch, outcomes);
    if (inDoubt.length === 0) return;
    const { campaignName: campaign, inDoubt: action, publish } = this.#options;
    publish({ kind: 'doubtFound', campaign, action, inDoubt: inDoubt.map(nameRecipient) });
  }

  #plan(batchId: number, outcomes: readonly Outcome[]): Settlement {
    const { clock, random, retry, inDoubt, relayName } = this.#options;
    const batch = this.#inHand.get(batchId);
    if (batch === undefined) throw new Error(`bug: a report for batch ${batchId}, which is not in hand`);
    const now = clock.now();
    // Where no window comes before the deadline, it is over already.
    const isOver = this.#gate.at(now).kind === 'over';
    return planSettlement(
      batch,
      outcomes,
      {
        retry,
        inDoubt,
        relay: relayName,
        unsentDueAt: Math.max(now, this.#health.blockedUntil),
        mayExpireUnsent: this.#end === undefined,
        deadlineAt: isOver ? now : this.#gate.deadlineAt,
      },
      now,
      random,
    );
  }

  #noteHealth(report: BatchReport, events: PosthasteEvent[]): void {
    const relay = this.#options.relayName;
    const { recovered, failed, giveUp } = this.#health.note(report, this.#options.clock.now());
    if (recovered !== undefined) events.push({ kind: 'relayRecovered', relay, verdict: recovered });
    if (failed !== undefined) events.push({ kind: 'relayFailed', relay, verdict: failed });
    if (giveUp !== undefined) this.#decide({ kind: 'relayFailed', failure: giveUp });
  }

  #publishSettled(report: BatchReport, settlement: Settlement | undefined): void {
    this.#options.publish({
      kind: 'batchSettled',
      campaign: this.#options.campaignName,
      relay: this.#options.relayName,
      outcomes: countOutcomes(report.outcomes),
      fates: countFates(settlement),
      transactionCounts: report.transactionTimes.counts,
      transactionSumSeconds: report.transactionTimes.sumSeconds,
    });
  }

  /** A thread died with batches: what it had sent, its journal knows. The rest is pending again. */
  async #settleCrashed(): Promise<void> {
    const crashed = this.#crashed;
    if (crashed.length === 0) return;
    this.#crashed = [];
    this.#crashes += 1;
    const journalled = this.#journals.read();
    const now = this.#options.clock.now();
    const reports = crashed.flatMap(({ batchId }) => {
      const batch = this.#inHand.get(batchId);
      if (batch === undefined) return [];
      return [reportOf(batch, outcomesAfterLoss(batch, journalled.get(batchId), now))];
    });
    const error = crashed[0]?.error;
    this.#options.publish({
      kind: 'threadDied',
      campaign: this.#options.campaignName,
      reason: messageOf(error),
    });
    await this.#settle(reports);
    if (this.#crashes < maxCrashes) return;
    throw new PosthasteError({
      code: 'ERR_THREAD_CRASHED',
      message: `${maxCrashes} sending threads died one after the other: ${messageOf(error)}`,
      hint: 'this is a bug of Posthaste; nothing is lost, and the same command goes on',
      exitCode: ExitCode.software,
      cause: error,
    });
  }

  /** Until somebody rouses us, the next batch is due, or the relay may be tried again. */
  async #sleep(): Promise<void> {
    if (this.#woken) {
      this.#woken = false;
      return;
    }
    const delayMs = await this.#delayMs();
    // Between the look at the ledger and here only callbacks ran: they set #woken.
    if (this.#woken) {
      this.#woken = false;
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
    this.#woken = false;
  }

  async #delayMs(): Promise<number> {
    const { campaignId, clock } = this.#options;
    const longestMs = 60_000;
    if (this.#end !== undefined || this.#inHand.size >= this.#runner.capacity) return longestMs;
    const now = clock.now();
    const dueAt = (await this.#ledger.nextDueAt(campaignId)) ?? now + longestMs;
    const sendTime = this.#gate.at(now);
    const opensAt = sendTime.kind === 'closed' ? sendTime.opensAt : 0;
    const nextAt = Math.min(Math.max(dueAt, this.#health.blockedUntil, opensAt), endOf(sendTime));
    return Math.min(Math.max(nextAt - now, 0), longestMs);
  }

  /** The first reason to end stands. */
  #decide(end: DispatchEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#options.ended();
  }

  #rouse(): void {
    this.#woken = true;
    this.#wake();
  }
}

function countFates(settlement: Settlement | undefined): Partial<Record<Fate, number>> {
  const fates: Partial<Record<Fate, number>> = {};
  for (const { fate } of settlement?.deliveries ?? []) fates[fate] = (fates[fate] ?? 0) + 1;
  return fates;
}

/** A report that no thread has made, for its thread died. Its journal is trimmed by whoever recovers next. */
function reportOf(batch: ClaimedBatch, outcomes: readonly Outcome[]): BatchReport {
  return {
    batchId: batch.id,
    outcomes,
    transactionTimes: emptyTransactionTimes(),
    relayFailure: undefined,
    journal: { writer: 0, oldestNeeded: 0 },
    journalFailure: undefined,
  };
}
