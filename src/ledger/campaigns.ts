// Campaigns in the ledger: their records, and the sums that are kept and never recounted.
import type { StatementSync } from 'node:sqlite';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import { emptyTally, fates, type Tally } from '../mail/outcome.ts';
import type { LedgerFile } from './file.ts';
import { maxCampaignId } from './key.ts';
import type { CampaignRecord, CompletedIntake, ListRecord, NewCampaign, NewList } from './ledger.ts';
import { ListTable } from './lists.ts';
import { fateOf, integerOf, namesOf, optionalIntegerOf, textOf, type SqlRow } from './reader.ts';

/** The tables `campaign`, `list` and `tally`. Methods that change something run inside a transaction of the caller. */
export class CampaignTable {
  readonly #byName: StatementSync;
  readonly #byId: StatementSync;
  readonly #all: StatementSync;
  readonly #insert: StatementSync;
  readonly #replan: StatementSync;
  readonly #tally: StatementSync;
  readonly #addTally: StatementSync;
  readonly #addIntake: StatementSync;
  readonly #complete: StatementSync;
  readonly #reopen: StatementSync;
  readonly #finish: StatementSync;
  readonly #unfinish: StatementSync;
  readonly #compact: StatementSync;
  readonly #setLanes: StatementSync;
  readonly #setSteering: StatementSync;
  readonly #lists: ListTable;

  constructor(file: LedgerFile) {
    this.#lists = new ListTable(file);
    this.#byName = file.prepare('SELECT * FROM campaign WHERE name = ?');
    this.#byId = file.prepare('SELECT * FROM campaign WHERE id = ?');
    this.#all = file.prepare('SELECT * FROM campaign ORDER BY id');
    this.#insert = file.prepare(`
      INSERT INTO campaign (name, plan_digest, created_at, intake, columns, batches_taken, refused_taken, row_count)
      VALUES (?, ?, ?, 'open', '[]', 0, 0, 0)`);
    // What has been stored was stored for the plan that was checked then.
    this.#replan = file.prepare('UPDATE campaign SET plan_digest = ? WHERE id = ? AND row_count = 0');
    this.#tally = file.prepare('SELECT fate, row_count FROM tally WHERE campaign_id = ?');
    this.#addTally = file.prepare(`
      INSERT INTO tally (campaign_id, fate, row_count) VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET row_count = row_count + excluded.row_count`);
    // A re-run of intake cuts its parts elsewhere, so it may come with fewer rows than are stored.
    this.#addIntake = file.prepare(`
      UPDATE campaign SET batches_taken = batches_taken + ?, refused_taken = refused_taken + ?,
        row_count = max(row_count, ?), columns = ? WHERE id = ?`);
    this.#complete = file.prepare(
      `UPDATE campaign SET intake = 'complete', row_count = ?, columns = ? WHERE id = ?`,
    );
    this.#reopen = file.prepare(`UPDATE campaign SET intake = 'open', finished_at = NULL WHERE id = ?`);
    this.#finish = file.prepare('UPDATE campaign SET finished_at = ? WHERE id = ? AND finished_at IS NULL');
    this.#unfinish = file.prepare('UPDATE campaign SET finished_at = NULL WHERE id = ?');
    this.#setLanes = file.prepare('UPDATE campaign SET lanes = ? WHERE id = ?');
    this.#setSteering = file.prepare('UPDATE campaign SET steering = ? WHERE id = ?');
    this.#compact = file.prepare(
      'UPDATE campaign SET compacted_at = ? WHERE id = ? AND finished_at IS NOT NULL AND compacted_at IS NULL',
    );
  }

  find(name: string): CampaignRecord | undefined {
    const row = this.#byName.get(name);
    return row === undefined ? undefined : this.#read(row);
  }

  list(): CampaignRecord[] {
    return this.#all.all().map((row) => this.#read(row));
  }

  /** The record of a campaign that must exist. */
  get(id: number): CampaignRecord {
    const row = this.#byId.get(id);
    invariant(row !== undefined, `there is no campaign ${id} in the ledger`);
    return this.#read(row);
  }

  create(fresh: NewCampaign): CampaignRecord {
    invariant(this.find(fresh.name) === undefined, `campaign ${fresh.name} is in the ledger already`);
    const id = Number(this.#insert.run(fresh.name, fresh.planDigest, fresh.createdAt).lastInsertRowid);
    if (id > maxCampaignId) throw makeCampaignsExhausted();
    return this.get(id);
  }

  /** Changes nothing where a row has been taken in. */
  replan(id: number, planDigest: string): CampaignRecord {
    this.#replan.run(planDigest, id);
    return this.get(id);
  }

  setSteering(id: number, steering: string | undefined): CampaignRecord {
    this.#setSteering.run(steering ?? null, id);
    return this.get(id);
  }

  setLaneRules(id: number, rules: string | undefined): void {
    const { rows, lists, intake } = this.get(id);
    const rowsBefore = intake === 'open' ? (lists.at(-1)?.rowsBefore ?? 0) : rows;
    invariant(rows === rowsBefore, `the lanes of campaign ${id} were to change in the middle of a list`);
    this.#setLanes.run(rules ?? null, id);
  }

  addTally(id: number, tally: Tally): void {
    for (const fate of fates) {
      if (tally[fate] !== 0) this.#addTally.run(id, fate, tally[fate]);
    }
  }

  addIntake(
    id: number,
    taken: { batches: number; refused: number; rows: number; columns: readonly string[] },
  ): void {
    this.#addIntake.run(taken.batches, taken.refused, taken.rows, JSON.stringify(taken.columns), id);
  }

  complete(id: number, { rows, listDigest: digest, columns }: CompletedIntake): void {
    const current = this.#lists.read(id).at(-1);
    if (current === undefined) this.#lists.insert(id, 1, { digest, rows, known: 0, ...beginning });
    else checkLaterList(current, digest, rows);
    this.#complete.run(rows, JSON.stringify(columns), id);
  }

  /** Numbers go on where the campaign is. */
  addList(id: number, list: NewList): CampaignRecord {
    const { intake, lists, rows, batchesTaken, refusedTaken } = this.get(id);
    invariant(intake === 'complete', `a list was added to campaign ${id} while another is taken in`);
    const before = { rowsBefore: rows, batchesBefore: batchesTaken, refusedBefore: refusedTaken };
    this.#lists.insert(id, lists.length + 1, { ...list, ...before });
    if (list.rows > list.known) this.#reopen.run(id);
    return this.get(id);
  }

  finish(id: number, now: number): void {
    this.#finish.run(now, id);
  }

  /** Takes rows back from the sums; the campaign is not finished any more. */
  takeBack(id: number, tally: Tally): void {
    const less = emptyTally();
    for (const fate of fates) less[fate] = -tally[fate];
    this.addTally(id, less);
    this.#unfinish.run(id);
  }

  compact(id: number, now: number): void {
    const { changes } = this.#compact.run(now, id);
    invariant(changes === 1, `campaign ${id} was to be compacted before it was finished, or again`);
  }

  #read(row: SqlRow): CampaignRecord {
    const id = integerOf(row, 'id');
    return {
      id,
      name: textOf(row, 'name'),
      planDigest: textOf(row, 'plan_digest'),
      createdAt: integerOf(row, 'created_at'),
      intake: textOf(row, 'intake') === 'complete' ? 'complete' : 'open',
      columns: namesOf(row, 'columns'),
      lists: this.#lists.read(id),
      batchesTaken: integerOf(row, 'batches_taken'),
      refusedTaken: integerOf(row, 'refused_taken'),
      rows: integerOf(row, 'row_count'),
      tally: this.#readTally(id),
      finishedAt: optionalIntegerOf(row, 'finished_at'),
      compactedAt: optionalIntegerOf(row, 'compacted_at'),
      laneRules: row['lanes'] === null ? undefined : textOf(row, 'lanes'),
      steering: row['steering'] === null ? undefined : textOf(row, 'steering'),
    };
  }

  #readTally(id: number): Tally {
    const tally = emptyTally();
    for (const row of this.#tally.all(id)) tally[fateOf(row, 'fate')] = integerOf(row, 'row_count');
    return tally;
  }
}

const beginning = { rowsBefore: 0, batchesBefore: 0, refusedBefore: 0 };

function checkLaterList(list: ListRecord, digest: string, rows: number): void {
  invariant(list.digest === digest, 'another list was completed than the one that was begun');
  const expected = list.rowsBefore + list.rows - list.known;
  invariant(rows === expected, `a later list was completed at row ${rows} instead of ${expected}`);
}

function makeCampaignsExhausted(): PosthasteError {
  return new PosthasteError({
    code: 'ERR_STATE_CAMPAIGNS_EXHAUSTED',
    message: `the state directory has held ${maxCampaignId} campaigns, and there is no number left for another`,
    hint: 'Use a new state directory for new campaigns.',
    exitCode: ExitCode.config,
  });
}
