// The window of a session: how many transactions it may have on the wire, by the round trip that was measured.

/** Latency may be this many times the shortest one before the window stops to grow, or is halved. */
const growBelow = 2;
const shrinkAbove = 4;

/**
 * Grows by one with each transaction that was answered nearly as soon as the quickest one: then the line is what is
 * waited for, and more of it can be filled. Once latency doubles, transactions queue at the relay; more would be in
 * doubt after a drop, and none would be sooner. (The idea is TCP Vegas's: Brakmo, O'Malley, Peterson, 1994.)
 *
 * Halved at four times the shortest latency, where half of it still fills the line; then the transactions that were on
 * the wire already say nothing new, lest one stall of the relay takes the window down to 1.
 */
export class Window {
  readonly #most: number;
  #size = 1;
  #shortestMs = Infinity;
  /** Transactions to be answered that were written before the window was halved. */
  #stale = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * A transaction was answered `latencyMs` after it was written. `isFull`: as many as `size` were on the wire when the
   * answer came, itself included; answers that come in one read came at the same time.
   */
  note(latencyMs: number, isFull: boolean): void {
    this.#shortestMs = Math.min(this.#shortestMs, latencyMs);
    if (this.#stale > 0) {
      this.#stale -= 1;
      return;
    }
    // Where the window was not full, it is not what was waited for.
    if (!isFull) return;
    if (latencyMs < growBelow * this.#shortestMs) this.#size = Math.min(this.#size + 1, this.#most);
    else if (latencyMs > shrinkAbove * this.#shortestMs) {
      this.#stale = this.#size - 1;
      this.#size = Math.max(Math.floor(this.#size / 2), 1);
    }
  }
}
