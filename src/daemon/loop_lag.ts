// How late this thread's event loop is: a timer that looks how late it comes.

const everyMs = 100;
const stretchMs = 10_000;

export class LoopLag {
  readonly #timer: NodeJS.Timeout;
  #expectedAt = performance.now() + everyMs;
  #stretchSince = performance.now();
  #worstMs = 0;
  #lastWorstMs = 0;

  constructor() {
    this.#timer = setInterval(() => this.#look(), everyMs);
    this.#timer.unref();
  }

  /** In the last ten to twenty seconds. */
  get worstMs(): number {
    return Math.max(this.#worstMs, this.#lastWorstMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    this.#worstMs = Math.max(this.#worstMs, now - this.#expectedAt);
    this.#expectedAt = now + everyMs;
    if (now - this.#stretchSince < stretchMs) return;
    [this.#lastWorstMs, this.#worstMs, this.#stretchSince] = [this.#worstMs, 0, now];
  }
}
