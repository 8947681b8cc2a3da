// The watchdog's decision: whether sending makes progress, or rightly stands still. Pure.

export interface Progress {
  /** Recipients with an outcome since the beginning. */
  readonly answered: number;
  /** Batches in the threads' hands. */
  readonly inHand: number;
  /** Something holds everything up that is not ours: a limit, a relay that is left alone, a pause, the disk. */
  readonly isHeld: boolean;
}

/** So long a batch may be under way with no answer at all: the longest time that RFC 5321 §4.5.3.2 gives a relay, and some. */
const patienceMs = 15 * 60_000;

/** Feeds as long as something is answered, or nothing is to be done; `nowMs` is monotonic. */
export class Watchdog {
  #answered = -1;
  #progressAtMs = 0;

  /** Whether the process is sound, as far as its sending shows. */
  isSound({ answered, inHand, isHeld }: Progress, nowMs: number): boolean {
    const isAtWork = inHand > 0 && !isHeld;
    if (answered !== this.#answered || !isAtWork) {
      this.#answered = answered;
      this.#progressAtMs = nowMs;
    }
    return nowMs - this.#progressAtMs < patienceMs;
  }
}
