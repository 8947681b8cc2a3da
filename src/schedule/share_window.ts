// A share over the last outcomes: how many of the last M were of some kind.

/** Memory is M octets. */
export class ShareWindow {
  readonly #marks: Uint8Array;
  #next = 0;
  #seen = 0;
  #marked = 0;

  /** `size` is M. */
  constructor(size: number) {
    this.#marks = new Uint8Array(size);
  }

  add(isMarked: boolean): void {
    this.#marked += (isMarked ? 1 : 0) - (this.#marks[this.#next] ?? 0);
    this.#marks[this.#next] = isMarked ? 1 : 0;
    this.#next = (this.#next + 1) % this.#marks.length;
    this.#seen = Math.min(this.#seen + 1, this.#marks.length);
  }

  /** True once M were seen and more than `share` of them are marked: a bad beginning of three is no share. */
  isAbove(share: number): boolean {
    return this.#seen === this.#marks.length && this.#marked > share * this.#marks.length;
  }

  get marked(): number {
    return this.#marked;
  }

  clear(): void {
    this.#marks.fill(0);
    this.#next = 0;
    this.#seen = 0;
    this.#marked = 0;
  }
}
