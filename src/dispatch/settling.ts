// Settling reports: many batches in one transaction, doubts named before it, events and journals after it.
import { messageOf } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { Random } from '../base/random.ts';
import { makeJournalError } from '../journal/fault.ts';
import type { JournalledBatch } from '../journal/reader.ts';
import { unpackRecipients } from '../mail/batch.ts';
import { countOutcomes, type PosthasteEvent, type SettledRecipient } from '../mail/event.ts';
import type { Fate, Outcome } from '../mail/outcome.ts';
import { emptyTransactionTimes } from '../mail/transaction_times.ts';
import type { BatchReport } from '../worker/contract.ts';
import { nameRecipient, outcomesAfterLoss, recipientsInDoubt } from './after_loss.ts';
import type { Crash, Hands, HeldBatch } from './hands.ts';
import { doubtActionIn, planSettlement, type SettleRules, type Settlement } from './settle.ts';

/** What settling needs of the ledger. */
export interface SettleLedger {
  settle(settlements: readonly Settlement[]): Promise<void>;
}

/** What settling needs of the threads' journals. */
export interface DispatchJournals {
  /** What the journals of this run say of batches, by batch id. */
  read(): ReadonlyMap<number, JournalledBatch>;
  /** Everything of this writer below is settled. */
  trim(writer: number, oldestNeeded: number): void;
}

/** By what a batch is settled, and how its campaign is called. */
export type BatchRules = SettleRules & { readonly campaignName: string };

export interface SettlingOptions {
  readonly random: Random;
  readonly publish: (event: PosthasteEvent) => void;
  /** Whether what became of each recipient is published, too. */
  readonly tellsRecipients: boolean;
}

/** A report with its batch and what it comes to. */
interface Plan {
  readonly report: BatchReport;
  readonly held: HeldBatch;
  readonly rules: BatchRules;
  readonly settlement: Settlement;
}

export class Settling {
  readonly #options: SettlingOptions;
  readonly #hands: Hands;
  readonly #ledger: SettleLedger;
  readonly #journals: DispatchJournals;

  constructor(options: SettlingOptions, hands: Hands, ledger: SettleLedger, journals: DispatchJournals) {
    this.#options = options;
    this.#hands = hands;
    this.#ledger = ledger;
    this.#journals = journals;
  }

  /**
   * Settles reports in one transaction. Returns what became of each. Throws where the ledger cannot be written: then nothing
   * was settled. Where a thread's journal could not be written, that is thrown after what it did is settled.
   */
  async settle(
    reports: readonly BatchReport[],
    rulesOf: (held: HeldBatch) => BatchRules,
    now: number,
  ): Promise<Settlement[]> {
    const plans = reports.map((report) => this.#plan(report, rulesOf, now));
    for (const plan of plans) this.#nameDoubts(plan);
    await this.#ledger.settle(plans.map(({ settlement }) => settlement));
    // Durable before visible: events only now.
    for (const plan of plans) this.#hands.letGo(plan.report.batchId);
    for (const plan of plans) this.#publishSettled(plan, now);
    if (this.#options.tellsRecipients) for (const plan of plans) this.#publishRecipients(plan);
    for (const { journal } of reports) this.#journals.trim(journal.writer, journal.oldestNeeded);
    const failure = reports.find((report) => report.journalFailure !== undefined)?.journalFailure;
    if (failure !== undefined) throw makeJournalError(failure);
    return plans.map(({ settlement }) => settlement);
  }

  /** The reports of threads that died: what they had sent, their journals know; the rest comes back unsent. */
  reportCrashed(crashed: readonly Crash[], now: number): BatchReport[] {
    const journalled = this.#journals.read();
    return crashed.flatMap(({ batchId }) => {
      const held = this.#hands.find(batchId);
      return held === undefined ? [] : [reportOf(held, journalled.get(batchId), now)];
    });
  }

  #plan(report: BatchReport, rulesOf: (held: HeldBatch) => BatchRules, now: number): Plan {
    const held = this.#hands.find(report.batchId);
    invariant(held !== undefined, `a report for batch ${report.batchId}, which is not in hand`);
    const rules = rulesOf(held);
    const settlement = planSettlement(held.batch, report.outcomes, rules, now, this.#options.random);
    return { report, held, rules, settlement };
  }

  /** Before they are settled: the journal has them, and whom nobody names now nobody might ever name. */
  #nameDoubts({ report, held, rules, settlement }: Plan): void {
    const inDoubt = recipientsInDoubt(held.batch, report.outcomes).map(nameRecipient);
    if (inDoubt.length === 0) return;
    const action = doubtActionIn(settlement);
    this.#options.publish({ kind: 'doubtFound', campaign: rules.campaignName, action, inDoubt });
  }

  #publishRecipients({ report, held, rules }: Plan): void {
    this.#options.publish({
      kind: 'recipientsSettled',
      campaign: rules.campaignName,
      relay: rules.relay,
      attempt: held.batch.attempt,
      recipients: describeRecipients(held, report.outcomes),
    });
  }

  #publishSettled({ report, held, rules, settlement }: Plan, now: number): void {
    this.#options.publish({
      kind: 'batchSettled',
      campaign: rules.campaignName,
      relay: rules.relay,
      outcomes: countOutcomes(report.outcomes),
      fates: countFates(settlement),
      transactionTimes: report.transactionTimes,
      composeTimes: report.composeTimes,
      permitWaits: report.permitWaits,
      lane: held.batch.lane,
      ageSeconds: Math.max(0, now - held.batch.bornAt) / 1000,
    });
  }
}

/** Their addresses are in the batch, what they met is in the report. */
function describeRecipients({ batch }: HeldBatch, outcomes: readonly Outcome[]): SettledRecipient[] {
  const addresses = new Map(unpackRecipients(batch.payload).map(({ row, address }) => [row, address]));
  return outcomes.map(({ row, kind: outcome, at, verdict }) => ({
    row,
    address: addresses.get(row) ?? '',
    outcome,
    at,
    replyCode: verdict.replyCode,
    enhancedStatus: verdict.enhancedStatus,
    reply: verdict.text,
    category: verdict.category,
  }));
}

/** What a thread's death is told as. */
export function describeCrash(crashed: readonly Crash[]): string {
  return messageOf(crashed[0]?.error);
}

export function countFates(settlement: Settlement): Partial<Record<Fate, number>> {
  const fates: Partial<Record<Fate, number>> = {};
  for (const { fate } of settlement.deliveries) fates[fate] = (fates[fate] ?? 0) + 1;
  return fates;
}

/** A report that no thread has made, for its thread died. Its journal is trimmed by whoever recovers next. */
function reportOf({ batch }: HeldBatch, journalled: JournalledBatch | undefined, now: number): BatchReport {
  return {
    batchId: batch.id,
    outcomes: outcomesAfterLoss(batch, journalled, now),
    transactionTimes: {},
    composeTimes: emptyTransactionTimes(),
    permitWaits: emptyTransactionTimes(),
    heldMs: undefined,
    relayFailure: undefined,
    journal: { writer: 0, oldestNeeded: 0 },
    journalFailure: undefined,
  };
}
