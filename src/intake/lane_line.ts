// Recipients whose lanes are being found out: they wait in a line, so that the order of the list stays.
import type { Recipient } from '../mail/recipient.ts';

/** A lane, or the promise of one, which is never rejected and always kept. */
export type FoundLane = string | Promise<string>;

/** Bounds on what waits. */
export interface LineBounds {
  readonly recipients: number;
  readonly chars: number;
}

const usualBounds: LineBounds = { recipients: 10_000, chars: 8 * 1_048_576 };

interface Waiting {
  readonly recipient: Recipient;
  readonly sizeChars: number;
  readonly zone: string;
  readonly promised: Promise<string>;
  /** Once it is known. */
  lane: string | undefined;
}

/** Whoever has a lane and nobody in front of it passes at once. */
export class LaneLine {
  readonly #pass: (lane: string, recipient: Recipient, sizeChars: number, zone: string) => void;
  readonly #bounds: LineBounds;
  #line: Waiting[] = [];
  #first = 0;
  #chars = 0;

  constructor(
    pass: (lane: string, recipient: Recipient, sizeChars: number, zone: string) => void,
    bounds: LineBounds = usualBounds,
  ) {
    this.#pass = pass;
    this.#bounds = bounds;
  }

  /** Nobody is to be added before `makeRoom`. */
  get isFull(): boolean {
    return this.#length >= this.#bounds.recipients || this.#chars >= this.#bounds.chars;
  }

  /** `zone` goes with the recipient as it is. */
  add(found: FoundLane, recipient: Recipient, sizeChars: number, zone = ''): void {
    this.#passKnown();
    if (typeof found === 'string' && this.#length === 0) return this.#pass(found, recipient, sizeChars, zone);
    const promised = Promise.resolve(found);
    const lane = typeof found === 'string' ? found : undefined;
    const waiting: Waiting = { recipient, sizeChars, zone, promised, lane };
    this.#line.push(waiting);
    this.#chars += sizeChars;
    if (lane === undefined) void promised.then((known) => (waiting.lane = known));
  }

  /** Waits for the first in line, as long as it is full. */
  async makeRoom(): Promise<void> {
    while (this.isFull) await this.#waitForFirst();
  }

  /** Waits for all. */
  async end(): Promise<void> {
    while (this.#length > 0) await this.#waitForFirst();
  }

  get #length(): number {
    return this.#line.length - this.#first;
  }

  async #waitForFirst(): Promise<void> {
    const first = this.#line[this.#first];
    if (first !== undefined) first.lane = await first.promised;
    this.#passKnown();
  }

  #passKnown(): void {
    for (let one = this.#line[this.#first]; one?.lane !== undefined; one = this.#line[this.#first]) {
      this.#first += 1;
      this.#chars -= one.sizeChars;
      this.#pass(one.lane, one.recipient, one.sizeChars, one.zone);
    }
    // Those that have passed go in one cut, for a cut costs the line's length.
    if (this.#first * 2 < this.#line.length) return;
    this.#line = this.#line.slice(this.#first);
    this.#first = 0;
  }
}
