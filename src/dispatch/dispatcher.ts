// The dispatcher: gives the due batches of all campaigns to the threads and settles what comes back.
import type { Clock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport } from '../worker/contract.ts';
import { AlarmClock } from './alarm_clock.ts';
import { CampaignDesk, type DispatchCampaign, type DispatchEnd } from './campaign_desk.ts';
import { Hands, type BatchRunner, type HeldBatch } from './hands.ts';
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

const longestSleepMs = 60_000;

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
  readonly #desks = new Map<number, CampaignDesk>();
  readonly relays: RelayDesks;
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
    invariant(!this.#desks.has(campaign.id), `campaign ${campaign.name} is being sent already`);
    this.#desks.set(campaign.id, desk);
    if (this.#isStopped) desk.decide({ kind: 'stopped' });
    // Its windows may be others than those of the run before.
    await this.#ledger.undoPutOffs(campaign.id);
    await this.#claims.add(campaign.id, campaign.weight);
    this.rouse();
    return desk.over;
  }

  /** There are new batches of a campaign in the ledger, of these lanes. */
  notifyStored(campaignId: number, lanes: Iterable<string>): void {
    for (const lane of lanes) this.#claims.note(campaignId, lane, 0);
    this.#desks.get(campaignId)?.noteStored();
    this.rouse();
  }

  /** A campaign's list is stored to its end: when nothing is pending any more, it is finished. */
  notifyListComplete(campaignId: number): void {
    const desk = this.#desks.get(campaignId);
    if (desk === undefined) return;
    desk.isListComplete = true;
    desk.isTouched = true;
    this.rouse();
  }

  /** To be called when something has changed that the dispatcher looks at: a relay is held no more. */
  rouse(): void {
    this.#alarm.rouse();
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
    this.rouse();
  }

  /** Changes a campaign's share. */
  setWeight(campaignId: number, weight: number): void {
    this.#claims.setWeight(campaignId, weight);
  }

  /** What of a campaign no session has taken comes back, and goes again by what is said then. */
  recall(campaignId: number): void {
    this.#runner.recallCampaign(campaignId);
  }

  /** Claims nothing more; `run` returns when what is in hand has come back. The threads are told by the caller. */
  stop(): void {
    this.#isStopped = true;
    for (const [id, desk] of this.#desks) {
      desk.decide({ kind: 'stopped' });
      this.#claims.setOpen(id, false);
    }
    this.rouse();
  }

  /** Everything that no session has taken comes back, and goes again by what is said then. */
  recallAll(): void {
    for (const id of this.#desks.keys()) this.#runner.recallCampaign(id);
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
      for (const desk of this.#desks.values()) desk.fail(error);
      this.#desks.clear();
      throw error;
    }
  }

  async #claim(): Promise<void> {
    const now = this.#options.clock.now();
    for (const desk of this.#desks.values()) if (desk.end === undefined) await this.#tend(desk, now);
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
    for (const desk of this.#desks.values()) if (desk.mayWait) await this.#seeWhetherItWaits(desk, now);
  }

  /** Batches of zones that are closed wait for their opening; where none comes before the deadline, they are over. */
  async #putOff(batches: readonly ClaimedBatch[], now: number): Promise<void> {
    const putOffs: { readonly batch: ClaimedBatch; readonly untilAt: number }[] = [];
    for (const batch of batches) {
      const desk = this.#deskOf(batch);
      const sendTime = desk.sendTimeIn(batch.zone, now);
      desk.mayWait = true;
      if (sendTime.kind === 'over') {
        await this.#dismiss(desk, [batch], now);
        this.rouse();
      } else putOffs.push({ batch, untilAt: sendTime.kind === 'closed' ? sendTime.opensAt : now });
    }
    await this.#ledger.putOff(putOffs.map(({ batch, untilAt }) => ({ batchId: batch.id, untilAt })));
    for (const { batch, untilAt } of putOffs) this.#claims.note(batch.campaignId, batch.lane, untilAt);
  }

  /** Whether all that is left of a campaign waits for the window of some zone. */
  async #seeWhetherItWaits(desk: CampaignDesk, now: number): Promise<void> {
    const { id } = desk.campaign;
    if (desk.end !== undefined || this.inHandOf(id) > 0) return;
    const dueAt = await this.#ledger.nextDueAt(id);
    // It may be due in a lane that has to wait, and come to nothing then.
    if (dueAt !== undefined && dueAt <= now) return;
    desk.mayWait = false;
    if (dueAt === undefined || !desk.opensAt(dueAt, now)) return;
    desk.idleUntil = dueAt;
    this.#sayThatItWaits(desk, dueAt);
  }

  /** Opens or closes a campaign for what is claimed next, and sees whether it is over. */
  async #tend(desk: CampaignDesk, now: number): Promise<void> {
    const { id, relays } = desk.campaign;
    const sendTime = desk.sendTime(now);
    const isOver = sendTime.kind === 'over' || desk.isCancelled;
    if (isOver) await this.#dismissWaiting(desk, now);
    const maySend = sendTime.kind === 'open' && !desk.isCancelled;
    // A batch whose lane has to wait would send for as long as that takes.
    if (desk.mustRecall(now) || (!maySend && this.inHandOf(id) > 0)) this.#runner.recallCampaign(id);
    this.#claims.setOpen(id, maySend && this.relays.hasRoom(relays, this.#countOfRelay, now));
    await this.#seeWhetherDone(desk);
    if (desk.end === undefined && sendTime.kind === 'closed') this.#sayThatItWaits(desk, sendTime.opensAt);
  }

  async #seeWhetherDone(desk: CampaignDesk): Promise<void> {
    const { id } = desk.campaign;
    if (!desk.isTouched || !desk.isListComplete || this.inHandOf(id) > 0) return;
    // What comes back or is stored from now on touches it again.
    desk.isTouched = false;
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
      this.#claims.note(id, batch.lane, route.untilAt);
      return;
    }
    this.#hands.launch(batch, frame(batch.lane, route.relay));
    desk.noteLaunched(batch.zone);
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
    for (const { campaign, end } of this.#desks.values()) {
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
   * with its own outcomes.
   */
  async #dismissWaiting(desk: CampaignDesk, now: number): Promise<void> {
    const { id } = desk.campaign;
    while (desk.end === undefined) {
      const batches = await this.#ledger.claimDue(id, Number.MAX_SAFE_INTEGER, batchesDismissedAtOnce);
      if (batches.length === 0) return;
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
    desk.isTouched = true;
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
      this.#deskOf(held.batch).noteReturned(held.batch.zone);
    }
    for (const { campaignId, successors } of settlements)
      for (const { lane, dueAt } of successors) this.#claims.note(campaignId, lane, dueAt);
    for (const event of events) this.#options.publish(event);
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
    for (const desk of this.#desks.values()) {
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
    this.#crashes += 1;
    const reports = this.#settling.reportCrashed(crashed, this.#options.clock.now());
    this.#sayWhoseThreadDied(reports, describeCrash(crashed));
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
  async #delayMs(): Promise<number> {
    const now = this.#options.clock.now();
    let [wakeAt, mayClaim] = [Infinity, false];
    for (const desk of this.#desks.values()) {
      if (desk.end !== undefined) continue;
      const sendTime = desk.sendTime(now);
      const isOpen = sendTime.kind === 'open' && !desk.isCancelled;
      const hasRoom = isOpen && this.relays.hasRoom(desk.campaign.relays, this.#countOfRelay, now);
      mayClaim ||= hasRoom;
      if (isOpen && !hasRoom) wakeAt = Math.min(wakeAt, this.#roomAt(desk, now));
      wakeAt = Math.min(wakeAt, endOf(sendTime), desk.nextRecallAt(now));
    }
    // What is due of campaigns that may not send now is no reason to look.
    if (mayClaim && this.#hands.room > 0) wakeAt = Math.min(wakeAt, this.#claims.nextAt);
    return Math.min(Math.max(wakeAt - now, 0), longestSleepMs);
  }

  /** When one of a campaign's relays may have room again. */
  #roomAt({ campaign }: CampaignDesk, now: number): number {
    const blockedUntil = this.relays.blockedUntil(campaign.relays);
    return blockedUntil > now ? blockedUntil : now + this.relays.lookAgainMs;
  }

  #decide(desk: CampaignDesk, end: DispatchEnd): void {
    if (!desk.decide(end)) return;
    this.#claims.setOpen(desk.campaign.id, false);
    // A batch whose lane has to wait would hold up the end.
    if (end.kind !== 'finished') this.#runner.recallCampaign(desk.campaign.id);
  }

  #sayWhoIsOver(): void {
    for (const [id, desk] of this.#desks) {
      if (desk.end === undefined || this.inHandOf(id) > 0) continue;
      this.#desks.delete(id);
      this.#claims.drop(id);
      desk.close();
    }
  }
}
