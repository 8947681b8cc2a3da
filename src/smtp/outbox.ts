// The outbox: what a session is to write, and how much of it the socket has taken, in octets since the session began.

/**
 * All ASCII, so a character is an octet. What has been taken counts as sent; the rest never was:
 *
 *   0 ……………… taken ……………… end
 *     sent          waiting
 */
export class Outbox {
  #waiting = '';
  #takenTo = 0;

  /** Where the next octet will stand. */
  get end(): number {
    return this.#takenTo + this.#waiting.length;
  }

  /** Octets that wait to be taken. */
  get length(): number {
    return this.#waiting.length;
  }

  /** True when the octet at `place` has been taken. */
  hasTaken(place: number): boolean {
    return this.#takenTo > place;
  }

  /** True when the octet at `place` waits and is among the next `mostOctets` to be taken. */
  takesNext(place: number, mostOctets: number): boolean {
    return place >= this.#takenTo && place < Math.min(this.#takenTo + mostOctets, this.end);
  }

  put(text: string): void {
    this.#waiting += text;
  }

  /** Takes what waits, at most so many octets. */
  take(mostOctets: number): string {
    const whole = this.#waiting;
    const output = whole.length > mostOctets ? whole.slice(0, mostOctets) : whole;
    this.#waiting = output === whole ? '' : whole.slice(mostOctets);
    this.#takenTo += output.length;
    return output;
  }

  /** Forgets what waits: it will never be sent. */
  clear(): void {
    this.#waiting = '';
  }
}
