// Finished rows and the deferrals before: written once, read in row order.
import type { StatementSync } from 'node:sqlite';
import { invariant } from '../base/invariant.ts';
import type { Deferral, Delivery } from '../mail/delivery.ts';
import { emptyTally, type Tally } from '../mail/outcome.ts';
import { isKeyTaken } from './fault.ts';
import type { LedgerFile } from './file.ts';
import { keyOf, maxRow, numberOfKey } from './key.ts';
import type { EndCount, RetryChoice } from './ledger.ts';
import { fateOf, integerOf, optionalIntegerOf, textOf, type SqlRow } from './reader.ts';

/**
 * Deliveries of one statement. A call into SQLite costs more than a row: ten rows a call took a third off the time of
 * single ones, and fifty took no more. A group is inserted wholly or not at all.
 */
const groupRows = 10;
const placesOfRow = '(?, ?, ?, ?, ?, ?, ?, ?, ?)';

/** The rows of a `RetryChoice`; JSON, because a prepared statement takes no lists. */
const chosen = `key BETWEEN ?1 AND ?2 AND fate IN (SELECT value FROM json_each(?3))
  AND (?4 IS NULL OR classification IN (SELECT value FROM json_each(?4)))`;

type Value = string | number;

/** How often a row was deferred, and the last time. */
export interface DeferralSummary {
  readonly count: number;
  readonly last: Deferral;
}

/** What is finished of a campaign, recounted. */
export interface DeliveryCount {
  readonly tally: Tally;
  /** The smallest and largest row with a delivery; undefined without any. */
  readonly firstRow: number | undefined;
  readonly lastRow: number | undefined;
}

/** The tables `delivery` and `deferral`. Both hold what happened and are never updated; a retry moves rows to the second. */
export class DeliveryTable {
  readonly #insert: StatementSync;
  readonly #insertGroup: StatementSync;
  readonly #insertDeferral: StatementSync;
  readonly #one: StatementSync;
  readonly #range: StatementSync;
  readonly #deferrals: StatementSync;
  readonly #fates: StatementSync;
  readonly #first: StatementSync;
  readonly #last: StatementSync;
  readonly #ends: StatementSync;
  readonly #chosenAttempts: StatementSync;
  readonly #keepChosen: StatementSync;
  readonly #removeChosen: StatementSync;

  constructor(file: LedgerFile) {
    this.#insert = file.prepare(`INSERT INTO delivery VALUES ${placesOfRow}`);
    const places = Array.from({ length: groupRows }, () => placesOfRow).join(', ');
    this.#insertGroup = file.prepare(`INSERT INTO delivery VALUES ${places}`);
    this.#insertDeferral = file.prepare('INSERT INTO deferral VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#one = file.prepare('SELECT 1 FROM delivery WHERE key = ?');
    this.#range = file.prepare('SELECT * FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key');
    // SQLite takes the other columns of a group from the row that has the max(): sqlite.org/lang_select.html#bareagg
    this.#deferrals = file.prepare(`
      SELECT *, count(*) AS deferral_count, max(batch_id) FROM deferral WHERE key BETWEEN ? AND ? GROUP BY key`);
    this.#fates = file.prepare(
      'SELECT fate, count(*) AS row_count FROM delivery WHERE key BETWEEN ? AND ? GROUP BY fate',
    );
    this.#first = file.prepare('SELECT min(key) AS key FROM delivery WHERE key BETWEEN ? AND ?');
    this.#last = file.prepare('SELECT max(key) AS key FROM delivery WHERE key BETWEEN ? AND ?');
    this.#ends = file.prepare(`
      SELECT fate, classification, count(*) AS row_count FROM delivery WHERE key BETWEEN ? AND ?
      GROUP BY fate, classification ORDER BY fate, classification`);
    this.#chosenAttempts = file.prepare(`SELECT key, attempts FROM delivery WHERE ${chosen} ORDER BY key`);
    this.#keepChosen = file.prepare(`
      INSERT INTO deferral SELECT key, ?5, attempts, finished_at, relay, reply_code, enhanced_status, reply, classification
      FROM delivery WHERE ${chosen}`);
    this.#removeChosen = file.prepare(`DELETE FROM delivery WHERE ${chosen}`);
  }

  /** Inside a transaction. Throws when a row is finished already. */
  insert(campaignId: number, deliveries: readonly Delivery[]): void {
    let at = 0;
    for (; at + groupRows <= deliveries.length; at += groupRows) {
      const group = deliveries.slice(at, at + groupRows);
      const values: Value[] = [];
      for (const one of group) pushValues(values, campaignId, one);
      try {
        this.#insertGroup.run(...values);
      } catch (error) {
        if (!isKeyTaken(error)) throw error;
        // SQLite has undone the whole group; one by one, the row at fault shows itself.
        this.#insertSingly(campaignId, group);
      }
    }
    this.#insertSingly(campaignId, deliveries.slice(at));
  }

  /** Inside a transaction. */
  insertDeferrals(campaignId: number, batchId: number, deferrals: readonly Deferral[]): void {
    for (const one of deferrals) {
      this.#insertDeferral.run(
        keyOf(campaignId, one.row),
        batchId,
        one.attempt,
        one.at,
        one.relay,
        one.replyCode,
        one.enhancedStatus,
        one.reply,
        one.classification,
      );
    }
  }

  has(campaignId: number, row: number): boolean {
    return this.#one.get(keyOf(campaignId, row)) !== undefined;
  }

  /** The deliveries of a range of rows, both ends included, by row. */
  readRange(campaignId: number, fromRow: number, toRow: number): Map<number, Delivery> {
    const rows = this.#range.all(keyOf(campaignId, fromRow), keyOf(campaignId, toRow));
    return new Map(rows.map((row) => [numberOfKey(integerOf(row, 'key')), readDelivery(row)]));
  }

  /** The deferrals of a range of rows, both ends included, by row. */
  readDeferrals(campaignId: number, fromRow: number, toRow: number): Map<number, DeferralSummary> {
    const rows = this.#deferrals.all(keyOf(campaignId, fromRow), keyOf(campaignId, toRow));
    return new Map(
      rows.map((row) => [
        numberOfKey(integerOf(row, 'key')),
        { count: integerOf(row, 'deferral_count'), last: readDeferral(row) },
      ]),
    );
  }

  /** Counts a campaign's deliveries one by one. Off the hot path. */
  count(campaignId: number, maxRow: number): DeliveryCount {
    const from = keyOf(campaignId, 0);
    const to = keyOf(campaignId, maxRow);
    const tally = emptyTally();
    for (const row of this.#fates.all(from, to)) tally[fateOf(row, 'fate')] = integerOf(row, 'row_count');
    return { tally, firstRow: rowIn(this.#first.get(from, to)), lastRow: rowIn(this.#last.get(from, to)) };
  }

  /** Counts a campaign's deliveries by how they ended. Off the hot path. */
  countEnds(campaignId: number): EndCount[] {
    return this.#ends.all(keyOf(campaignId, 0), keyOf(campaignId, maxRow)).map((row) => ({
      fate: fateOf(row, 'fate'),
      classification: textOf(row, 'classification'),
      rows: integerOf(row, 'row_count'),
    }));
  }

  /** The attempts of the chosen rows of a range, both ends included, by row. */
  readChosenAttempts(
    campaignId: number,
    choice: RetryChoice,
    fromRow: number,
    toRow: number,
  ): Map<number, number> {
    const rows = this.#chosenAttempts.all(...chosenValues(campaignId, choice, fromRow, toRow));
    return new Map(rows.map((row) => [numberOfKey(integerOf(row, 'key')), integerOf(row, 'attempts')]));
  }

  /** Moves the outcomes of all chosen rows to the deferrals, and returns how many. Inside a transaction. */
  moveToDeferrals(campaignId: number, choice: RetryChoice, batchId: number): number {
    const values = chosenValues(campaignId, choice, 0, maxRow);
    this.#keepChosen.run(...values, batchId);
    return Number(this.#removeChosen.run(...values).changes);
  }

  #insertSingly(campaignId: number, deliveries: readonly Delivery[]): void {
    for (const one of deliveries) {
      const values: Value[] = [];
      pushValues(values, campaignId, one);
      try {
        this.#insert.run(...values);
      } catch (error) {
        invariant(!isKeyTaken(error), `row ${one.row} of campaign ${campaignId} has a delivery already`);
        throw error;
      }
    }
  }
}

/** In the order of the places of `chosen`. */
function chosenValues(campaignId: number, choice: RetryChoice, fromRow: number, toRow: number) {
  const { fates, categories } = choice;
  return [
    keyOf(campaignId, fromRow),
    keyOf(campaignId, toRow),
    JSON.stringify([...fates]),
    categories === undefined ? null : JSON.stringify([...categories]),
  ] as const;
}

/** In the order of the columns of `delivery`. */
function pushValues(values: Value[], campaignId: number, one: Delivery): void {
  values.push(
    keyOf(campaignId, one.row),
    one.fate,
    one.finishedAt,
    one.attempts,
    one.relay,
    one.replyCode,
    one.enhancedStatus,
    one.reply,
    one.classification,
  );
}

function rowIn(row: SqlRow | undefined): number | undefined {
  const key = row === undefined ? undefined : optionalIntegerOf(row, 'key');
  return key === undefined ? undefined : numberOfKey(key);
}

function readDelivery(row: SqlRow): Delivery {
  return {
    ...readReply(row),
    fate: fateOf(row, 'fate'),
    finishedAt: integerOf(row, 'finished_at'),
    attempts: integerOf(row, 'attempts'),
  };
}

function readDeferral(row: SqlRow): Deferral {
  return { ...readReply(row), attempt: integerOf(row, 'attempt'), at: integerOf(row, 'deferred_at') };
}

function readReply(row: SqlRow): Omit<Deferral, 'attempt' | 'at'> {
  return {
    row: numberOfKey(integerOf(row, 'key')),
    relay: textOf(row, 'relay'),
    replyCode: integerOf(row, 'reply_code'),
    enhancedStatus: textOf(row, 'enhanced_status'),
    reply: textOf(row, 'reply'),
    classification: textOf(row, 'classification'),
  };
}
