// A batch run: one batch inside a thread, from its first recipient to the report.
import { invariant } from '../base/invariant.ts';
import { unpackRecipients } from '../mail/batch.ts';
import { addTransactionTime, emptyTransactionTimes, type StageTimes } from '../mail/transaction_times.ts';
import type { Outcome, OutcomeKind } from '../mail/outcome.ts';
import type { Recipient } from '../mail/recipient.ts';
import type { Stage, Verdict } from '../mail/verdict.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport, BatchTask, Hold } from './contract.ts';

/** Where a batch's outcomes are kept until they are settled. */
export interface OutcomeJournal {
  readonly writer: number;
  readonly oldestNeeded: number;
  noteOutcome(batch: BatchTask, outcome: Outcome): void;
  endBatch(batch: BatchTask): void;
}

/** A report without what is the thread's and not the batch's. */
type RunReport = Omit<BatchReport, 'permitWaits'>;

/**
 * Every recipient of the batch gets exactly one outcome; the report is given when all have one.
 * waiting (cursor has not reached it) → taken (outstanding) → settled (in outcomes).
 */
export class BatchRun {
  readonly task: BatchTask;
  readonly #recipients: readonly Recipient[];
  readonly #journal: OutcomeJournal;
  readonly #finish: (report: RunReport) => void;
  readonly #outcomes: Outcome[] = [];
  readonly #transactionTimes: StageTimes = {};
  readonly #composeTimes = emptyTransactionTimes();
  /** In a row, among those settled last. */
  senderRefusals = 0;
  #cursor = 0;
  /** By performance.now. */
  readonly begunAt = performance.now();
  #held: Hold | undefined;
  #isSpared = false;
  #relayFailure: HandshakeFailure | undefined;
  #journalFailure: BatchReport['journalFailure'];

  constructor(task: BatchTask, journal: OutcomeJournal, finish: (report: RunReport) => void) {
    this.task = task;
    this.#journal = journal;
    this.#recipients = unpackRecipients(task.payload);
    this.#finish = finish;
  }

  /** Recipients nobody has taken yet. */
  get waiting(): number {
    return this.#recipients.length - this.#cursor;
  }

  /** Who is taken next; undefined where nobody is left. */
  get next(): Recipient | undefined {
    return this.#recipients[this.#cursor];
  }

  /** Takes the next recipient. Only while `waiting` is above 0. */
  take(): Recipient {
    const recipient = this.#recipients[this.#cursor];
    invariant(recipient !== undefined, 'took a recipient from a batch that has none left');
    this.#cursor += 1;
    return recipient;
  }

  /** Records the outcome of a recipient that was taken. */
  settle(row: number, kind: OutcomeKind, verdict: Verdict): void {
    const outcome = { row, kind, at: Date.now(), verdict };
    this.#outcomes.push(outcome);
    this.#journal.noteOutcome(this.task, outcome);
    if (this.#outcomes.length < this.#recipients.length) return;
    this.#journal.endBatch(this.task);
    this.#finish(this.#report());
  }

  /** Counts how long it took to compose a message. */
  observeComposing(seconds: number): void {
    addTransactionTime(this.#composeTimes, seconds);
  }

  /** Counts how long one transaction took, until the reply of this stage. */
  observe(stage: Stage, seconds: number): void {
    addTransactionTime((this.#transactionTimes[stage] ??= emptyTransactionTimes()), seconds);
  }

  /** Gives up all recipients that nobody has taken: they come back unsent. */
  giveBack(verdict: Verdict, relayFailure: HandshakeFailure | undefined): void {
    this.#relayFailure ??= relayFailure;
    while (this.waiting > 0) this.settle(this.take().row, 'unsent', verdict);
  }

  /** To be called before what is left is given back: everybody of the campaign would meet the same. */
  noteSpared(): void {
    this.#isSpared = true;
  }

  /** To be called before what is left is given back: what it would wait for. */
  noteHold(held: Hold): void {
    this.#held = held;
  }

  /** To be called before what is left is given back: why nothing more can be sent. */
  noteJournalFailure(failure: BatchReport['journalFailure']): void {
    this.#journalFailure ??= failure;
  }

  #report(): RunReport {
    return {
      batchId: this.task.batchId,
      outcomes: this.#outcomes,
      transactionTimes: this.#transactionTimes,
      composeTimes: this.#composeTimes,
      held: this.#held,
      isSpared: this.#isSpared,
      relayFailure: this.#relayFailure,
      journal: { writer: this.#journal.writer, oldestNeeded: this.#journal.oldestNeeded },
      journalFailure: this.#journalFailure,
    };
  }
}
