// The floor of the dispatcher: what is there, and what those who launch and those who settle both do.
import type { Clock } from '../base/clock.ts';
import { invariant } from '../base/invariant.ts';
import type { CampaignDesk, DispatchEnd } from './campaign_desk.ts';
import { CampaignDesks } from './campaign_desks.ts';
import { Hands, type BatchRunner } from './hands.ts';
import { LaneClaims, type ClaimedBatch, type LaneLedger } from './lane_claims.ts';
import type { DispatchRelay, SlowDown } from './relay_desk.ts';
import { RelayDesks } from './relay_desks.ts';
import type { BatchRules, SettleLedger, SettlingOptions } from './settling.ts';

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

export class Floor {
  readonly options: DispatchOptions;
  readonly ledger: DispatchLedger;
  readonly runner: BatchRunner;
  readonly hands: Hands;
  readonly claims: LaneClaims;
  readonly relays: RelayDesks;
  readonly desks = new CampaignDesks();
  /** All that is left of them may wait for a window: something was put off, stored or came back since they were last asked. */
  readonly perhapsWaiting = new Set<CampaignDesk>();
  /** Has the dispatcher look again, soon. */
  readonly rouse: () => void;
  #limitChanges = 0;

  /** `rouse` is called, too, whenever a thread has brought something back. */
  constructor(options: DispatchOptions, ledger: DispatchLedger, runner: BatchRunner, rouse: () => void) {
    this.options = options;
    this.ledger = ledger;
    this.runner = runner;
    this.rouse = rouse;
    this.hands = new Hands(runner, rouse);
    this.claims = new LaneClaims(ledger, runner.perLane);
    this.relays = new RelayDesks(options.relays, runner, this.claims, options.slowDown);
  }

  readonly countOfRelay = (relay: number): number => this.hands.countOfRelay(relay);

  /** How often limits have changed: what threads said of those before counts no longer. */
  get limitChanges(): number {
    return this.#limitChanges;
  }

  /** Limits have changed: who was put off for theirs may go. */
  forgetLimits(): void {
    this.#limitChanges += 1;
    this.relays.forgetLimits();
    this.claims.endDeferrals(['limit', 'relay']);
    this.rouse();
  }

  deskOf({ campaignId }: ClaimedBatch): CampaignDesk {
    const desk = this.desks.get(campaignId);
    invariant(desk !== undefined, `campaign ${campaignId} has a batch and is not being sent`);
    return desk;
  }

  /** Something has come to a campaign. */
  touch(desk: CampaignDesk | undefined): void {
    if (desk !== undefined) this.desks.touch(desk);
    this.rouse();
  }

  /** Claims nothing more of a campaign. The first reason stands. */
  decide(desk: CampaignDesk, end: DispatchEnd): void {
    if (!this.desks.decide(desk, end)) return;
    this.claims.setOpen(desk.campaign.id, false);
    // A batch whose lane has to wait would hold up the end.
    if (end.kind !== 'finished') this.runner.recallCampaign(desk.campaign.id);
  }

  /** By what a batch is settled that went by a relay; '' for none. */
  rulesOf(batch: ClaimedBatch, relay: string, now: number): BatchRules {
    const desk = this.deskOf(batch);
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
}
