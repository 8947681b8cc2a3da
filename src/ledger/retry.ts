// Retrying: finished rows become pending batches again, and what they ended as stays in their history.
import { invariant } from '../base/invariant.ts';
import { packRecipients, unpackRecipients } from '../mail/batch.ts';
import { emptyTally, retriableFates, sumTally, type Tally } from '../mail/outcome.ts';
import type { Recipient } from '../mail/recipient.ts';
import type { BatchTable } from './batches.ts';
import type { CampaignTable } from './campaigns.ts';
import type { DeliveryTable } from './deliveries.ts';
import type { IntakeStore } from './intake_store.ts';
import type { CutKey, EndCount, RetryChoice } from './ledger.ts';

export interface RetryTables {
  readonly campaigns: CampaignTable;
  readonly batches: BatchTable;
  readonly deliveries: DeliveryTable;
  readonly intake: IntakeStore;
}

export interface Retry {
  readonly campaignId: number;
  readonly choice: RetryChoice;
  /** In ms since the epoch. */
  readonly now: number;
  readonly cutKeyOf: (recipient: Recipient) => CutKey;
}

/** A batch is full with so many rows, or so many octets, whichever comes first: what a thread holds is bounded. */
const batchRows = 250;
const batchBytes = 1_048_576;
/** Intake batches are looked up by this many rows at a time. */
const windowRows = 10_000;

/** Makes the chosen rows pending again, inside a transaction. Returns how many of each fate there were. */
export function retryRows(tables: RetryTables, retry: Retry): Tally {
  const { campaignId, choice } = retry;
  const { intake, compactedAt, rows } = tables.campaigns.get(campaignId);
  invariant(
    intake === 'complete',
    `rows of campaign ${campaignId} were to be retried while its list is read`,
  );
  invariant(compactedAt === undefined, `rows of campaign ${campaignId} were to be retried after they went`);
  const tally = countChosen(tables.deliveries.countEnds(campaignId), choice);
  const total = sumTally(tally);
  if (total === 0) return tally;
  // Before the new batches: what is deferred later has a higher id, and counts as later.
  const deferralId = tables.batches.reserveId(campaignId);
  const batches = new NewBatches(tables, retry);
  for (const found of findChosen(tables, retry, rows, total)) batches.add(found);
  batches.flush();
  const moved = tables.deliveries.moveToDeferrals(campaignId, choice, deferralId);
  invariant(
    moved === total && batches.stored === total,
    `${total} rows were to be retried, ${moved} were moved and ${batches.stored} are pending`,
  );
  tables.campaigns.takeBack(campaignId, tally);
  return tally;
}

/** Whether a choice is about rows that ended so. */
export function isChosen({ fate, classification }: EndCount, { fates, categories }: RetryChoice): boolean {
  const retriable = retriableFates.find((one) => one === fate);
  return retriable !== undefined && fates.has(retriable) && categories?.has(classification) !== false;
}

function countChosen(ends: readonly EndCount[], choice: RetryChoice): Tally {
  const tally = emptyTally();
  for (const one of ends) if (isChosen(one, choice)) tally[one.fate] += one.rows;
  return tally;
}

/** A chosen recipient. */
interface Found {
  readonly recipient: Recipient;
  /** So far. */
  readonly attempts: number;
  /** The mean of its batch. */
  readonly bytes: number;
}

/** A batch that is being filled. */
interface OpenBatch {
  readonly attempt: number;
  readonly key: CutKey;
  readonly recipients: Recipient[];
  bytes: number;
}

/**
 * The chosen recipients, batch by batch of intake. Batches of different lanes interleave, so the
 * chosen rows are read ahead as far as the widest batch reaches; each waits for the one batch that it is in.
 */
function* findChosen(
  { batches, deliveries, intake }: RetryTables,
  { campaignId, choice }: Retry,
  rows: number,
  total: number,
): Generator<Found> {
  const waiting = new Map<number, number>();
  let readUpToRow = 0;
  let found = 0;
  for (let fromRow = 1; fromRow <= rows; fromRow += windowRows) {
    for (const id of intake.readBatchIds(campaignId, fromRow, fromRow + windowRows - 1)) {
      if (found === total) return;
      const payload = batches.payload(id);
      const recipients = unpackRecipients(payload);
      const bytes = payload.byteLength / recipients.length;
      const lastRow = recipients.at(-1)?.row ?? 0;
      if (lastRow > readUpToRow) {
        const chosen = deliveries.readChosenAttempts(campaignId, choice, readUpToRow + 1, lastRow);
        for (const [row, attempts] of chosen) waiting.set(row, attempts);
        readUpToRow = lastRow;
      }
      for (const recipient of recipients) {
        const attempts = waiting.get(recipient.row);
        if (attempts === undefined) continue;
        waiting.delete(recipient.row);
        found += 1;
        yield { recipient, attempts, bytes };
      }
    }
  }
}

/** Gathers recipients of one lane, one zone and one number of attempts to batches, in the order of rows. */
class NewBatches {
  readonly #tables: RetryTables;
  readonly #retry: Retry;
  readonly #open = new Map<string, OpenBatch>();
  /** Recipients in stored batches. */
  stored = 0;

  constructor(tables: RetryTables, retry: Retry) {
    this.#tables = tables;
    this.#retry = retry;
  }

  add({ recipient, attempts, bytes }: Found): void {
    const key = this.#retry.cutKeyOf(recipient);
    const name = `${attempts} ${key.zone} ${key.lane}`;
    const batch = this.#open.get(name) ?? { attempt: attempts + 1, key, recipients: [], bytes: 0 };
    batch.recipients.push(recipient);
    batch.bytes += bytes;
    this.#open.set(name, batch);
    if (batch.recipients.length < batchRows && batch.bytes < batchBytes) return;
    this.#store(batch);
    this.#open.delete(name);
  }

  flush(): void {
    for (const batch of this.#open.values()) this.#store(batch);
    this.#open.clear();
  }

  #store({ attempt, key, recipients }: OpenBatch): void {
    const { campaignId, now } = this.#retry;
    // Batches of intake interleave, and what was of two lanes may be of one by now.
    recipients.sort((a, b) => a.row - b.row);
    const successor = {
      ...key,
      attempt,
      bornAt: now,
      relay: '',
      dueAt: now,
      recipientCount: recipients.length,
      firstRow: recipients[0]?.row ?? 0,
      lastRow: recipients.at(-1)?.row ?? 0,
      payload: packRecipients(recipients),
    };
    this.#tables.batches.insert(campaignId, successor, false);
    this.stored += recipients.length;
  }
}
