// Leave to open sessions: one thread's view of the limits of new sessions to a relay.
import type { Limiter } from '../schedule/limiter.ts';
import type { Wait } from '../smtp/pool.ts';

/** How much later than a thread without one a thread asks that has sessions: first of all, and after each refusal. */
const [firstCourtesyMs, courtesyMs] = [500, 10];

/** A thread that has no session goes first: without one, what it has to send waits. */
export class Openings {
  readonly #limiter: Limiter;
  /** Handles; none where sessions are opened freely. */
  limits: readonly number[] = [];
  /** Until then one session is enough. -Infinity before there was one. */
  #courteousUntilMs = -Infinity;

  constructor(limiter: Limiter) {
    this.#limiter = limiter;
  }

  /** Leave to open a session beside `others`, or how long there is none. */
  take(nowMs: number, others: number): Wait | undefined {
    if (this.limits.length === 0) return undefined;
    if (others > 0 && nowMs < this.#courteousUntilMs)
      return { kind: 'wait', delayMs: this.#courteousUntilMs - nowMs };
    const refusal = this.#limiter.take(this.limits, nowMs);
    if (refusal !== undefined) {
      const laterMs = others > 0 ? courtesyMs : 0;
      return { kind: 'wait', delayMs: refusal.retryAtMs - nowMs + laterMs };
    }
    if (this.#courteousUntilMs === -Infinity) this.#courteousUntilMs = nowMs + firstCourtesyMs;
    return undefined;
  }
}
