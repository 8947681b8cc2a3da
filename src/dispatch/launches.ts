// Launches: what goes out to the threads. Who may send, which batch is next, by which relay, and who waits for what.
import { invariant } from '../base/invariant.ts';
import type { CampaignDesk } from './campaign_desk.ts';
import type { Floor } from './floor.ts';
import type { ClaimedBatch } from './lane_claims.ts';
import { endOf, outcomesAfterDeadline } from './send_gate.ts';
import { planCancellation, planSettlement, type Settlement } from './settle.ts';
import { countFates } from './settling.ts';

/** About 5,000 recipients in one transaction. */
const batchesDismissedAtOnce = 20;

/** So many batches whose window is closed are looked at in one go, some 10 ms: reports wait meanwhile. */
const mostRefusedAtOnce = 100;

/** How far off the next permit of a batch may be before it comes back; one that asks whether a relay is well must not wait. */
const [usualWaitMs, probeWaitMs] = [30_000, 1000];

export class Launches {
  readonly #floor: Floor;
  #usableSeen = '';

  constructor(floor: Floor) {
    this.#floor = floor;
  }

  /** When there may be something to launch, if nothing comes back and nobody says anything; in ms since the epoch. */
  nextAt(now: number): number {
    // Time has passed since they were looked at, if only a moment, and a session may have opened.
    if (this.#floor.desks.mustSeeAll(this.#floor.relays.describeRoom(this.#floor.countOfRelay, now)))
      return now;
    return Math.min(
      this.#floor.desks.changesAt,
      this.#floor.relays.roomAt(this.#floor.countOfRelay, now),
      // What is due of campaigns that may not send now is no reason to look.
      this.#floor.claims.hasOpen && this.#floor.hands.room > 0 ? this.#floor.claims.nextAt : Infinity,
    );
  }

  /** Looks at the campaigns to which something has come, and launches what is due as long as there is room. */
  async launchDue(now: number): Promise<void> {
    const room = this.#floor.relays.describeRoom(this.#floor.countOfRelay, now);
    this.#followRelays(now);
    for (const { desk, isTouched } of this.#floor.desks.takeUnseen(now, room))
      if (desk.end === undefined) await this.#tend(desk, isTouched, now);
    const refused: ClaimedBatch[] = [];
    while (this.#floor.hands.room > 0 && refused.length < mostRefusedAtOnce) {
      const batch = await this.#floor.claims.claim(now);
      if (batch === undefined) break;
      if (this.#floor.deskOf(batch).sendTimeIn(batch.zone, now).kind === 'open')
        await this.#launch(batch, now);
      else {
        this.#floor.claims.noteRefused(batch.campaignId, batch.lane);
        refused.push(batch);
      }
    }
    if (refused.length > 0) await this.#putOff(refused, now);
    for (const desk of this.#floor.perhapsWaiting) await this.#seeWhetherItWaits(desk, now);
  }

  /** Batches of zones that are closed wait for their opening; where none comes before the deadline, they are over. */
  async #putOff(batches: readonly ClaimedBatch[], now: number): Promise<void> {
    const putOffs: { readonly batch: ClaimedBatch; readonly untilAt: number }[] = [];
    for (const batch of batches) {
      const desk = this.#floor.deskOf(batch);
      const sendTime = desk.sendTimeIn(batch.zone, now);
      this.#floor.perhapsWaiting.add(desk);
      if (sendTime.kind === 'over' && desk.end === undefined) {
        await this.#dismiss(desk, [batch], now);
        this.#floor.touch(desk);
      } else putOffs.push({ batch, untilAt: sendTime.kind === 'closed' ? sendTime.opensAt : now });
    }
    await this.#floor.ledger.putOff(putOffs.map(({ batch, untilAt }) => ({ batchId: batch.id, untilAt })));
    for (const { batch, untilAt } of putOffs) this.#floor.claims.note(batch.campaignId, batch.lane, untilAt);
  }

  /** Whether all that is left of a campaign waits for the window of some zone. */
  async #seeWhetherItWaits(desk: CampaignDesk, now: number): Promise<void> {
    const { id } = desk.campaign;
    if (this.#floor.hands.countOfCampaign(id) > 0 && desk.end === undefined) return;
    const dueAt = desk.end === undefined ? await this.#floor.ledger.nextDueAt(id) : undefined;
    // What is due and has to wait for something else comes back here when it is put off, or back from a thread.
    this.#floor.perhapsWaiting.delete(desk);
    if (dueAt === undefined || dueAt <= now || !desk.opensAt(dueAt, now)) return;
    desk.idleUntil = dueAt;
    this.#sayThatItWaits(desk, dueAt);
  }

  /** Who was put off for want of a relay is asked about again when there is one more. */
  #followRelays(now: number): void {
    const usable = this.#floor.relays.describeUsable(now);
    if (usable !== this.#usableSeen && usable.includes('1')) this.#floor.claims.endDeferrals(['relay']);
    this.#usableSeen = usable;
  }

  /** Opens or closes a campaign for what is claimed next, and sees whether it is over. */
  async #tend(desk: CampaignDesk, isTouched: boolean, now: number): Promise<void> {
    const { id, relays } = desk.campaign;
    const sendTime = desk.sendTime(now);
    this.#floor.desks.noteChange(endOf(sendTime));
    const isOver = sendTime.kind === 'over' || desk.isCancelled;
    const isDismissed = isOver && (await this.#dismissWaiting(desk, now));
    // All are back, and none of them has paused it.
    if (this.#floor.hands.countOfCampaign(id) === 0) desk.isSpared = false;
    const maySend = sendTime.kind === 'open' && !desk.isCancelled && !desk.isSpared;
    // A batch whose lane has to wait would send for as long as that takes.
    if (desk.mustRecall(now) || (!maySend && this.#floor.hands.countOfCampaign(id) > 0))
      this.#floor.runner.recallCampaign(id);
    this.#floor.desks.noteChange(desk.nextRecallAt(now));
    this.#floor.claims.setOpen(
      id,
      maySend && this.#floor.relays.hasRoom(relays, this.#floor.countOfRelay, now),
    );
    if (isTouched || isDismissed) await this.#seeWhetherDone(desk);
    if (desk.end === undefined && sendTime.kind === 'closed') this.#sayThatItWaits(desk, sendTime.opensAt);
  }

  /** What is in hand, or is still to be stored, touches it again. */
  async #seeWhetherDone(desk: CampaignDesk): Promise<void> {
    const { id } = desk.campaign;
    if (!desk.isListComplete || this.#floor.hands.countOfCampaign(id) > 0) return;
    if ((await this.#floor.ledger.nextDueAt(id)) === undefined)
      this.#floor.decide(desk, { kind: 'finished' });
  }

  async #launch(batch: ClaimedBatch, now: number): Promise<void> {
    const desk = this.#floor.deskOf(batch);
    const { id, relays, frame } = desk.campaign;
    const route = this.#floor.relays.choose(relays, batch, this.#floor.countOfRelay, now);
    if (route.kind === 'wait') {
      await this.#floor.ledger.release([batch.id]);
      this.#floor.claims.noteReturned(id, batch.lane);
      this.#floor.claims.defer(id, batch.lane, route.untilAt, 'relay');
      return;
    }
    const mostWaitMs = this.#floor.relays.isProbed(route.relay, now) ? probeWaitMs : usualWaitMs;
    this.#floor.hands.launch(
      batch,
      { ...frame(batch.lane, route.relay), mostWaitMs },
      this.#floor.limitChanges,
    );
    desk.noteLaunched(batch.zone);
    this.#floor.desks.noteChange(desk.nextRecallAt(now));
    this.#closeWhoseRelayIsFull(route.relay, now);
  }

  /** Only a relay that is being tried is ever full. */
  #closeWhoseRelayIsFull(relay: number, now: number): void {
    const isFull = !this.#floor.relays.hasRoom(
      [{ name: this.#floor.relays.nameOf(relay), weight: 1, rank: 0 }],
      this.#floor.countOfRelay,
      now,
    );
    if (!isFull) return;
    this.#floor.desks.forgetRoom();
    for (const { campaign, end } of this.#floor.desks.all()) {
      if (end === undefined && !this.#floor.relays.hasRoom(campaign.relays, this.#floor.countOfRelay, now))
        this.#floor.claims.setOpen(campaign.id, false);
    }
  }

  #sayThatItWaits(desk: CampaignDesk, untilAt: number): void {
    if (desk.saidWaitsUntil === untilAt) return;
    desk.saidWaitsUntil = untilAt;
    this.#floor.options.publish({ kind: 'campaignWaits', campaign: desk.campaign.name, untilAt });
  }

  /**
   * The deadline is over, or the campaign cancelled: whoever waits has his fate, due or not. What threads have comes back
   * with its own outcomes. Returns whether anybody waited.
   */
  async #dismissWaiting(desk: CampaignDesk, now: number): Promise<boolean> {
    const { id } = desk.campaign;
    for (let isAny = false; ; isAny = true) {
      if (desk.end !== undefined) return isAny;
      const batches = await this.#floor.ledger.claimDue(id, Number.MAX_SAFE_INTEGER, batchesDismissedAtOnce);
      if (batches.length === 0) return isAny;
      // Somebody may have ended it meanwhile: then nobody expires.
      if (desk.end !== undefined) {
        await this.#floor.ledger.release(batches.map((batch) => batch.id));
        return isAny;
      }
      await this.#dismiss(desk, batches, now);
    }
  }

  async #dismiss(desk: CampaignDesk, batches: readonly ClaimedBatch[], now: number): Promise<void> {
    const { name: campaign } = desk.campaign;
    const settlements = batches.map((batch) => this.#planDismissal(desk, batch, now));
    // Stored again and claimed again, they would go round for ever.
    const isLast = settlements.every(({ successors }) => successors.length === 0);
    invariant(isLast, 'a batch outlived the deadline');
    await this.#floor.ledger.settle(settlements);
    for (const settlement of settlements)
      this.#floor.options.publish({ kind: 'rowsEnded', campaign, fates: countFates(settlement) });
  }

  #planDismissal(desk: CampaignDesk, batch: ClaimedBatch, now: number): Settlement {
    if (desk.isCancelled) return planCancellation(batch, now);
    const rules = this.#floor.rulesOf(batch, '', now);
    return planSettlement(batch, outcomesAfterDeadline(batch, now), rules, now, this.#floor.options.random);
  }
}
