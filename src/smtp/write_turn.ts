// The write turn: what all sessions have to write in one turn of the event loop, written down first and then sent.

/** Where it is written down, before they are sent, whose ends of data go out. */
export interface WriteAhead<T> {
  noteEnd(transaction: T): void;
  /**
   * Keeps what was noted. Returns undefined once that is done, or a promise of it. When it throws or rejects, nothing that was noted
   * is sent.
   */
  commit(): Promise<void> | undefined;
  /** A commit failed; every session has been ended. */
  failed(error: unknown): void;
}

/** What a session is here. */
interface Writer {
  /** Names the transactions whose end of data the next `write` will send. */
  announce(): void;
  /** Sends what was announced. */
  write(): void;
}

/**
 * States: idle → gathering (somebody has something; the turn is not over) → committing → idle, and again. A commit that fails is the
 * end: what is not written down is not sent.
 */
export class WriteTurn<T> {
  readonly #writeAhead: WriteAhead<T> | undefined;
  readonly #failed: (error: unknown) => void;
  /** Sessions that have something to write, in the order in which they said so. */
  #writers = new Set<Writer>();
  #isUnderWay = false;

  /** `failed` is called once, when nothing may be written any more. */
  constructor(writeAhead: WriteAhead<T> | undefined, failed: (error: unknown) => void) {
    this.#writeAhead = writeAhead;
    this.#failed = failed;
  }

  /** Somebody wants to write when this turn is over. */
  add(writer: Writer): void {
    this.#writers.add(writer);
    this.#begin();
  }

  /** The end of this one's data is in what its session writes next. */
  noteEnd(transaction: T): void {
    this.#writeAhead?.noteEnd(transaction);
  }

  /** Something else was noted that is to be kept in this turn, though nobody may have anything to write. */
  keep(): void {
    if (this.#writeAhead !== undefined) this.#begin();
  }

  /** After the events of this turn, so that one commit serves all sessions that were answered in it. */
  #begin(): void {
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    setImmediate(() => this.#commit());
  }

  #commit(): void {
    const writers = this.#writers;
    this.#writers = new Set();
    for (const writer of writers) writer.announce();
    let kept: Promise<void> | undefined;
    try {
      kept = this.#writeAhead?.commit();
    } catch (error) {
      return this.#failed(error);
    }
    if (kept === undefined) return this.#write(writers);
    kept.then(
      () => this.#write(writers),
      (error: unknown) => this.#failed(error),
    );
  }

  /** Sessions that said meanwhile that they have something are next. */
  #write(writers: ReadonlySet<Writer>): void {
    this.#isUnderWay = false;
    for (const writer of writers) writer.write();
    if (this.#writers.size > 0) this.#begin();
  }
}
