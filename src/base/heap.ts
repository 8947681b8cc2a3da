// A binary heap: the entry with the least key comes first; of equal keys, the one that came first.

interface Entry<T> {
  readonly key: number;
  readonly order: number;
  readonly value: T;
}

export class Heap<T> {
  readonly #entries: Entry<T>[] = [];
  #pushed = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** The least key; undefined where there is none. */
  get firstKey(): number | undefined {
    return this.#entries[0]?.key;
  }

  push(key: number, value: T): void {
    const entry = { key, order: this.#pushed, value };
    this.#pushed += 1;
    this.#entries.push(entry);
    this.#rise(this.#entries.length - 1, entry);
  }

  /** In no order. */
  *values(): Iterable<T> {
    for (const { value } of this.#entries) yield value;
  }

  peek(): T | undefined {
    return this.#entries[0]?.value;
  }

  pop(): T | undefined {
    const first = this.#entries[0];
    const last = this.#entries.pop();
    if (last !== undefined && this.#entries.length > 0) this.#sink(last);
    return first?.value;
  }

  #rise(from: number, entry: Entry<T>): void {
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#entries[above];
      if (parent === undefined || isBefore(parent, entry)) break;
      this.#entries[index] = parent;
      index = above;
    }
    this.#entries[index] = entry;
  }

  /** Puts an entry in the place of the first. */
  #sink(entry: Entry<T>): void {
    let index = 0;
    for (;;) {
      const left = this.#entries[2 * index + 1];
      const right = this.#entries[2 * index + 2];
      if (left === undefined) break;
      const goesRight = right !== undefined && isBefore(right, left);
      const child = goesRight ? right : left;
      if (isBefore(entry, child)) break;
      this.#entries[index] = child;
      index = 2 * index + (goesRight ? 2 : 1);
    }
    this.#entries[index] = entry;
  }
}

function isBefore<T>(one: Entry<T>, other: Entry<T>): boolean {
  return one.key < other.key || (one.key === other.key && one.order < other.order);
}
