// The permit queue of one thread: who waits for which limit, so that only those are asked about who may be granted.
import { Heap } from '../base/heap.ts';
import { noLimit, type Limiter, type Refusal } from './limiter.ts';

/*
 * 10,000 runs that wait for limits cannot all be asked about at every turn. So whoever is refused joins the line of
 * the limit that binds it longest, and a line has one time: when that limit may grant next.
 *
 *   ready:             items that were not refused yet, by pass
 *   lines (a heap):    limit 7, 12.0 ms: a, d, e     limit 3, 40.5 ms: b      …
 *
 * Invariant: nobody in a line could be granted before the line's time, for each needs its limit. When the time has
 * come its head alone is asked about: granted, the next is asked about next time; refused by the same limit, all wait
 * on; refused by another limit, it moves to that one's line. So a take costs one or two questions, whoever waits.
 * Those who wait for the same limit are served by stride scheduling, as the picker does it: a grant moves an item's pass
 * by 1 / weight, the least pass is next, and of equal ones the one that came first; who was away has no credit for it. Only when the limiter's `changes` has moved is every
 * line's head asked about once.
 */

/** Why an item has no permits. */
export interface ItemRefusal extends Refusal {
  /** True where it is for what this item alone asks of the limit, as for room for a big message: others need not wait with it. */
  readonly isOwn?: boolean;
}

interface Line<T> {
  /** A limit, or the one item that waits for its own sake. */
  readonly key: number | T;
  readonly limit: number;
  dueAtMs: number;
  readonly items: Heap<T>;
}

/** Those who wait for a limit. */
export interface WaitingLine<T> {
  readonly limit: number;
  /** When it may grant next. Monotonic. */
  readonly dueAtMs: number;
  /** The one in it waits for its own sake. */
  readonly isOwn: boolean;
  readonly items: Iterable<T>;
}

export class PermitQueue<T extends object> {
  readonly #limiter: Limiter;
  readonly #ask: (item: T, nowMs: number) => ItemRefusal | undefined;
  readonly #weightOf: (item: T) => number;
  /** Whether an item wants nothing any more: it leaves at its turn, and no permit is asked for it. */
  readonly #isIdle: (item: T) => boolean;
  readonly #ready = new Heap<T>();
  /** Of items that were here. */
  readonly #passes = new WeakMap<T, number>();
  /** Of the item that was granted last. */
  #pass = 0;
  readonly #lines = new Map<number | T, Line<T>>();
  /** The earliest first: a binary heap by `dueAtMs`. */
  readonly #heap: Line<T>[] = [];
  #changesSeen: number;
  #busyUntilMs = 0;
  #size = 0;

  /**
   * `ask` takes an item's permits of that limiter, or says why not. Twice the weight is twice the share. `isIdle` is told of an item
   * once, which is then no longer in the queue.
   */
  constructor(
    limiter: Limiter,
    ask: (item: T, nowMs: number) => ItemRefusal | undefined,
    weightOf: (item: T) => number = () => 1,
    isIdle: (item: T) => boolean = () => false,
  ) {
    this.#limiter = limiter;
    this.#ask = ask;
    this.#weightOf = weightOf;
    this.#isIdle = isIdle;
    this.#changesSeen = limiter.changes;
  }

  get size(): number {
    return this.#size;
  }

  /** Whoever was granted and wants more is added again: so all get their turn. */
  add(item: T): void {
    this.#passes.set(item, Math.max(this.#passOf(item), this.#pass));
    this.#ready.push(this.#passOf(item), item);
    this.#size += 1;
  }

  /** The next item that has its permits, and is no longer in the queue; undefined where none may be granted now. */
  take(nowMs: number): T | undefined {
    this.#followChanges();
    if (nowMs < this.#busyUntilMs) return undefined;
    for (;;) {
      const line = this.#heap[0];
      const isDue = line !== undefined && line.dueAtMs <= nowMs;
      const source = isDue ? line.items : this.#ready;
      const item = source.peek();
      if (item === undefined) return undefined;
      if (this.#isIdle(item)) {
        source.pop();
        if (isDue && line.items.size === 0) this.#dropFirst();
        this.#size -= 1;
        continue;
      }
      const refusal = this.#ask(item, nowMs);
      if (refusal?.limit === noLimit) {
        this.#busyUntilMs = refusal.retryAtMs;
        return undefined;
      }
      if (isDue && refusal !== undefined && keyOf(item, refusal) === line.key) {
        this.#postpone(line, refusal.retryAtMs);
        continue;
      }
      source.pop();
      if (isDue && line.items.size === 0) this.#dropFirst();
      if (refusal === undefined) return this.#grant(item);
      this.#join(item, refusal);
    }
  }

  /** One that was granted and is not back yet had one permit more, which it asked for itself. */
  charge(item: T): void {
    this.#passes.set(item, this.#passOf(item) + 1 / this.#weightOf(item));
  }

  /** When to ask again: 0 for now, Infinity where nothing waits, or only what can never go. */
  get nextAtMs(): number {
    const dueAtMs = this.#ready.size === 0 ? (this.#heap[0]?.dueAtMs ?? Infinity) : 0;
    return this.#size === 0 ? Infinity : Math.max(dueAtMs, this.#busyUntilMs);
  }

  /** Each line, the one that waits longest first. */
  *waiting(): Iterable<WaitingLine<T>> {
    const lines = this.#heap.toSorted((a, b) => b.dueAtMs - a.dueAtMs);
    for (const { key, limit, dueAtMs, items } of lines)
      yield { limit, dueAtMs, isOwn: key !== limit, items: items.values() };
  }

  /** Empties the queue. */
  clear(): T[] {
    const items = [...drain(this.#ready), ...this.#heap.flatMap((line) => drain(line.items))];
    this.#heap.length = 0;
    this.#lines.clear();
    this.#size = 0;
    return items;
  }

  #grant(item: T): T {
    const pass = this.#passOf(item);
    this.#pass = Math.max(this.#pass, pass);
    this.#passes.set(item, pass + 1 / this.#weightOf(item));
    this.#size -= 1;
    return item;
  }

  #passOf(item: T): number {
    return this.#passes.get(item) ?? 0;
  }

  #followChanges(): void {
    const { changes } = this.#limiter;
    if (changes === this.#changesSeen) return;
    this.#changesSeen = changes;
    // All times alike: a heap in any order.
    for (const line of this.#heap) line.dueAtMs = 0;
  }

  #join(item: T, refusal: ItemRefusal): void {
    const { limit, retryAtMs: dueAtMs } = refusal;
    const key = keyOf(item, refusal);
    const known = this.#lines.get(key);
    if (known !== undefined) {
      known.items.push(this.#passOf(item), item);
      return;
    }
    const line = { key, limit, dueAtMs, items: new Heap<T>() };
    line.items.push(this.#passOf(item), item);
    this.#lines.set(key, line);
    this.#heap.push(line);
    this.#siftUp(this.#heap.length - 1);
  }

  /** Of the first line. */
  #postpone(line: Line<T>, dueAtMs: number): void {
    line.dueAtMs = dueAtMs;
    this.#siftDown();
  }

  #dropFirst(): void {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return;
    this.#lines.delete(first.key);
    if (last === first) return;
    this.#heap[0] = last;
    this.#siftDown();
  }

  #siftUp(from: number): void {
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfEarlier(index, parent)) return;
      index = parent;
    }
  }

  #siftDown(): void {
    let index = 0;
    for (;;) {
      const left = index * 2 + 1;
      const right = left + 1;
      const earlier = this.#dueAt(right) < this.#dueAt(left) ? right : left;
      if (!this.#swapIfEarlier(earlier, index)) return;
      index = earlier;
    }
  }

  #dueAt(index: number): number {
    return this.#heap[index]?.dueAtMs ?? Infinity;
  }

  #swapIfEarlier(child: number, parent: number): boolean {
    const [lower, upper] = [this.#heap[child], this.#heap[parent]];
    if (lower === undefined || upper === undefined || lower.dueAtMs >= upper.dueAtMs) return false;
    this.#heap[child] = upper;
    this.#heap[parent] = lower;
    return true;
  }
}

function keyOf<T extends object>(item: T, { limit, isOwn }: ItemRefusal): number | T {
  return isOwn === true ? item : limit;
}

function drain<T>(heap: Heap<T>): T[] {
  const items: T[] = [];
  for (let item = heap.pop(); item !== undefined; item = heap.pop()) items.push(item);
  return items;
}
