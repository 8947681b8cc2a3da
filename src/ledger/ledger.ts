// The ledger's contract: what was promised and what happened, as plain data behind asynchronous calls.
import type { Batch } from '../mail/batch.ts';
import type { Deferral, Delivery } from '../mail/delivery.ts';
import type { Fate, RetriableFate, Tally } from '../mail/outcome.ts';
import type { Cell, Recipient, RefusedRow } from '../mail/recipient.ts';
import type { TransactionTimes } from '../mail/transaction_times.ts';

/** A campaign as the ledger knows it. Instants are in ms since the epoch. */
export interface CampaignRecord {
  /** 1 to 2^20 − 1. */
  readonly id: number;
  readonly name: string;
  /** Digest of the campaign file and all that it names, to tell a changed one from the same. */
  readonly planDigest: string;
  readonly createdAt: number;
  /** `complete` once the whole list is stored; `open` again while what is new in a later list is taken in. */
  readonly intake: 'open' | 'complete';
  /** The list's columns, in the order of the recipients' cells; empty until intake has stored something. */
  readonly columns: readonly string[];
  /** The lists in the order in which they came: the first once it is complete, a later one from its beginning on. */
  readonly lists: readonly ListRecord[];
  /** How many batches intake has stored. */
  readonly batchesTaken: number;
  /** How many refused rows intake has stored. */
  readonly refusedTaken: number;
  /** Rows that intake has read from the lists; all of them once it is complete. A row of a later list that was known does not count. */
  readonly rows: number;
  /** How many rows have met each fate. */
  readonly tally: Tally;
  readonly finishedAt: number | undefined;
  /** Since when its rows count as gone, and only this record is left of it; undefined while it has them. */
  readonly compactedAt: number | undefined;
  /** The rules, as text, by which the list that is or was last taken in is cut into lanes; undefined: all of it is of one lane. */
  readonly laneRules: string | undefined;
  /** What was said about it while it ran (paused, cancelled, another rate), as text that the ledger does not read. */
  readonly steering: string | undefined;
}

/** One of the lists of a campaign. */
export interface ListRecord {
  readonly digest: string;
  /** Its rows, whatever became of them. */
  readonly rows: number;
  /** Of them, those that the campaign had from earlier lists; they are not stored again. */
  readonly known: number;
  /** Rows, batches and refused rows of the campaign before it: its own are numbered from there on. */
  readonly rowsBefore: number;
  readonly batchesBefore: number;
  readonly refusedBefore: number;
}

/** What is known of a later list before any of it is stored. */
export type NewList = Pick<ListRecord, 'digest' | 'rows' | 'known'>;

/** A campaign to be created. */
export type NewCampaign = Pick<CampaignRecord, 'name' | 'planDigest' | 'createdAt'>;

/** What is known of a list once it is read to its end; `rows` are the campaign's. */
export type CompletedIntake = Pick<CampaignRecord, 'rows' | 'columns'> & { readonly listDigest: string };

/** A batch to be stored. Rows are the list's; several batches may interleave between their first and last rows. */
export interface NewBatch {
  readonly recipientCount: number;
  readonly firstRow: number;
  readonly lastRow: number;
  /** The recipients, as `packRecipients` makes them, in ascending order of rows. */
  readonly payload: Uint8Array;
  readonly lane: string;
  /** The timezone that its recipients are in, where each has one of its own; empty for the campaign's. */
  readonly zone: string;
}

/** What all recipients of a batch have in common. */
export type CutKey = Pick<NewBatch, 'lane' | 'zone'>;

/** What is left of a batch when it is settled, to be tried later. */
export interface Successor extends NewBatch {
  readonly attempt: number;
  readonly bornAt: number;
  readonly dueAt: number;
  /** The relay that its last attempt went by; empty where there was none. */
  readonly relay: string;
}

/** A pending batch. Its payload has a buffer of its own, so it may be transferred to a thread. */
export interface StoredBatch extends Batch {
  readonly dueAt: number;
  readonly lane: string;
  /** The relay that the attempt before went by; empty where there was none. */
  readonly relay: string;
  /** As in `NewBatch`. */
  readonly zone: string;
  readonly firstRow: number;
  readonly lastRow: number;
}

/** What a claim in one lane came to. */
export interface LaneClaim {
  /** Undefined where none is due. */
  readonly batch: StoredBatch | undefined;
  /** When the lane's next batch becomes due that is not claimed, or became so; undefined where there is none. */
  readonly nextDueAt: number | undefined;
}

/** A batch that may not go before a time. */
export interface PutOff {
  readonly batchId: number;
  readonly untilAt: number;
}

/** A quota that survives the process: what was granted of it, as text that the ledger does not read. */
export interface QuotaRecord {
  readonly name: string;
  readonly state: string;
}

/** A stretch of a list. Its refused rows come in ascending order, over all parts of a campaign. */
export interface IntakePart {
  readonly batches: readonly NewBatch[];
  readonly refused: readonly RefusedRow[];
  /** Rows read from the list so far, in total; never smaller than a row of this part. */
  readonly rows: number;
  readonly columns: readonly string[];
}

/** What one batch came to. Deliveries and the successors' recipients together are the batch's recipients. */
export interface Settlement {
  readonly campaignId: number;
  readonly batchId: number;
  readonly deliveries: readonly Delivery[];
  /** The 4yz replies that were not the end, at most one per recipient; those rows are in a successor. */
  readonly deferrals: readonly Deferral[];
  readonly successors: readonly Successor[];
}

/** What is still to be done for a campaign. */
export interface PendingSummary {
  readonly batches: number;
  readonly recipients: number;
  /** Of all pending batches. */
  readonly oldestDueAt: number | undefined;
  /** Of those that this process has not claimed. */
  readonly nextDueAt: number | undefined;
}

/** A row of the list with what happened to it. */
export interface ResultRow {
  readonly row: number;
  readonly line: number;
  readonly cells: readonly Cell[];
  /** Undefined for rows that intake refused. */
  readonly address: string | undefined;
  /** Undefined while the row is pending. */
  readonly delivery: Delivery | undefined;
  readonly deferralCount: number;
  readonly lastDeferral: Deferral | undefined;
}

/** A row as a list had it. */
export type ListRow = Pick<ResultRow, 'row' | 'line' | 'cells' | 'address'>;
/** Which finished rows are to be tried again. */
export interface RetryChoice {
  readonly fates: ReadonlySet<RetriableFate>;
  /** Categories of `mail/verdict.ts`; all where it is absent. */
  readonly categories?: ReadonlySet<string> | undefined;
}

/** How many rows of a campaign ended alike. */
export interface EndCount {
  readonly fate: Fate;
  readonly classification: string;
  readonly rows: number;
}

/** The size of the ledger on disk. */
export interface LedgerSpace {
  readonly fileBytes: number;
  /** Of these: free for what comes next. */
  readonly freeBytes: number;
  /** False for files from before format 2: their free pages are used again, but stay. */
  readonly canShrink: boolean;
}

/** A number that is not what it must be; `subject` names it for people. */
export interface AuditDifference {
  readonly subject: string;
  readonly expected: number;
  readonly found: number;
}

/** A recount of a campaign from its rows. It adds up when `differences` is empty. */
export interface CampaignAudit {
  readonly rows: number;
  readonly tally: Tally;
  readonly pendingRecipients: number;
  /** Its rows are gone since then: the sums are all that could be checked. */
  readonly compactedAt: number | undefined;
  readonly differences: readonly AuditDifference[];
}

/**
 * The durable truth. Every call is one transaction: it happens wholly or, when it throws, not at all, and the ledger stays
 * usable. Trouble with the disk is a PosthasteError with exit code 74 (`ERR_STATE_FULL`, `ERR_STATE_IO`, …); a broken promise of
 * the caller is a plain Error that begins with "bug:".
 */
export interface Ledger {
  findCampaign(name: string): Promise<CampaignRecord | undefined>;
  /** The name must be new. Throws ERR_STATE_CAMPAIGNS_EXHAUSTED after 2^20 − 1 campaigns. */
  createCampaign(fresh: NewCampaign): Promise<CampaignRecord>;
  /** Gives a campaign of which nothing is stored yet another plan. Returns its record as it is then. */
  replanCampaign(campaignId: number, planDigest: string): Promise<CampaignRecord>;
  /** All campaigns, oldest first. */
  listCampaigns(): Promise<CampaignRecord[]>;

  /** Stores a part of the list: batches as pending, due now; refused rows with their deliveries. Throws ERR_LIST_TOO_LONG. */
  storeIntake(campaignId: number, part: IntakePart, now: number): Promise<void>;
  /** Says how the list that is taken in next is cut into lanes. Nothing of that list may be stored yet. */
  setLaneRules(campaignId: number, rules: string | undefined): Promise<void>;
  /** Remembers how a campaign is steered. Returns its record as it is then. */
  setSteering(campaignId: number, steering: string | undefined): Promise<CampaignRecord>;
  /** The payload of the n-th batch that intake stored (from 0), for a re-run of intake to compare with. */
  readIntakeBatch(campaignId: number, n: number): Promise<Uint8Array | undefined>;
  /** The row number of the n-th refused row that intake stored (from 0). */
  readRefusedRow(campaignId: number, n: number): Promise<number | undefined>;
  /** Every row of the list must be stored by now. */
  completeIntake(campaignId: number, done: CompletedIntake): Promise<void>;
  /**
   * Adds a later list to a campaign whose intake is complete. Where it has rows that are not known, intake is open again and the
   * campaign not finished. Returns its record as it is then.
   */
  addList(campaignId: number, list: NewList): Promise<CampaignRecord>;
  /** The rows 1 to `lastRow` that are stored, in row order and in pages, without what happened to them. */
  readRows(campaignId: number, lastRow: number): AsyncIterable<readonly ListRow[]>;

  /**
   * Up to `limit` due batches that are not claimed, oldest due first, then by id. They count as claimed until they are
   * settled or released. Claims live in memory: a restart claims again.
   */
  claimDue(campaignId: number, now: number, limit: number): Promise<StoredBatch[]>;
  /** The same for one batch of one lane. */
  claimOfLane(campaignId: number, lane: string, now: number): Promise<LaneClaim>;
  /** The lanes in which there are pending batches. */
  listLanes(campaignId: number): Promise<string[]>;
  release(batchIds: readonly number[]): Promise<void>;
  /** Releases batches and makes them due later, for no reason but the clock; when they were due is remembered. */
  putOff(putOffs: readonly PutOff[]): Promise<void>;
  /** What was put off is due when it was before: windows may have been changed. Nothing of the campaign is claimed. */
  undoPutOffs(campaignId: number): Promise<void>;
  /** A pending batch, whole; undefined where none has this id. */
  findBatch(batchId: number): Promise<StoredBatch | undefined>;
  /** When the next batch that is not claimed becomes due, or became so. */
  nextDueAt(campaignId: number): Promise<number | undefined>;
  pending(campaignId: number): Promise<PendingSummary>;
  /** The payload of a batch that is pending or came from intake. */
  readPayload(batchId: number): Promise<Uint8Array>;

  /** Records what batches came to, all in one transaction. */
  settle(settlements: readonly Settlement[]): Promise<void>;
  /** Every row must have its fate by now. The first time counts. */
  finishCampaign(campaignId: number, now: number): Promise<void>;

  /**
   * Makes finished rows pending again: their outcomes stay as deferrals, the campaign is finished no more. The list must be
   * complete and its rows there. Returns how many of each fate there were. Blocks for some ten seconds per million rows.
   */
  retryRows(
    campaignId: number,
    choice: RetryChoice,
    now: number,
    cutKeyOf: (recipient: Recipient) => CutKey,
  ): Promise<Tally>;
  /** The finished rows, counted by how they ended. */
  countEnds(campaignId: number): Promise<EndCount[]>;

  /** The rows of a finished campaign count as gone from now on; `removeRemnants` takes them away. */
  compactCampaign(campaignId: number, now: number): Promise<void>;
  /** Compacted campaigns of which rows are still there. */
  listRemnants(): Promise<number[]>;
  /** Removes some rows of a compacted campaign, in some milliseconds. Returns how many; 0 when none are left. */
  removeRemnants(campaignId: number): Promise<number>;
  readSpace(): Promise<LedgerSpace>;
  /** How long its transactions took since it was opened. */
  readonly commitTimes: TransactionTimes;
  /** One step of giving free space back to the file system, in some milliseconds. Returns whether there is more to give. */
  shrink(): Promise<boolean>;

  /**
   * Every stored row in row order, a page of rows at a time (a row at a time, waiting would cost more than reading), as
   * far as intake had come at the first step. A row's delivery is as of the moment when its page is read. Memory grows
   * with the batches that interleave at one row, not with the list.
   */
  readResults(campaignId: number): AsyncIterable<readonly ResultRow[]>;
  /** What was written of quotas since `writtenSince` (in ms since the epoch); older ones are forgotten. */
  readQuotas(writtenSince: number): Promise<QuotaRecord[]>;
  writeQuotas(quotas: readonly QuotaRecord[], now: number): Promise<void>;

  /** Recounts one consistent state. Blocks for about a second per ten million rows. */
  auditCampaign(campaignId: number): Promise<CampaignAudit>;
  /** Frees the state directory. Closing twice does nothing more. */
  close(): Promise<void>;
}
