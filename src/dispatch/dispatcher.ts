// The dispatcher: gives the due batches of all campaigns to the threads and settles what comes back.
import type { Clock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport, Hold } from '../worker/contract.ts';
import { AlarmClock } from './alarm_clock.ts';
import { CampaignDesk, type DispatchCampaign, type DispatchEnd } from './campaign_desk.ts';
import { CampaignDesks } from './campaign_desks.ts';
import { Hands, type BatchRunner, type Crash, type HeldBatch } from './hands.ts';
import { LaneClaims, type ClaimedBatch, type LaneLedger } from './lane_claims.ts';
import type { DispatchRelay, SlowDown } from './relay_desk.ts';
import { RelayDesks } from './relay_desks.ts';
import { endOf, outcomesAfterDeadline } from './send_gate.ts';
import { planCancellation, planSettlement, type Settlement } from './settle.ts';
import {
  countFates,
  describeCrash,
  Settling,
  type BatchRules,
  type DispatchJournals,
  type SettleLedger,
  type SettlingOptions,
} from './settling.ts';

/** What the dispatcher needs of the ledger. */
export interface DispatchLedger extends LaneLedger, SettleLedger {
  claimDue(campaignId: number, now: number, limit: number): Promise<ClaimedBatch[]>;
  nextDueAt(campaignId: number): Promise<number | undefined>;
  release(batchIds: readonly number[]): Promise<void>;
  putOff(putOffs: readonly { readonly batchId: number; readonly untilAt: number }[]): Promise<void>;
  undoPutOffs(campaignId: number): Promise<void>;
}

export interface DispatchOptions extends SettlingOptions {
  /** Their numbers in tasks are their places here. */
  readonly relays: readonly DispatchRelay[];
  readonly slowDown: SlowDown;
  /** Whether a limit, by its handle, is one of a relay's own, so that another relay is not held by it. */
  readonly isLimitOfRelay: (limit: number, relay: string) => boolean;
  readonly clock: Clock;
  /** A relay that is out of reach ends nothing: it is tried for as long as it takes. */
  readonly isPatient: boolean;
}

/** About 5,000 recipients in one transaction. */
const batchesDismissedAtOnce = 20;

/** So many batches whose window is closed are looked at in one go, some 10 ms: reports wait meanwhile. */
const mostRefusedAtOnce = 100;

/** Threads that die one after the other, with nothing settled in between, are a bug and not an accident. */
const maxCrashes = 3;

/** So many threads over one row: what was sent before it has come out of its batch by then. */
const maxDeaths = 3;

const longestSleepMs = 60_000;

/** How far off the next permit of a batch may be before it comes back; one that asks whether a relay is well must not wait. */
const [usualWaitMs, probeWaitMs] = [30_000, 1000];

/**
 * One loop, one actor: reports are collected by callbacks, everything else happens in `run`, so nothing interleaves
 * with a settlement. A batch is: pending (ledger) → in hand (a thread has it) → reported → settled (ledger).
 */
export class Dispatcher {
  readonly #options: DispatchOptions;
  readonly #ledger: DispatchLedger;
  readonly #runner: BatchRunner;
  readonly #alarm = new AlarmClock();
  readonly #hands: Hands;
  readonly #claims: LaneClaims;
  readonly #settling: Settling;
  readonly #desks = new CampaignDesks();
  /** All that is left of them may wait for a window: something was put off, stored or came back since they were last asked. */
  readonly #perhapsWaiting = new Set<CampaignDesk>();
  readonly relays: RelayDesks;
  #usableSeen = '';
  /** How often limits have changed: what threads said of those before counts no longer. */
  #limitChanges = 0;
  #crashes = 0;
  #isStopped = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(
    options: DispatchOptions,
    ledger: DispatchLedger,
    runner: BatchRunner,
    journals: DispatchJournals,
  ) {
    this.#options = options;
    this.#ledger = ledger;
    this.#runner = runner;
    this.#hands = new Hands(runner, () => this.#alarm.rouse());
    this.#claims = new LaneClaims(ledger, runner.perLane);
    this.relays = new RelayDesks(options.relays, runner, this.#claims, options.slowDown);
    this.#settling = new Settling(options, this.#hands, ledger, journals);
  }

  /** Batches that threads have at the moment. */
  get inHand(): number {
    return this.#hands.count;
  }

  /** Until when a campaign may send nothing: its start has not come, or all that is left is outside of its windows. */
  waitsUntil(campaignId: number): number | undefined {
    return this.#desks.get(campaignId)?.waitsUntil(this.#options.clock.now());
  }

  /** Batches of a campaign that threads have. */
  inHandOf(campaignId: number): number {
    return this.#hands.countOfCampaign(campaignId);
  }

  /**
   * Sends a campaign for as long as `run` goes. Resolves when it is over and nothing of it is in hand. Rejects when the dispatcher
   * cannot go on; nothing is lost then either.
   */
  async add(campaign: DispatchCampaign): Promise<DispatchEnd> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const desk = new CampaignDesk(campaign);
    this.relays.tryAgain(campaign.relays.map(({ name }) => name));
    invariant(this.#desks.get(campaign.id) === undefined, `campaign ${campaign.name} is being sent already`);
    this.#desks.add(desk);
    if (this.#isStopped) this.#desks.decide(desk, { kind: 'stopped' });
    // Its windows may be others than those of the run before.
    await this.#ledger.undoPutOffs(campaign.id);
    await this.#claims.add(campaign.id, campaign.weight);
    this.#touch(desk);
    return desk.over;
  }

  /** There are new batches of a campaign in the ledger, of these lanes. */
  notifyStored(campaignId: number, lanes: Iterable<string>): void {
    for (const lane of lanes) this.#claims.note(campaignId, lane, 0);
    const desk = this.#desks.get(campaignId);
    if (desk?.noteStored() === true) this.#perhapsWaiting.add(desk);
    this.#touch(desk);
  }

  /** A campaign's list is stored to its end: when nothing is pending any more, it is finished. */
  notifyListComplete(campaignId: number): void {
    const desk = this.#desks.get(campaignId);
    if (desk === undefined) return;
    desk.isListComplete = true;
    this.#touch(desk);
  }

  /** To be called when something has changed that the dispatcher looks at: a relay is held no more. */
  rouse(): void {
    this.#alarm.rouse();
  }

  #touch(desk: CampaignDesk | undefined): void {
    if (desk !== undefined) this.#desks.touch(desk);
    this.rouse();
  }

  /** Claims nothing more of a campaign; what no session has taken comes back. */
  end(campaignId: number, how: DispatchEnd = { kind: 'stopped' }): void {
    const desk = this.#desks.get(campaignId);
    if (desk === undefined) return;
    this.#decide(desk, how);
    this.rouse();
  }

  /** Whoever waits is cancelled, and so is everybody whom the list still brings. */
  cancel(campaignId: number): void {
    const desk = this.#desks.get(campaignId);
    if (desk === undefined) return;
    desk.isCancelled = true;
    this.#runner.recallCampaign(campaignId);
    this.#touch(desk);
  }

  /** Limits have changed: who was put off for theirs may go. */
  #forgetLimits(): void {
    this.#limitChanges += 1;
    this.relays.forgetLimits();
    this.#claims.endDeferrals(['limit', 'relay']);
    this.rouse();
  }

  /** Changes a campaign's share. */
  setWeight(campaignId: number, weight: number): void {
    this.#claims.setWeight(campaignId, weight);
  }

  /** What of a campaign no session has taken comes back, and goes again by what is said then. */
  recall(campaignId: number): void {
    this.#runner.recallCampaign(campaignId);
    this.#forgetLimits();
  }

  /** Claims nothing more; `run` returns when what is in hand has come back. The threads are told by the caller. */
  stop(): void {
    this.#isStopped = true;
    for (const desk of this.#desks.all()) {
      this.#desks.decide(desk, { kind: 'stopped' });
      this.#claims.setOpen(desk.campaign.id, false);
    }
    this.rouse();
  }

  /** Everything that no session has taken comes back, and goes again by what is said then. */
  recallAll(): void {
    this.#forgetLimits();
    for (const { campaign } of this.#desks.all()) this.#runner.recallCampaign(campaign.id);
  }

  /** Runs until it is stopped. Throws when the ledger cannot be written, or on a bug; nothing is lost then either. */
  async run(): Promise<void> {
    try {
      for (;;) {
        await this.#settleReports();
        await this.#settleCrashed();
        await this.#claim();
        this.#sayWhoIsOver();
        if (this.#isStopped && this.#desks.size === 0) return;
        if (!this.#hands.hasReports) await this.#alarm.sleep(() => this.#delayMs());
      }
    } catch (error) {
      this.#failure = { error };
      for (const desk of this.#desks.all()) desk.fail(error);
      this.#desks.clear();
      throw error;
    }
  }

  async #claim(): Promise<void> {
    const now = this.#options.clock.now();
    const room = this.relays.describeRoom(this.#countOfRelay, now);
    this.#followRelays(now);
    for (const { desk, isTouched } of this.#desks.takeUnseen(now, room))
      if (desk.end === undefined) await this.#tend(desk, isTouched, now);
    const refused: ClaimedBatch[] = [];
    while (this.#hands.room > 0 && refused.length < mostRefusedAtOnce) {
      const batch = await this.#claims.claim(now);
      if (batch === undefined) break;
      if (this.#deskOf(batch).sendTimeIn(batch.zone, now).kind === 'open') await this.#launch(batch, now);
      else {
        this.#claims.noteRefused(batch.campaignId, batch.lane);
        refused.push(batch);
      }
    }
    if (refused.length > 0) await this.#putOff(refused, now);
    for (const desk of this.#perhapsWaiting) await this.#seeWhetherItWaits(desk, now);
  }

  /** Batches of zones that are closed wait for their opening; where none comes before the deadline, they are over. */
  async #putOff(batches: readonly ClaimedBatch[], now: number): Promise<void> {
    const putOffs: { readonly batch: ClaimedBatch; readonly untilAt: number }[] = [];
    for (const batch of batches) {
      const desk = this.#deskOf(batch);
      const sendTime = desk.sendTimeIn(batch.zone, now);
      this.#perhapsWaiting.add(desk);
      if (sendTime.kind === 'over') {
        await this.#dismiss(desk, [batch], now);
        this.#touch(desk);
      } else putOffs.push({ batch, untilAt: sendTime.kind === 'closed' ? sendTime.opensAt : now });
    }
    await this.#ledger.putOff(putOffs.map(({ batch, untilAt }) => ({ batchId: batch.id, untilAt })));
    for (const { batch, untilAt } of putOffs) this.#claims.note(batch.campaignId, batch.lane, untilAt);
  }

  /** Whether all that is left of a campaign waits for the window of some zone. */
  async #seeWhetherItWaits(desk: CampaignDesk, now: number): Promise<void> {
    const { id } = desk.campaign;
    if (this.inHandOf(id) > 0 && desk.end === undefined) return;
    const dueAt = desk.end === undefined ? await this.#ledger.nextDueAt(id) : undefined;
    // It may be due in a lane that has to wait, and come to nothing then.
    if (dueAt !== undefined && dueAt <= now) return;
    this.#perhapsWaiting.delete(desk);
    if (dueAt === undefined || !desk.opensAt(dueAt, now)) return;
    desk.idleUntil = dueAt;
    this.#sayThatItWaits(desk, dueAt);
  }

  /** Who was put off for want of a relay is asked about again when there is one more. */
  #followRelays(now: number): void {
    const usable = this.relays.describeUsable(now);
    if (usable !== this.#usableSeen && usable.includes('1')) this.#claims.endDeferrals(['relay']);
    this.#usableSeen = usable;
  }

  /** Opens or closes a campaign for what is claimed next, and sees whether it is over. */
  async #tend(desk: CampaignDesk, isTouched: boolean, now: number): Promise<void> {
    const { id, relays } = desk.campaign;
    const sendTime = desk.sendTime(now);
    this.#desks.noteChange(endOf(sendTime));
    const isOver = sendTime.kind === 'over' || desk.isCancelled;
    const isDismissed = isOver && (await this.#dismissWaiting(desk, now));
    const maySend = sendTime.kind === 'open' && !desk.isCancelled;
    // A batch whose lane has to wait would send for as long as that takes.
    if (desk.mustRecall(now) || (!maySend && this.inHandOf(id) > 0)) this.#runner.recallCampaign(id);
    this.#desks.noteChange(desk.nextRecallAt(now));
    this.#claims.setOpen(id, maySend && this.relays.hasRoom(relays, this.#countOfRelay, now));
    if (isTouched || isDismissed) await this.#seeWhetherDone(desk);
    if (desk.end === undefined && sendTime.kind === 'closed') this.#sayThatItWaits(desk, sendTime.opensAt);
  }

  /** What is in hand, or is still to be stored, touches it again. */
  async #seeWhetherDone(desk: CampaignDesk): Promise<void> {
    const { id } = desk.campaign;
    if (!desk.isListComplete || this.inHandOf(id) > 0) return;
    if ((await this.#ledger.nextDueAt(id)) === undefined) this.#decide(desk, { kind: 'finished' });
  }

  async #launch(batch: ClaimedBatch, now: number): Promise<void> {
    const desk = this.#desks.get(batch.campaignId);
    invariant(desk !== undefined, `a batch of campaign ${batch.campaignId} was claimed, which is not sent`);
    const { id, relays, frame } = desk.campaign;
    const route = this.relays.choose(relays, batch, this.#countOfRelay, now);
    if (route.kind === 'wait') {
      await this.#ledger.release([batch.id]);
      this.#claims.noteReturned(id, batch.lane);
      this.#claims.defer(id, batch.lane, route.untilAt, 'relay');
      return;
    }
    const mostWaitMs = this.relays.isProbed(route.relay, now) ? probeWaitMs : usualWaitMs;
    this.#hands.launch(batch, { ...frame(batch.lane, route.relay), mostWaitMs }, this.#limitChanges);
    desk.noteLaunched(batch.zone);
    this.#desks.noteChange(desk.nextRecallAt(now));
    this.#closeWhoseRelayIsFull(route.relay, now);
  }

  /** Only a relay that is being tried is ever full. */
  #closeWhoseRelayIsFull(relay: number, now: number): void {
    const isFull = !this.relays.hasRoom(
      [{ name: this.relays.nameOf(relay), weight: 1, rank: 0 }],
      this.#countOfRelay,
      now,
    );
    if (!isFull) return;
    this.#desks.forgetRoom();
    for (const { campaign, end } of this.#desks.all()) {
      if (end === undefined && !this.relays.hasRoom(campaign.relays, this.#countOfRelay, now))
        this.#claims.setOpen(campaign.id, false);
    }
  }

  #sayThatItWaits(desk: CampaignDesk, untilAt: number): void {
    if (desk.saidWaitsUntil === untilAt) return;
    desk.saidWaitsUntil = untilAt;
    this.#options.publish({ kind: 'campaignWaits', campaign: desk.campaign.name, untilAt });
  }

  /**
   * The deadline is over, or the campaign cancelled: whoever waits has his fate, due or not. What threads have comes back
   * with its own outcomes. Returns whether anybody waited.
   */
  async #dismissWaiting(desk: CampaignDesk, now: number): Promise<boolean> {
    const { id } = desk.campaign;
    for (let isAny = false; ; isAny = true) {
      if (desk.end !== undefined) return isAny;
      const batches = await this.#ledger.claimDue(id, Number.MAX_SAFE_INTEGER, batchesDismissedAtOnce);
      if (batches.length === 0) return isAny;
      await this.#dismiss(desk, batches, now);
    }
  }

  async #dismiss(desk: CampaignDesk, batches: readonly ClaimedBatch[], now: number): Promise<void> {
    const { name: campaign } = desk.campaign;
    const settlements = batches.map((batch) => this.#planDismissal(desk, batch, now));
    // Stored again and claimed again, they would go round for ever.
    const isLast = settlements.every(({ successors }) => successors.length === 0);
    invariant(isLast, 'a batch outlived the deadline');
    await this.#ledger.settle(settlements);
    for (const settlement of settlements)
      this.#options.publish({ kind: 'rowsEnded', campaign, fates: countFates(settlement) });
  }

  #planDismissal(desk: CampaignDesk, batch: ClaimedBatch, now: number): Settlement {
    if (desk.isCancelled) return planCancellation(batch, now);
    const rules = this.#rulesOf(desk, batch, '', now);
    return planSettlement(batch, outcomesAfterDeadline(batch, now), rules, now, this.#options.random);
  }

  async #settleReports(): Promise<void> {
    const reports = this.#hands.takeReports();
    if (reports.length === 0) return;
    await this.#settle(reports);
    this.#crashes = 0;
  }

  async #settle(reports: readonly BatchReport[]): Promise<void> {
    const now = this.#options.clock.now();
    const helds = reports.map(({ batchId }) => this.#hands.find(batchId));
    const events = reports.flatMap((report, position) => this.#note(report, helds[position], now));
    const settlements = await this.#settling.settle(
      reports,
      ({ batch, goesBy }) => this.#rulesOf(this.#deskOf(batch), batch, this.relays.nameOf(goesBy), now),
      now,
    );
    for (const held of helds) {
      if (held === undefined) continue;
      this.#claims.noteReturned(held.batch.campaignId, held.batch.lane);
      const desk = this.#deskOf(held.batch);
      if (desk.noteReturned(held.batch.zone)) this.#perhapsWaiting.add(desk);
    }
    for (const { campaignId, successors } of settlements)
      for (const { lane, dueAt } of successors) this.#claims.note(campaignId, lane, dueAt);
    for (const [position, { held }] of reports.entries())
      if (held !== undefined) this.#defer(helds[position], held);
    for (const event of events) this.#options.publish(event);
  }

  /** A limit grants nothing for a while: kept in memory only, so that one that is raised is minded at once. */
  #defer(back: HeldBatch | undefined, { limit, untilAt }: Hold): void {
    if (back === undefined || back.changes !== this.#limitChanges) return;
    const { batch, goesBy } = back;
    const { relays } = this.#deskOf(batch).campaign;
    if (relays.length > 1 && this.#options.isLimitOfRelay(limit, this.relays.nameOf(goesBy)))
      this.relays.noteLimited(goesBy, untilAt);
    else this.#claims.defer(batch.campaignId, batch.lane, untilAt, 'limit');
  }

  #rulesOf(desk: CampaignDesk, batch: ClaimedBatch, relay: string, now: number): BatchRules {
    const { name: campaignName, retry, inDoubt, relays } = desk.campaign;
    // Where no window comes before the deadline, it is over already.
    const isOver = desk.sendTimeIn(batch.zone, now).kind === 'over';
    return {
      campaignName,
      retry,
      inDoubt,
      relay,
      unsentDueAt: this.relays.unsentDueAt(relays, batch.lane, now),
      mayExpireUnsent: desk.end === undefined,
      deadlineAt: isOver ? now : desk.deadlineAt,
    };
  }

  /** What a report tells of relay, lane and campaign; the events of it are for when it is settled. */
  #note(report: BatchReport, held: HeldBatch | undefined, now: number) {
    invariant(held !== undefined, `a report for batch ${report.batchId}, which is not in hand`);
    const desk = this.#deskOf(held.batch);
    this.#desks.touch(desk);
    const pause = desk.note(held.batch.lane, report.outcomes);
    const { events, giveUp } = this.relays.note(report, held, now);
    if (giveUp !== undefined) this.#giveUp(desk, held.goesBy, giveUp, report.relayFailure !== undefined);
    if (pause !== undefined) this.#decide(desk, { kind: 'paused', pause });
    return events;
  }

  /** Patience mends a relay that is out of reach, and nothing that it lacks or refuses. */
  #giveUp(desk: CampaignDesk, relay: number, failure: HandshakeFailure, isOutOfReach: boolean): void {
    if (failure.verdict.code === 'relay-lacks-extension')
      return this.#decide(desk, { kind: 'relayFailed', failure });
    if (this.#options.isPatient && isOutOfReach) return undefined;
    this.relays.giveUp(relay, failure);
    return this.#endWhoHasNoRelay();
  }

  #endWhoHasNoRelay(): void {
    for (const desk of this.#desks.all()) {
      const failure = this.relays.givenUp(desk.campaign.relays);
      if (failure !== undefined) this.#decide(desk, { kind: 'relayFailed', failure });
    }
  }

  #deskOf({ campaignId }: ClaimedBatch): CampaignDesk {
    const desk = this.#desks.get(campaignId);
    invariant(desk !== undefined, `campaign ${campaignId} has a batch in hand and is not being sent`);
    return desk;
  }

  async #settleCrashed(): Promise<void> {
    const crashed = this.#hands.takeCrashed();
    if (crashed.length === 0) return;
    const reports = this.#settling.reportCrashed(crashed, this.#options.clock.now());
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
   * Pauses a campaign with a row that kills thread after thread: each time those beside it would be in doubt. Returns whether it is
   * known over which batches they died.
   */
  #blame(crashed: readonly Crash[]): boolean {
    const composing = new Set(this.#runner.composing());
    const blamed = crashed.filter(({ batchId }) => composing.has(batchId));
    for (const { batchId, error } of blamed) {
      const batch = this.#hands.find(batchId)?.batch;
      if (batch === undefined) continue;
      const desk = this.#deskOf(batch);
      if (desk.noteDeath(batch.firstRow) < maxDeaths) continue;
      const text = `${maxDeaths} threads died one after the other over the rows from ${batch.firstRow} on: ${messageOf(error)}`;
      this.#decide(desk, { kind: 'paused', pause: { kind: 'threadsDied', text, verdict: undefined } });
    }
    return blamed.length > 0;
  }

  #sayWhoseThreadDied(reports: readonly BatchReport[], reason: string): void {
    const names = new Set(
      reports.map(({ batchId }) => {
        const held = this.#hands.find(batchId);
        return held === undefined ? '' : this.#deskOf(held.batch).campaign.name;
      }),
    );
    for (const campaign of names) this.#options.publish({ kind: 'threadDied', campaign, reason });
  }

  readonly #countOfRelay = (relay: number): number => this.#hands.countOfRelay(relay);

  /** Until the next batch is due, or a relay may be tried again; a report that makes room rouses us. */
  #delayMs(): number {
    const now = this.#options.clock.now();
    const wakeAt = Math.min(
      this.#desks.changesAt,
      this.relays.roomAt(this.#countOfRelay, now),
      // What is due of campaigns that may not send now is no reason to look.
      this.#claims.hasOpen && this.#hands.room > 0 ? this.#claims.nextAt : Infinity,
    );
    return Math.min(Math.max(wakeAt - now, 0), longestSleepMs);
  }

  #decide(desk: CampaignDesk, end: DispatchEnd): void {
    if (!this.#desks.decide(desk, end)) return;
    this.#claims.setOpen(desk.campaign.id, false);
    // A batch whose lane has to wait would hold up the end.
    if (end.kind !== 'finished') this.#runner.recallCampaign(desk.campaign.id);
  }

  #sayWhoIsOver(): void {
    for (const desk of this.#desks.ended()) {
      const { id } = desk.campaign;
      if (this.inHandOf(id) > 0) continue;
      this.#desks.remove(desk);
      this.#claims.drop(id);
      desk.close();
    }
  }
}
