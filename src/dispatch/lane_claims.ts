// The due batches of all campaigns by lanes: which is claimed next, so that a lane that has to wait delays no other.
import { Heap } from '../base/heap.ts';
import type { Batch } from '../mail/batch.ts';
import { Picker } from '../schedule/picker.ts';

/** A due batch, claimed by this run; `relay` names the one that the attempt before went by. */
export type ClaimedBatch = Batch & {
  readonly lane: string;
  readonly zone: string;
  readonly relay: string;
  readonly firstRow: number;
};

/** What claiming by lanes needs of the ledger. */
export interface LaneLedger {
  listLanes(campaignId: number): Promise<string[]>;
  claimOfLane(
    campaignId: number,
    lane: string,
    now: number,
  ): Promise<{ readonly batch: ClaimedBatch | undefined; readonly nextDueAt: number | undefined }>;
}

/** A campaign's lanes. */
interface CampaignLanes {
  readonly id: number;
  /** When the next batch of a lane is due, as far as is known; in ms since the epoch. */
  readonly dueAt: Map<string, number>;
  /** Lanes of which nothing is claimed before an instant, whatever is due. */
  readonly deferrals: Map<string, Deferral>;
  /** The picker has them. */
  readonly ready: Set<string>;
  readonly inHand: Map<string, number>;
  isOpen: boolean;
}

/** Why nothing of a lane can go for now. */
export type DeferralReason = 'relay' | 'limit';

interface Deferral {
  readonly until: number;
  readonly reason: DeferralReason;
}

interface WaitingLane {
  readonly campaign: CampaignLanes;
  readonly lane: string;
}

/**
 * A campaign's lane with batches is: waiting (in the heap, by when its next one is due) → ready (the picker has it) → claimed
 * from, which tells when the one behind is due; or full, when enough of it is in hand, until one comes back. Each is in the picker
 * once, however many of its batches are due: so memory grows with lanes and not with batches.
 */
export class LaneClaims {
  readonly #ledger: LaneLedger;
  /** Batches of one lane of a campaign that the threads may have at once. */
  readonly #mostOfLane: number;
  readonly #picker = new Picker();
  readonly #campaigns = new Map<number, CampaignLanes>();
  /** By `dueAt`; entries that say something else than the map are passed over. */
  readonly #waiting = new Heap<WaitingLane>();
  #open = 0;
  /** The last claim found nothing, and nothing has come since. */
  #isExhausted = false;

  constructor(ledger: LaneLedger, mostOfLane: number) {
    this.#ledger = ledger;
    this.#mostOfLane = mostOfLane;
  }

  /** Begins with a campaign; finds the batches that were there before. Closed until it is opened. */
  async add(campaignId: number, weight: number): Promise<void> {
    this.#picker.setCampaign(campaignId, weight);
    this.#picker.pause(campaignId);
    const campaign: CampaignLanes = {
      id: campaignId,
      dueAt: new Map(),
      deferrals: new Map(),
      ready: new Set(),
      inHand: new Map(),
      isOpen: false,
    };
    this.#campaigns.set(campaignId, campaign);
    for (const lane of await this.#ledger.listLanes(campaignId)) this.note(campaignId, lane, 0);
  }

  /** Nothing of it is in hand. */
  drop(campaignId: number): void {
    this.setOpen(campaignId, false);
    this.#campaigns.delete(campaignId);
    this.#picker.drop(campaignId);
  }

  setWeight(campaignId: number, weight: number): void {
    if (this.#campaigns.has(campaignId)) this.#picker.setCampaign(campaignId, weight);
  }

  /** From a campaign that is not open nothing is claimed. */
  setOpen(campaignId: number, isOpen: boolean): void {
    const campaign = this.#campaigns.get(campaignId);
    if (campaign === undefined || campaign.isOpen === isOpen) return;
    campaign.isOpen = isOpen;
    this.#open += isOpen ? 1 : -1;
    if (isOpen) this.#picker.resume(campaignId);
    else this.#picker.pause(campaignId);
    this.#isExhausted &&= !isOpen;
  }

  /** Whether there is a campaign from which something may be claimed. */
  get hasOpen(): boolean {
    return this.#open > 0;
  }

  /** There is a batch in this lane that is due then; 0 for now. */
  note(campaignId: number, lane: string, dueAt: number): void {
    const campaign = this.#campaigns.get(campaignId);
    if (campaign === undefined) return;
    const at = Math.max(dueAt, campaign.deferrals.get(lane)?.until ?? 0);
    if ((campaign.dueAt.get(lane) ?? Infinity) > at) this.#setDue(campaign, lane, at);
  }

  /** Nothing of this lane of a campaign can go before an instant, whatever is due. */
  defer(campaignId: number, lane: string, until: number, reason: DeferralReason): void {
    const campaign = this.#campaigns.get(campaignId);
    if (campaign === undefined) return;
    campaign.deferrals.set(lane, { until, reason });
    // Earlier entries of the heap say something else than the map, and are passed over.
    this.#setDue(campaign, lane, Math.max(until, campaign.dueAt.get(lane) ?? 0));
  }

  /** Those who were deferred may go: what stood in their way for one of these reasons has changed. */
  endDeferrals(reasons: readonly DeferralReason[]): void {
    for (const campaign of this.#campaigns.values()) {
      for (const [lane, { reason }] of campaign.deferrals) {
        if (!reasons.includes(reason)) continue;
        campaign.deferrals.delete(lane);
        this.note(campaign.id, lane, 0);
      }
    }
  }

  #setDue(campaign: CampaignLanes, lane: string, at: number): void {
    campaign.dueAt.set(lane, at);
    this.#isExhausted &&= at > 0;
    this.#waiting.push(at, { campaign, lane });
  }

  /** Nothing of a lane is claimed before an instant (in ms since the epoch), and no more than so many are in hand, of all campaigns. */
  limit(lane: string, limits: { readonly blockedUntil: number; readonly mostInHand: number }): void {
    this.#picker.setLane(lane, limits);
    this.#isExhausted = false;
  }

  /** A batch of this lane is no longer in hand. */
  noteReturned(campaignId: number, lane: string): void {
    this.#picker.noteReturned(lane);
    this.#isExhausted = false;
    const campaign = this.#campaigns.get(campaignId);
    if (campaign === undefined) return;
    const inHand = (campaign.inHand.get(lane) ?? 1) - 1;
    if (inHand > 0) campaign.inHand.set(lane, inHand);
    else campaign.inHand.delete(lane);
    const dueAt = campaign.dueAt.get(lane);
    if (inHand === this.#mostOfLane - 1 && dueAt !== undefined) this.#waiting.push(dueAt, { campaign, lane });
  }

  /** A batch was claimed and goes nowhere: it is no part of its campaign's share. */
  noteRefused(campaignId: number, lane: string): void {
    this.#picker.refund(campaignId, 1);
    this.noteReturned(campaignId, lane);
  }

  /** The next due batch of a lane that may have one more in hand; undefined where there is none. */
  async claim(now: number): Promise<ClaimedBatch | undefined> {
    this.#findReady(now);
    for (let pick = this.#picker.next(now); pick !== undefined; pick = this.#picker.next(now)) {
      const { campaign: id, lane } = pick;
      const campaign = this.#campaigns.get(id);
      campaign?.ready.delete(lane);
      // Before the ledger is asked: what is stored meanwhile is noted meanwhile.
      campaign?.dueAt.delete(lane);
      const { batch, nextDueAt } = await this.#ledger.claimOfLane(id, lane, now);
      if (batch !== undefined) campaign?.inHand.set(lane, (campaign.inHand.get(lane) ?? 0) + 1);
      if (nextDueAt !== undefined) this.note(id, lane, nextDueAt);
      if (batch !== undefined) return batch;
      this.#picker.noteReturned(lane);
      this.#findReady(now);
    }
    this.#isExhausted = true;
    return undefined;
  }

  /** When there may be something to claim: 0 for now, Infinity where only what threads have can change that. */
  get nextAt(): number {
    if (!this.#isExhausted) return 0;
    return Math.min(this.#waiting.firstKey ?? Infinity, this.#picker.nextAt() ?? Infinity);
  }

  #findReady(now: number): void {
    for (let at = this.#waiting.firstKey; at !== undefined && at <= now; at = this.#waiting.firstKey) {
      const waiting = this.#waiting.pop();
      if (waiting === undefined || !this.#isReady(waiting, at)) continue;
      waiting.campaign.deferrals.delete(waiting.lane);
      waiting.campaign.ready.add(waiting.lane);
      this.#picker.add(waiting.campaign.id, waiting.lane, 1);
    }
  }

  /** Whoever is full comes again when one of its batches comes back. */
  #isReady({ campaign, lane }: WaitingLane, at: number): boolean {
    if (this.#campaigns.get(campaign.id) !== campaign) return false;
    if (campaign.dueAt.get(lane) !== at || campaign.ready.has(lane)) return false;
    return (campaign.inHand.get(lane) ?? 0) < this.#mostOfLane;
  }
}
