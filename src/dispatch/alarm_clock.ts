// The alarm clock: one who sleeps until a time, or until somebody rouses him; a call that comes before is not lost.

export class AlarmClock {
  #wake: () => void = () => {};
  #isRoused = false;

  rouse(): void {
    this.#isRoused = true;
    this.#wake();
  }

  /** Sleeps for as long as `delayMs` says, which is asked only where nobody has called since the last sleep. */
  async sleep(delayMs: () => number): Promise<void> {
    if (!this.#isRoused) await this.#wait(delayMs());
    this.#isRoused = false;
  }

  async #wait(forMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, forMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }
}
