// Which entries of the inbox are in passing trouble, and when each is tried again.

const [firstWaitMs, maxWaitMs] = [1000, 60_000];

/** Times are in ms of a clock that never goes back. It holds no more than the inbox does. */
export class EntryTroubles {
  readonly #waits = new Map<string, { readonly waitMs: number; readonly dueAt: number }>();

  isDue(name: string, at: number): boolean {
    return at >= (this.#waits.get(name)?.dueAt ?? at);
  }

  /** Puts the next try off. Returns whether this is the first trouble, or one of many in a row. */
  note(name: string, at: number): boolean {
    const before = this.#waits.get(name);
    const waitMs = before === undefined ? firstWaitMs : Math.min(before.waitMs * 2, maxWaitMs);
    this.#waits.set(name, { waitMs, dueAt: at + waitMs });
    return before === undefined;
  }

  /** Forgets all others: they are gone. */
  keep(names: readonly string[]): void {
    const there = new Set(names);
    for (const name of this.#waits.keys()) if (!there.has(name)) this.#waits.delete(name);
  }
}
