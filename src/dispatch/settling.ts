// Settling reports: from what threads bring back to the ledger, and only then to whoever listens.
import { messageOf } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { makeJournalError } from '../journal/fault.ts';
import type { JournalledBatch } from '../journal/reader.ts';
import { countOutcomes, type PosthasteEvent } from '../mail/event.ts';
import type { Fate, Outcome } from '../mail/outcome.ts';
import { emptyTransactionTimes } from '../mail/transaction_times.ts';
import type { RetryPolicy } from '../schedule/retry.ts';
import type { BatchReport } from '../worker/contract.ts';
import { nameRecipient, outcomesAfterLoss, recipientsInDoubt } from './after_loss.ts';
import type { Crash, Hands } from './hands.ts';
import type { ClaimedBatch } from './lane_claims.ts';
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

export interface SettlingOptions {
  readonly campaignName: string;
  readonly relayName: string;
  readonly retry: RetryPolicy;
  readonly inDoubt: 'resend' | 'hold';
  readonly random: Random;
  readonly publish: (event: PosthasteEvent) => void;
}

/** What of the rules depends on the moment. */
export type RulesNow = Pick<SettleRules, 'mayExpireUnsent' | 'deadlineAt'> & {
  readonly now: number;
  readonly unsentDueAt: (lane: string) => number;
};

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

  /** Settles reports in one transaction. Returns what became of each. Throws where the ledger or a journal cannot be written. */
  async settle(reports: readonly BatchReport[], rules: RulesNow): Promise<Settlement[]> {
    const settlements = reports.map(({ batchId, outcomes }) => this.plan(batchId, outcomes, rules));
    for (const [position, report] of reports.entries()) this.#nameDoubts(report, settlements[position]);
    await this.#ledger.settle(settlements);
    // Durable before visible: events only now.
    for (const [position, report] of reports.entries()) {
      this.#hands.letGo(report.batchId);
      this.#journals.trim(report.journal.writer, report.journal.oldestNeeded);
      this.#publishSettled(report, settlements[position]);
    }
    const failure = reports.find((report) => report.journalFailure !== undefined)?.journalFailure;
    if (failure !== undefined) throw makeJournalError(failure);
    return settlements;
  }

  /** The reports of threads that died: what they had sent, their journals know; the rest comes back unsent. */
  reportCrashed(crashed: readonly Crash[], now: number): BatchReport[] {
    const journalled = this.#journals.read();
    const reports = crashed.flatMap(({ batchId }) => {
      const batch = this.#hands.find(batchId);
      return batch === undefined
        ? []
        : [reportOf(batch, outcomesAfterLoss(batch, journalled.get(batchId), now))];
    });
    const { campaignName: campaign, publish } = this.#options;
    publish({ kind: 'threadDied', campaign, reason: messageOf(crashed[0]?.error) });
    return reports;
  }

  /** What a batch's outcomes mean for the ledger. */
  plan(batchId: number, outcomes: readonly Outcome[], { now, ...rules }: RulesNow): Settlement {
    const { retry, inDoubt, relayName: relay, random } = this.#options;
    const batch = this.#hands.find(batchId);
    if (batch === undefined) throw new Error(`bug: a report for batch ${batchId}, which is not in hand`);
    const unsentDueAt = rules.unsentDueAt(batch.lane);
    return planSettlement(batch, outcomes, { ...rules, unsentDueAt, retry, inDoubt, relay }, now, random);
  }

  /** Before they are settled: the journal has them, and whom nobody names now nobody might ever name. */
  #nameDoubts({ batchId, outcomes }: BatchReport, settlement: Settlement | undefined): void {
    const batch = this.#hands.find(batchId);
    const inDoubt = batch === undefined ? [] : recipientsInDoubt(batch, outcomes);
    if (inDoubt.length === 0) return;
    const { campaignName: campaign, publish } = this.#options;
    const action = doubtActionIn(settlement);
    publish({ kind: 'doubtFound', campaign, action, inDoubt: inDoubt.map(nameRecipient) });
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
}

export function countFates(settlement: Settlement | undefined): Partial<Record<Fate, number>> {
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
