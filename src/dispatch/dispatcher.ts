// The dispatcher: gives a campaign's due batches to the threads and settles what comes back, until nothing is left.
import type { Clock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { JournalledBatch } from '../journal/reader.ts';
import type { Batch } from '../mail/batch.ts';
import { countOutcomes, type PosthasteEvent } from '../mail/event.ts';
import type { Fate } from '../mail/outcome.ts';
import { emptyTransactionTimes } from '../mail/transaction_times.ts';
import type { RetryPolicy } from '../schedule/retry.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport, BatchTask } from '../worker/contract.ts';
import { outcomesAfterLoss } from './after_loss.ts';
import { RelayHealth } from './relay_health.ts';
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
    const room = this.#runner.capacity - this.#inHand.size;
    if (room <= 0 || clock.now() < this.#health.blockedUntil) return;
    const complete = this.#listComplete;
    const batches = await this.#ledger.claimDue(campaignId, clock.now(), room);
    for (const batch of batches) this.#launch(batch);
    const nothingLeft =
      complete && this.#inHand.size === 0 && (await this.#ledger.nextDueAt(campaignId)) === undefined;
    if (nothingLeft) this.#decide({ kind: 'finished' });
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
    const settlements = reports.map((report) => this.#plan(report));
    await this.#ledger.settle(settlements);
    // Durable before visible: events only now.
    for (const [position, report] of reports.entries()) {
      this.#inHand.delete(report.batchId);
      this.#journals.trim(report.journal.writer, report.journal.oldestNeeded);
      this.#publishSettled(report, settlements[position]);
    }
    for (const event of events) this.#options.publish(event);
    const failure = reports.find((report) => report.journalFailure !== undefined)?.journalFailure;
    if (failure !== undefined) throw journalError(failure);
  }

  #plan(report: BatchReport): Settlement {
    const { clock, random, retry, inDoubt, relayName } = this.#options;
    const batch = this.#inHand.get(report.batchId);
    if (batch === undefined)
      throw new Error(`bug: a report for batch ${report.batchId}, which is not in hand`);
    const now = clock.now();
    return planSettlement(
      batch,
      report.outcomes,
      {
        retry,
        inDoubt,
        relay: relayName,
        unsentDueAt: Math.max(now, this.#health.blockedUntil),
        mayExpireUnsent: this.#end === undefined,
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
    const fates: Partial<Record<Fate, number>> = {};
    for (const { fate } of settlement?.deliveries ?? []) fates[fate] = (fates[fate] ?? 0) + 1;
    this.#options.publish({
      kind: 'batchSettled',
      campaign: this.#options.campaignName,
      relay: this.#options.relayName,
      outcomes: countOutcomes(report.outcomes),
      fates,
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
      return batch === undefined ? [] : [lossReport(batch, journalled.get(batchId), now)];
    });
    await this.#settle(reports);
    const error = crashed[0]?.error;
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
    return Math.min(Math.max(dueAt, this.#health.blockedUntil) - now, longestMs);
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

/** What the journal makes of a batch whose thread died. The thread's journal is trimmed by whoever recovers next. */
function lossReport(batch: ClaimedBatch, journalled: JournalledBatch | undefined, now: number): BatchReport {
  return {
    batchId: batch.id,
    outcomes: outcomesAfterLoss(batch, journalled, now),
    transactionTimes: emptyTransactionTimes(),
    relayFailure: undefined,
    journal: { writer: 0, oldestNeeded: 0 },
    journalFailure: undefined,
  };
}

function journalError({ code, text }: NonNullable<BatchReport['journalFailure']>): PosthasteError {
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return new PosthasteError({
    code: isFull ? 'ERR_STATE_FULL' : 'ERR_STATE_IO',
    message: `the journal in the state directory cannot be written: ${text}`,
    hint: isFull
      ? 'Free some space; the same command again goes on from where it stopped.'
      : "Check the disk and the kernel's log; the same command again goes on from the last good state.",
    exitCode: ExitCode.ioError,
  });
}
