// The dispatcher: gives the due batches of all campaigns to the threads and settles what comes back.
import { invariant } from '../base/invariant.ts';
import { AlarmClock } from './alarm_clock.ts';
import { CampaignDesk, type DispatchCampaign, type DispatchEnd } from './campaign_desk.ts';
import { Floor, type DispatchLedger, type DispatchOptions } from './floor.ts';
import type { BatchRunner } from './hands.ts';
import { Launches } from './launches.ts';
import type { RelayDesks } from './relay_desks.ts';
import { Returns } from './returns.ts';
import type { DispatchJournals } from './settling.ts';

export type { DispatchLedger, DispatchOptions } from './floor.ts';

const longestSleepMs = 60_000;

/**
 * One loop, one actor: reports are collected by callbacks, everything else happens in `run`, so nothing interleaves
 * with a settlement. A batch is: pending (ledger) → in hand (a thread has it) → reported → settled (ledger).
 */
export class Dispatcher {
  readonly #floor: Floor;
  readonly #launches: Launches;
  readonly #returns: Returns;
  readonly #alarm = new AlarmClock();
  #isStopped = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(
    options: DispatchOptions,
    ledger: DispatchLedger,
    runner: BatchRunner,
    journals: DispatchJournals,
  ) {
    this.#floor = new Floor(options, ledger, runner, () => this.#alarm.rouse());
    this.#launches = new Launches(this.#floor);
    this.#returns = new Returns(this.#floor, journals);
  }

  get relays(): RelayDesks {
    return this.#floor.relays;
  }

  /** Batches that threads have at the moment. */
  get inHand(): number {
    return this.#floor.hands.count;
  }

  /** Until when a campaign may send nothing: its start has not come, or all that is left is outside of its windows. */
  waitsUntil(campaignId: number): number | undefined {
    return this.#floor.desks.get(campaignId)?.waitsUntil(this.#floor.options.clock.now());
  }

  /** Batches of a campaign that threads have. */
  inHandOf(campaignId: number): number {
    return this.#floor.hands.countOfCampaign(campaignId);
  }

  /**
   * Sends a campaign for as long as `run` goes. Resolves when it is over and nothing of it is in hand. Rejects when the dispatcher
   * cannot go on; nothing is lost then either.
   */
  async add(campaign: DispatchCampaign): Promise<DispatchEnd> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const desk = new CampaignDesk(campaign);
    this.#floor.relays.tryAgain(campaign.relays.map(({ name }) => name));
    invariant(
      this.#floor.desks.get(campaign.id) === undefined,
      `campaign ${campaign.name} is being sent already`,
    );
    this.#floor.desks.add(desk);
    if (this.#isStopped) this.#floor.desks.decide(desk, { kind: 'stopped' });
    // Its windows may be others than those of the run before.
    await this.#floor.ledger.undoPutOffs(campaign.id);
    await this.#floor.claims.add(campaign.id, campaign.weight);
    this.#floor.touch(desk);
    return desk.over;
  }

  /** There are new batches of a campaign in the ledger, of these lanes. */
  notifyStored(campaignId: number, lanes: Iterable<string>): void {
    for (const lane of lanes) this.#floor.claims.note(campaignId, lane, 0);
    const desk = this.#floor.desks.get(campaignId);
    if (desk?.noteStored() === true) this.#floor.perhapsWaiting.add(desk);
    this.#floor.touch(desk);
  }

  /** A campaign's list is stored to its end: when nothing is pending any more, it is finished. */
  notifyListComplete(campaignId: number): void {
    const desk = this.#floor.desks.get(campaignId);
    if (desk === undefined) return;
    desk.isListComplete = true;
    this.#floor.touch(desk);
  }

  /** To be called when something has changed that the dispatcher looks at: a relay is held no more. */
  rouse(): void {
    this.#alarm.rouse();
  }

  /** Claims nothing more of a campaign; what no session has taken comes back. */
  end(campaignId: number, how: DispatchEnd = { kind: 'stopped' }): void {
    const desk = this.#floor.desks.get(campaignId);
    if (desk === undefined) return;
    this.#floor.decide(desk, how);
    this.rouse();
  }

  /** Whoever waits is cancelled, and so is everybody whom the list still brings. */
  cancel(campaignId: number): void {
    const desk = this.#floor.desks.get(campaignId);
    if (desk === undefined) return;
    desk.isCancelled = true;
    this.#floor.runner.recallCampaign(campaignId);
    this.#floor.touch(desk);
  }

  /** So many complaints of a campaign's messages have come in. */
  noteComplaints(campaignId: number, count: number): void {
    const desk = this.#floor.desks.get(campaignId);
    if (desk === undefined) return;
    for (let left = count; left > 0; left -= 1) {
      const pause = desk.noteComplaint();
      if (pause !== undefined) this.#floor.decide(desk, { kind: 'paused', pause });
    }
    this.rouse();
  }

  /** Changes a campaign's share. */
  setWeight(campaignId: number, weight: number): void {
    this.#floor.claims.setWeight(campaignId, weight);
  }

  /** What of a campaign no session has taken comes back, and goes again by what is said then. */
  recall(campaignId: number): void {
    this.#floor.runner.recallCampaign(campaignId);
    this.#floor.forgetLimits();
  }

  /** Claims nothing more; `run` returns when what is in hand has come back. The threads are told by the caller. */
  stop(): void {
    this.#isStopped = true;
    for (const desk of this.#floor.desks.all()) {
      this.#floor.desks.decide(desk, { kind: 'stopped' });
      this.#floor.claims.setOpen(desk.campaign.id, false);
    }
    this.rouse();
  }

  /** Everything that no session has taken comes back, and goes again by what is said then. */
  recallAll(): void {
    this.#floor.forgetLimits();
    for (const { campaign } of this.#floor.desks.all()) this.#floor.runner.recallCampaign(campaign.id);
  }

  /** Runs until it is stopped. Throws when the ledger cannot be written, or on a bug; nothing is lost then either. */
  async run(): Promise<void> {
    try {
      for (;;) {
        await this.#returns.settleReports();
        await this.#returns.settleCrashed();
        await this.#launches.launchDue(this.#floor.options.clock.now());
        this.#sayWhoIsOver();
        if (this.#isStopped && this.#floor.desks.size === 0) return;
        if (!this.#floor.hands.hasReports) await this.#alarm.sleep(() => this.#delayMs());
      }
    } catch (error) {
      this.#failure = { error };
      for (const desk of this.#floor.desks.all()) desk.fail(error);
      this.#floor.desks.clear();
      throw error;
    }
  }

  /** Until the next batch is due, or a relay may be tried again; a report that makes room rouses us. */
  #delayMs(): number {
    const now = this.#floor.options.clock.now();
    return Math.min(Math.max(this.#launches.nextAt(now) - now, 0), longestSleepMs);
  }

  #sayWhoIsOver(): void {
    for (const desk of this.#floor.desks.ended()) {
      const { id } = desk.campaign;
      if (this.inHandOf(id) > 0) continue;
      this.#floor.desks.remove(desk);
      this.#floor.claims.drop(id);
      desk.close();
    }
  }
}
