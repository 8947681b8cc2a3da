// The due batches of a campaign by lanes: which is claimed next, so that a lane that has to wait delays no other.
import { Heap } from '../base/heap.ts';
import type { Batch } from '../mail/batch.ts';
import { Picker } from '../schedule/picker.ts';

/** A due batch, claimed by this run. */
export type ClaimedBatch = Batch & { readonly lane: string };

/** What claiming by lanes needs of the ledger. */
export interface LaneLedger {
  listLanes(campaignId: number): Promise<string[]>;
  claimOfLane(
    campaignId: number,
    lane: string,
    now: number,
  ): Promise<{ readonly batch: ClaimedBatch | undefined; readonly nextDueAt: number | undefined }>;
}

/**
 * A lane with batches is: waiting (in the heap, by when its next one is due) → ready (the picker has it) → claimed from, which
 * tells when the one behind is due. Each lane is in the picker once, however many of its batches are due: so memory grows
 * with lanes and not with batches, and what is claimed is bounded for each lane by what may be in hand of it.
 */
export class LaneClaims {
  readonly #ledger: LaneLedger;
  readonly #campaignId: number;
  /** Batches of one lane that the threads may have at once. */
  readonly #mostOfLane: number;
  readonly #picker = new Picker();
  /** When the next batch of a lane is due, as far as is known; in ms since the epoch. */
  readonly #dueAt = new Map<string, number>();
  /** By `dueAt`; entries that say something else than the map are passed over. */
  readonly #waiting = new Heap<string>();
  readonly #ready = new Set<string>();
  /** Lanes whose bound the picker knows. */
  readonly #bounded = new Set<string>();
  /** The last claim found nothing, and nothing has come since. */
  #isExhausted = false;

  constructor(ledger: LaneLedger, campaignId: number, mostOfLane: number) {
    this.#ledger = ledger;
    this.#campaignId = campaignId;
    this.#mostOfLane = mostOfLane;
    this.#picker.setCampaign(campaignId, 1);
  }

  /** Finds the batches that were there before. */
  async open(): Promise<void> {
    for (const lane of await this.#ledger.listLanes(this.#campaignId)) this.note(lane, 0);
  }

  /** There is a batch in this lane that is due then; 0 for now. */
  note(lane: string, dueAt: number): void {
    if ((this.#dueAt.get(lane) ?? Infinity) <= dueAt) return;
    this.#dueAt.set(lane, dueAt);
    this.#isExhausted &&= dueAt > 0;
    this.#waiting.push(dueAt, lane);
  }

  /** Nothing of a lane is claimed before an instant (in ms since the epoch), and no more than so many are in hand. */
  limit(lane: string, limits: { readonly blockedUntil: number; readonly mostInHand: number }): void {
    this.#bounded.add(lane);
    this.#picker.setLane(lane, limits);
    this.#isExhausted = false;
  }

  /** A batch of this lane is no longer in hand. */
  noteReturned(lane: string): void {
    this.#picker.noteReturned(lane);
    this.#isExhausted = false;
  }

  /** The next due batch of a lane that may have one more in hand; undefined where there is none. */
  async claim(now: number): Promise<ClaimedBatch | undefined> {
    this.#findReady(now);
    for (let pick = this.#picker.next(now); pick !== undefined; pick = this.#picker.next(now)) {
      const { lane } = pick;
      this.#ready.delete(lane);
      // Before the ledger is asked: what is stored meanwhile is noted meanwhile.
      this.#dueAt.delete(lane);
      const { batch, nextDueAt } = await this.#ledger.claimOfLane(this.#campaignId, lane, now);
      if (nextDueAt !== undefined) this.note(lane, nextDueAt);
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
      const lane = this.#waiting.pop();
      if (lane === undefined || this.#dueAt.get(lane) !== at || this.#ready.has(lane)) continue;
      this.#ready.add(lane);
      if (!this.#bounded.has(lane)) this.limit(lane, { blockedUntil: 0, mostInHand: this.#mostOfLane });
      this.#picker.add(this.#campaignId, lane, 1);
    }
  }
}
