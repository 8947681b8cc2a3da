// The watchdog's decision: whether sending makes progress, or rightly stands still. Pure.

export interface Progress {
  /** How often threads have written down what went out and what came of it. A batch may take far longer than our patience. */
  readonly commits: number;
  /** Campaigns that threads have batches of: those that limits hold up come back from them within a minute, or ten where room is claimed. */
  readonly underWay: number;
}

/** So long nothing at all may come of what is under way: the longest time that RFC 5321 §4.5.3.2 gives a relay, and some. */
const patienceMs = 15 * 60_000;

/** Feeds as long as something is written down, or nothing is to be done; `nowMs` is monotonic. */
export class Watchdog {
  #commits = -1;
  #progressAtMs = 0;

  /** Whether the process is sound, as far as its sending shows. */
  isSound({ commits, underWay }: Progress, nowMs: number): boolean {
    if (commits !== this.#commits || underWay === 0) {
      this.#commits = commits;
      this.#progressAtMs = nowMs;
    }
    return nowMs - this.#progressAtMs < patienceMs;
  }
}
