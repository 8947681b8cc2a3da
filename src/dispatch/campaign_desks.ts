// The desks of all campaigns, and which of them are to be looked at: among a thousand these are few.
import type { CampaignDesk, DispatchEnd } from './campaign_desk.ts';

/** A desk that is to be looked at; `isTouched` where something has come to it, and not only to the relays or the clock. */
export interface DeskToSee {
  readonly desk: CampaignDesk;
  readonly isTouched: boolean;
}

/**
 * A desk is looked at when something has come to it. All are where a relay has got room or lost it, or where the time of one of them
 * may have changed: seldom, however many batches go.
 */
export class CampaignDesks {
  readonly #desks = new Map<number, CampaignDesk>();
  readonly #touched = new Set<CampaignDesk>();
  /** Decided, and perhaps with batches in hand. */
  readonly #ended = new Set<CampaignDesk>();
  #roomSeen: string | undefined;
  #seenAt = -Infinity;
  #changesAt = Infinity;

  get size(): number {
    return this.#desks.size;
  }

  /** When the answer of some campaign's clock holds no longer, in ms since the epoch; Infinity for never. */
  get changesAt(): number {
    return this.#changesAt;
  }

  /** Whether all are to be looked at, for relays have room now that had none, or the other way round. */
  mustSeeAll(room: string): boolean {
    return room !== this.#roomSeen;
  }

  get(id: number): CampaignDesk | undefined {
    return this.#desks.get(id);
  }

  add(desk: CampaignDesk): void {
    this.#desks.set(desk.campaign.id, desk);
  }

  remove(desk: CampaignDesk): void {
    this.#desks.delete(desk.campaign.id);
    this.#touched.delete(desk);
    this.#ended.delete(desk);
  }

  all(): Iterable<CampaignDesk> {
    return this.#desks.values();
  }

  ended(): Iterable<CampaignDesk> {
    return this.#ended;
  }

  /** Something has come to it, or was said of it. */
  touch(desk: CampaignDesk): void {
    this.#touched.add(desk);
  }

  /** The first reason to end stands. Returns whether this was it. */
  decide(desk: CampaignDesk, end: DispatchEnd): boolean {
    if (!desk.decide(end)) return false;
    this.#ended.add(desk);
    return true;
  }

  /** `room` tells which relays have any; `now` in ms since the epoch. Some of them may have ended. */
  takeUnseen(now: number, room: string): DeskToSee[] {
    const touched = new Set(this.#touched);
    this.#touched.clear();
    // A wall clock may be set back.
    const isAll = this.mustSeeAll(room) || now >= this.#changesAt || now < this.#seenAt;
    this.#roomSeen = room;
    this.#seenAt = now;
    if (isAll) this.#changesAt = Infinity;
    return [...(isAll ? this.#desks.values() : touched)].map((desk) => ({
      desk,
      isTouched: touched.has(desk),
    }));
  }

  /** What a desk was told of the time holds until then. */
  noteChange(at: number): void {
    this.#changesAt = Math.min(this.#changesAt, at);
  }

  /** Next time all are looked at. */
  forgetRoom(): void {
    this.#roomSeen = undefined;
  }

  clear(): void {
    this.#desks.clear();
    this.#touched.clear();
    this.#ended.clear();
  }
}
