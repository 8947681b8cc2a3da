// How many sessions a relay lets us have: fewer when it refuses one, more again when time has passed.

/** After a refusal one more session is tried every so often. */
const growEveryMs = 30_000;

/** Additive increase, and on a refusal back to what the relay has let us keep. Times are monotonic. */
export class ConnectionLimit {
  readonly share: number;
  #allowed: number;
  #growAt = Infinity;

  /** `share`: never more than this. */
  constructor(share: number) {
    this.share = share;
    this.#allowed = share;
  }

  allowed(nowMs: number): number {
    while (nowMs >= this.#growAt) {
      this.#allowed = Math.min(this.#allowed + 1, this.share);
      this.#growAt = this.#allowed === this.share ? Infinity : this.#growAt + growEveryMs;
    }
    return this.#allowed;
  }

  /** The relay refused a session while `open` others were there: these it can bear. */
  refused(open: number, nowMs: number): void {
    this.#allowed = Math.max(1, Math.min(open, this.#allowed));
    this.#growAt = nowMs + growEveryMs;
  }
}
