// Returns: what the threads bring back. Reports are settled, what they tell of relays, lanes and limits is noted, deaths are looked into.
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport, Hold } from '../worker/contract.ts';
import type { CampaignDesk } from './campaign_desk.ts';
import type { Floor } from './floor.ts';
import type { Crash, HeldBatch } from './hands.ts';
import { describeCrash, Settling, type DispatchJournals } from './settling.ts';

/** Threads that die one after the other, with nothing settled in between, are a bug and not an accident. */
const maxCrashes = 3;

/** So many threads over one row: what was sent before it has come out of its batch by then. */
const maxDeaths = 3;

export class Returns {
  readonly #floor: Floor;
  readonly #settling: Settling;
  #crashes = 0;

  constructor(floor: Floor, journals: DispatchJournals) {
    this.#floor = floor;
    this.#settling = new Settling(floor.options, floor.hands, floor.ledger, journals);
  }

  async settleReports(): Promise<void> {
    const reports = this.#floor.hands.takeReports();
    if (reports.length === 0) return;
    await this.#settle(reports);
    this.#crashes = 0;
  }

  async #settle(reports: readonly BatchReport[]): Promise<void> {
    const now = this.#floor.options.clock.now();
    const helds = reports.map(({ batchId }) => this.#floor.hands.find(batchId));
    const events = reports.flatMap((report, position) => this.#note(report, helds[position], now));
    const settlements = await this.#settling.settle(
      reports,
      ({ batch, goesBy }) => this.#floor.rulesOf(batch, this.#floor.relays.nameOf(goesBy), now),
      now,
    );
    for (const held of helds) {
      if (held === undefined) continue;
      this.#floor.claims.noteReturned(held.batch.campaignId, held.batch.lane);
      const desk = this.#floor.deskOf(held.batch);
      if (desk.noteReturned(held.batch.zone)) this.#floor.perhapsWaiting.add(desk);
    }
    for (const { campaignId, successors } of settlements)
      for (const { lane, dueAt } of successors) this.#floor.claims.note(campaignId, lane, dueAt);
    for (const [position, { held }] of reports.entries())
      if (held !== undefined) this.#defer(helds[position], held);
    for (const event of events) this.#floor.options.publish(event);
  }

  /** A limit grants nothing for a while: kept in memory only, so that one that is raised is minded at once. */
  #defer(back: HeldBatch | undefined, { limit, isOwn, untilAt }: Hold): void {
    if (back === undefined || back.changes !== this.#floor.limitChanges) return;
    const { batch, goesBy } = back;
    const { relays } = this.#floor.deskOf(batch).campaign;
    if (
      !isOwn &&
      relays.length > 1 &&
      this.#floor.options.isLimitOfRelay(limit, this.#floor.relays.nameOf(goesBy))
    )
      this.#floor.relays.noteLimited(goesBy, untilAt);
    else this.#floor.claims.defer(batch.campaignId, batch.lane, untilAt, 'limit');
  }

  /** What a report tells of relay, lane and campaign; the events of it are for when it is settled. */
  #note(report: BatchReport, held: HeldBatch | undefined, now: number) {
    invariant(held !== undefined, `a report for batch ${report.batchId}, which is not in hand`);
    const desk = this.#floor.deskOf(held.batch);
    this.#floor.desks.touch(desk);
    desk.isSpared ||= report.isSpared === true;
    const pause = desk.note(held.batch.lane, report.outcomes);
    const { events, giveUp } = this.#floor.relays.note(report, held, now);
    if (giveUp !== undefined) this.#giveUp(desk, held.goesBy, giveUp, report.relayFailure !== undefined);
    if (pause !== undefined) this.#floor.decide(desk, { kind: 'paused', pause });
    return events;
  }

  /** Patience mends a relay that is out of reach, and nothing that it lacks or refuses. */
  #giveUp(desk: CampaignDesk, relay: number, failure: HandshakeFailure, isOutOfReach: boolean): void {
    if (failure.verdict.code === 'relay-lacks-extension')
      return this.#floor.decide(desk, { kind: 'relayFailed', failure });
    if (this.#floor.options.isPatient && isOutOfReach) return undefined;
    this.#floor.relays.giveUp(relay, failure);
    return this.#endWhoHasNoRelay();
  }

  #endWhoHasNoRelay(): void {
    for (const desk of this.#floor.desks.all()) {
      const failure = this.#floor.relays.givenUp(desk.campaign.relays);
      if (failure !== undefined) this.#floor.decide(desk, { kind: 'relayFailed', failure });
    }
  }

  /** Throws ERR_THREAD_CRASHED (70) where threads die one after the other, and not over one row. */
  async settleCrashed(): Promise<void> {
    const crashed = this.#floor.hands.takeCrashed();
    if (crashed.length === 0) return;
    const reports = this.#settling.reportCrashed(crashed, this.#floor.options.clock.now());
    this.#sayWhoseThreadDied(reports, describeCrash(crashed));
    if (!this.#blame(crashed)) this.#crashes += 1;
    await this.#settle(reports);
    if (this.#crashes < maxCrashes) return;
    const error = crashed[0]?.error;
    throw new PosthasteError({
      code: 'ERR_THREAD_CRASHED',
      message: `${maxCrashes} sending threads died one after the other: ${messageOf(error)}`,
      hint: 'this is a bug of Posthaste; nothing is lost, and the same command goes on',
      exitCode: ExitCode.software,
      cause: error,
    });
  }

  /**
   * Pauses a campaign with a row that kills thread after thread: each time those beside it would be in doubt. Returns whether it was the
   * same row as before: then it is not the threads that are broken.
   */
  #blame(crashed: readonly Crash[]): boolean {
    const composing = new Set(this.#floor.runner.composing());
    let isSameRow = false;
    for (const { batchId, error } of crashed) {
      const batch = this.#floor.hands.find(batchId)?.batch;
      if (batch === undefined || !composing.has(batchId)) continue;
      const desk = this.#floor.deskOf(batch);
      const deaths = desk.noteDeath(batch.firstRow);
      isSameRow ||= deaths > 1;
      if (deaths < maxDeaths) continue;
      const text = `${maxDeaths} threads died one after the other over the rows from ${batch.firstRow} on: ${messageOf(error)}`;
      this.#floor.decide(desk, { kind: 'paused', pause: { kind: 'threadsDied', text, verdict: undefined } });
    }
    return isSameRow;
  }

  #sayWhoseThreadDied(reports: readonly BatchReport[], reason: string): void {
    const names = new Set(
      reports.map(({ batchId }) => {
        const held = this.#floor.hands.find(batchId);
        return held === undefined ? '' : this.#floor.deskOf(held.batch).campaign.name;
      }),
    );
    for (const campaign of names) this.#floor.options.publish({ kind: 'threadDied', campaign, reason });
  }
}
