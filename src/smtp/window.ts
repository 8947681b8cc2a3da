// The window of a session: how many transactions it may have on the wire, by the round trip that was measured.

/** Latency may be this many times the shortest one before the window stops to grow, or shrinks. */
const growBelow = 2;
const shrinkAbove = 4;

/**
 * Grows by one with each transaction that was answered nearly as soon as the quickest one: then the line is what is
 * waited for, and more of it can be filled. Once latency doubles, transactions queue at the relay; more would be in
 * doubt after a drop, and none would be sooner. (The idea is TCP Vegas's: Brakmo, O'Malley, Peterson, 1994.)
 */
export class Window {
  readonly #most: number;
  #size = 1;
  #shortestMs = Infinity;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  /** A transaction was answered `latencyMs` after it was written; `inFlight` were on the wire then, itself included. */
  note(latencyMs: number, inFlight: number): void {
    this.#shortestMs = Math.min(this.#shortestMs, latencyMs);
    // Where the window was not full, it is not what was waited for.
    if (inFlight < this.#size) return;
    if (latencyMs < growBelow * this.#shortestMs) this.#size = Math.min(this.#size + 1, this.#most);
    else if (latencyMs > shrinkAbove * this.#shortestMs) this.#size = Math.max(this.#size - 1, 1);
  }
}
