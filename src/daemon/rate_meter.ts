// How fast each campaign goes: recipients answered or ended, over the last seconds.
import type { PosthasteEvent } from '../mail/event.ts';
import type { Tally } from '../mail/outcome.ts';

const windowSeconds = 10;

/** Counts of the last seconds; `slots[second % length]` is of `second`. */
interface Counts {
  readonly slots: number[];
  lastSecond: number;
}

/** Time is an argument, in ms; of campaigns that have stopped nothing is kept. */
export class RateMeter {
  readonly #campaigns = new Map<string, Counts>();

  note(event: PosthasteEvent, nowMs: number): void {
    if (event.kind === 'batchSettled') {
      let answered = 0;
      for (const { kind, count } of event.outcomes) if (kind !== 'unsent') answered += count;
      this.#add(event.campaign, answered, nowMs);
    }
    if (event.kind === 'rowsEnded') this.#add(event.campaign, sum(event.fates), nowMs);
    if (event.kind === 'campaignFinished') this.#campaigns.delete(event.campaign);
  }

  perSecond(campaign: string, nowMs: number): number {
    const counts = this.#campaigns.get(campaign);
    if (counts === undefined) return 0;
    const now = Math.floor(nowMs / 1000);
    let total = 0;
    // The present second is not over: it would pull the rate down.
    for (let second = now - windowSeconds; second < now; second += 1)
      if (second > counts.lastSecond - counts.slots.length && second <= counts.lastSecond)
        total += counts.slots[second % counts.slots.length] ?? 0;
    return total / windowSeconds;
  }

  /** Of all campaigns. */
  total(nowMs: number): number {
    let total = 0;
    for (const name of this.#campaigns.keys()) total += this.perSecond(name, nowMs);
    return total;
  }

  #add(campaign: string, count: number, nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    let counts = this.#campaigns.get(campaign);
    if (counts === undefined) {
      counts = { slots: Array.from({ length: windowSeconds + 2 }, () => 0), lastSecond: second };
      this.#campaigns.set(campaign, counts);
    }
    const { slots } = counts;
    const from = Math.max(counts.lastSecond + 1, second - slots.length + 1);
    for (let between = from; between <= second; between += 1) slots[between % slots.length] = 0;
    counts.lastSecond = Math.max(counts.lastSecond, second);
    slots[second % slots.length] = (slots[second % slots.length] ?? 0) + count;
  }
}

function sum(fates: Readonly<Partial<Tally>>): number {
  return Object.values(fates).reduce((total, count) => total + count, 0);
}
