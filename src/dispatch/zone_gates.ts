// The gates of a campaign whose windows are on its recipients' own clocks: one for each zone, and what of a zone is in hand.
import type { CampaignTime, SendTime } from '../schedule/campaign_time.ts';
import { SendGate } from './send_gate.ts';

/**
 * A batch on its way to a thread may miss the call that takes back what nobody has begun, so the call is repeated; not often, for
 * what is in hand of other zones comes back with it.
 */
const recallAgainMs = 5000;

/** What of a zone is in hand. */
interface ZoneInHand {
  batches: number;
  /** -Infinity before it was. */
  recalledAt: number;
}

/** Zones are IANA names; '' is the campaign's. Instants in ms since the epoch. */
export class ZoneGates {
  readonly #time: CampaignTime;
  readonly #gates = new Map<string, SendGate>();
  readonly #inHand = new Map<string, ZoneInHand>();

  constructor(time: CampaignTime) {
    this.#time = time;
  }

  at(zone: string, now: number): SendTime {
    let gate = this.#gates.get(zone);
    if (gate === undefined) {
      gate = new SendGate({ ...this.#time, zone: zone === '' ? this.#time.zone : zone });
      this.#gates.set(zone, gate);
    }
    return gate.at(now);
  }

  noteLaunched(zone: string): void {
    const known = this.#inHand.get(zone);
    if (known === undefined) this.#inHand.set(zone, { batches: 1, recalledAt: -Infinity });
    else known.batches += 1;
  }

  noteReturned(zone: string): void {
    const known = this.#inHand.get(zone);
    if (known === undefined) return;
    known.batches -= 1;
    if (known.batches === 0) this.#inHand.delete(zone);
  }

  /** Whether something is in hand whose zone has closed, so that it is to be recalled; who asks does it. */
  mustRecall(now: number): boolean {
    let must = false;
    for (const [zone, held] of this.#inHand) {
      if (this.at(zone, now).kind === 'open' || now < held.recalledAt + recallAgainMs) continue;
      held.recalledAt = now;
      must = true;
    }
    return must;
  }

  /** When `mustRecall` may have another answer; Infinity where nothing is in hand. */
  nextRecallAt(now: number): number {
    let nextAt = Infinity;
    for (const [zone, { recalledAt }] of this.#inHand) {
      const time = this.at(zone, now);
      nextAt = Math.min(nextAt, time.kind === 'open' ? time.untilAt : recalledAt + recallAgainMs);
    }
    return nextAt;
  }

  /** Whether something waits for an opening at just this instant. */
  opensAt(at: number, now: number): boolean {
    return [...this.#gates.keys()].some((zone) => {
      const time = this.at(zone, now);
      return time.kind === 'closed' && time.opensAt === at;
    });
  }
}
