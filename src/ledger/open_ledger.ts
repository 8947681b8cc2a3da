// Opens the ledger: the file, its tables, and the contract in front of them.
import { invariant } from '../base/invariant.ts';
import { sumTally, type Tally } from '../mail/outcome.ts';
import type { Recipient } from '../mail/recipient.ts';
import type { TransactionTimes } from '../mail/transaction_times.ts';
import { auditLedger } from './audit.ts';
import { BatchTable } from './batches.ts';
import { CampaignTable } from './campaigns.ts';
import { DeliveryTable } from './deliveries.ts';
import { checkLedgerExists, LedgerFile } from './file.ts';
import { IntakeStore } from './intake_store.ts';
import { Remnants } from './remnants.ts';
import type {
  CampaignAudit,
  CampaignRecord,
  CompletedIntake,
  CutKey,
  EndCount,
  IntakePart,
  LaneClaim,
  Ledger,
  LedgerSpace,
  ListRow,
  NewCampaign,
  NewList,
  PendingSummary,
  PutOff,
  QuotaRecord,
  ResultRow,
  RetryChoice,
  Settlement,
  StoredBatch,
} from './ledger.ts';
import { QuotaTable } from './quotas.ts';
import { readResultPages, readRowPages } from './results.ts';
import { retryRows } from './retry.ts';
import { settleBatch } from './settle.ts';

export interface LedgerOptions {
  readonly directory: string;
  /** process: commits survive the process. power: and a power cut, at the price of a sync each. */
  readonly durability?: 'process' | 'power' | undefined;
  /** Whoever only looks makes nothing: ERR_STATE_MISSING (66) where there is no ledger. */
  readonly mustExist?: boolean | undefined;
}

/**
 * Opens the ledger of a state directory, which is created where it is missing, and locks it for this process until `close`.
 * Throws PosthasteErrors ERR_STATE_IN_USE (75), ERR_STATE_NEWER, ERR_STATE_UNKNOWN_FILE (78) and those of the disk (74).
 * A file of an older format is brought to today's first.
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { directory, durability = 'process', mustExist = false } = options;
  if (mustExist) checkLedgerExists(directory);
  const file = new LedgerFile(directory, durability);
  try {
    return file.read(() => new SqliteLedger(file));
  } catch (error) {
    file.close();
    throw error;
  }
}

interface LedgerTables {
  readonly campaigns: CampaignTable;
  readonly batches: BatchTable;
  readonly deliveries: DeliveryTable;
  readonly intake: IntakeStore;
}

/** Each method is one read or one transaction on the calling thread; asynchronous, so that another store can take its place. */
class SqliteLedger implements Ledger {
  readonly #file: LedgerFile;
  readonly #tables: LedgerTables;
  readonly #remnants: Remnants;
  readonly #quotas: QuotaTable;

  constructor(file: LedgerFile) {
    this.#file = file;
    const campaigns = new CampaignTable(file);
    const batches = new BatchTable(file);
    const deliveries = new DeliveryTable(file);
    const intake = new IntakeStore(file, { campaigns, batches, deliveries });
    this.#tables = { campaigns, batches, deliveries, intake };
    this.#remnants = new Remnants(file);
    this.#quotas = new QuotaTable(file);
  }

  get commitTimes(): TransactionTimes {
    return this.#file.commitTimes;
  }

  async findCampaign(name: string): Promise<CampaignRecord | undefined> {
    return this.#file.read(() => this.#tables.campaigns.find(name));
  }

  async createCampaign(fresh: NewCampaign): Promise<CampaignRecord> {
    return this.#file.write(() => this.#tables.campaigns.create(fresh));
  }

  async replanCampaign(campaignId: number, planDigest: string): Promise<CampaignRecord> {
    return this.#file.write(() => this.#tables.campaigns.replan(campaignId, planDigest));
  }

  async listCampaigns(): Promise<CampaignRecord[]> {
    return this.#file.read(() => this.#tables.campaigns.list());
  }

  async storeIntake(campaignId: number, part: IntakePart, now: number): Promise<void> {
    this.#file.write(() => this.#tables.intake.store(campaignId, part, now));
  }

  async setLaneRules(campaignId: number, rules: string | undefined): Promise<void> {
    this.#file.write(() => this.#tables.campaigns.setLaneRules(campaignId, rules));
  }

  async setSteering(campaignId: number, steering: string | undefined): Promise<CampaignRecord> {
    return this.#file.write(() => this.#tables.campaigns.setSteering(campaignId, steering));
  }

  async readIntakeBatch(campaignId: number, n: number): Promise<Uint8Array | undefined> {
    return this.#file.read(() => {
      const batchId = this.#tables.intake.findBatchId(campaignId, n);
      return batchId === undefined ? undefined : this.#tables.batches.payload(batchId);
    });
  }

  async readRefusedRow(campaignId: number, n: number): Promise<number | undefined> {
    return this.#file.read(() => this.#tables.intake.findRefusedRow(campaignId, n));
  }

  async completeIntake(campaignId: number, done: CompletedIntake): Promise<void> {
    this.#file.write(() => this.#tables.intake.complete(campaignId, done));
  }

  async addList(campaignId: number, list: NewList): Promise<CampaignRecord> {
    return this.#file.write(() => this.#tables.campaigns.addList(campaignId, list));
  }

  readRows(campaignId: number, lastRow: number): AsyncIterable<readonly ListRow[]> {
    return readRowPages(this.#file, this.#tables, campaignId, lastRow);
  }

  async claimDue(campaignId: number, now: number, limit: number): Promise<StoredBatch[]> {
    return this.#file.read(() => this.#tables.batches.claimDue(campaignId, now, limit));
  }

  async claimOfLane(campaignId: number, lane: string, now: number): Promise<LaneClaim> {
    return this.#file.read(() => this.#tables.batches.claimOfLane(campaignId, lane, now));
  }

  async listLanes(campaignId: number): Promise<string[]> {
    return this.#file.read(() => this.#tables.batches.lanes(campaignId));
  }

  async findBatch(batchId: number): Promise<StoredBatch | undefined> {
    const { batches } = this.#tables;
    return this.#file.read(() => (batches.find(batchId) === undefined ? undefined : batches.get(batchId)));
  }

  async release(batchIds: readonly number[]): Promise<void> {
    this.#tables.batches.release(batchIds);
  }

  async putOff(putOffs: readonly PutOff[]): Promise<void> {
    this.#file.write(() => {
      for (const { batchId, untilAt } of putOffs) this.#tables.batches.putOff(batchId, untilAt);
    });
    // Only now: had the transaction failed, they would still be claimed.
    this.#tables.batches.release(putOffs.map(({ batchId }) => batchId));
  }

  async undoPutOffs(campaignId: number): Promise<void> {
    this.#file.write(() => this.#tables.batches.undoPutOffs(campaignId));
  }

  async nextDueAt(campaignId: number): Promise<number | undefined> {
    return this.#file.read(() => this.#tables.batches.nextDueAt(campaignId));
  }

  async pending(campaignId: number): Promise<PendingSummary> {
    return this.#file.read(() => this.#tables.batches.pending(campaignId));
  }

  async readPayload(batchId: number): Promise<Uint8Array> {
    return this.#file.read(() => this.#tables.batches.payload(batchId));
  }

  async settle(settlements: readonly Settlement[]): Promise<void> {
    this.#file.write(() => {
      for (const one of settlements) settleBatch(this.#tables, one);
    });
    // Only now: had the transaction failed, the batches would still be ours to settle.
    this.#tables.batches.release(settlements.map((one) => one.batchId));
  }

  async finishCampaign(campaignId: number, now: number): Promise<void> {
    this.#file.write(() => {
      const { intake, rows, tally } = this.#tables.campaigns.get(campaignId);
      const finished = intake === 'complete' && sumTally(tally) === rows;
      invariant(
        finished,
        `campaign ${campaignId} was to be finished with ${sumTally(tally)} of ${rows} fates`,
      );
      this.#tables.campaigns.finish(campaignId, now);
    });
  }

  async retryRows(
    campaignId: number,
    choice: RetryChoice,
    now: number,
    cutKeyOf: (recipient: Recipient) => CutKey,
  ): Promise<Tally> {
    return this.#file.write(() => retryRows(this.#tables, { campaignId, choice, now, cutKeyOf }));
  }

  async countEnds(campaignId: number): Promise<EndCount[]> {
    return this.#file.read(() => this.#tables.deliveries.countEnds(campaignId));
  }

  async compactCampaign(campaignId: number, now: number): Promise<void> {
    this.#file.write(() => this.#tables.campaigns.compact(campaignId, now));
  }

  async listRemnants(): Promise<number[]> {
    return this.#file.read(() => this.#remnants.list());
  }

  async removeRemnants(campaignId: number): Promise<number> {
    return this.#file.write(() => {
      const { compactedAt } = this.#tables.campaigns.get(campaignId);
      invariant(
        compactedAt !== undefined,
        `rows of campaign ${campaignId}, which is not compacted, were to go`,
      );
      return this.#remnants.remove(campaignId);
    });
  }

  async readSpace(): Promise<LedgerSpace> {
    return this.#file.read(() => this.#file.readSpace());
  }

  async shrink(): Promise<boolean> {
    const before = await this.readSpace();
    if (!before.canShrink || before.freeBytes === 0) return false;
    this.#file.shrink();
    const { freeBytes } = await this.readSpace();
    return freeBytes > 0 && freeBytes < before.freeBytes;
  }

  async *readResults(campaignId: number): AsyncGenerator<readonly ResultRow[], void, undefined> {
    const { rows } = this.#file.read(() => this.#tables.campaigns.get(campaignId));
    yield* readResultPages(this.#file, this.#tables, campaignId, rows);
  }

  async readQuotas(writtenSince: number): Promise<QuotaRecord[]> {
    return this.#file.write(() => this.#quotas.read(writtenSince));
  }

  async writeQuotas(quotas: readonly QuotaRecord[], now: number): Promise<void> {
    this.#file.write(() => this.#quotas.write(quotas, now));
  }

  async auditCampaign(campaignId: number): Promise<CampaignAudit> {
    return this.#file.read(() => auditLedger(this.#tables, campaignId));
  }

  async close(): Promise<void> {
    this.#file.read(() => this.#file.close());
  }
}
