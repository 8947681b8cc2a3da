// The rate limiter, as a thread sees it: permits from all limits of a message at once, or from none.
import { invariant } from '../base/invariant.ts';
import type { Rate } from '../base/quantity.ts';
import {
  changeRate,
  claim,
  clearSeatOf,
  grant,
  initLimit,
  nextAtOf,
  recount,
  release,
  takeBack,
} from './limit_kind.ts';
import { checkLimit, eachRecord, field, findRecord, makeRecord, type Limit } from './limit_record.ts';
import { createMemory, header, read, seatCount, SharedBlocks, type LimiterMemory } from './limiter_memory.ts';

export type { Limit } from './limit_record.ts';
export type { LimiterMemory } from './limiter_memory.ts';

/** Why there was no permit. */
export interface Refusal {
  /**
   * When to ask again, on the clock of `take`. Others may have been quicker then. Infinity where a message has more
   * bytes than a limit grants in its whole window: it can never go.
   */
  readonly retryAtMs: number;
  /** The limit that binds longest; `noLimit` where the table was busy for too long. */
  readonly limit: number;
}

export const noLimit = -1;

export interface Limiter {
  /**
   * Takes a permit from all the named limits at once, or from none; a limit that is named twice is asked once.
   * Returns undefined where it is granted. `limits` are handles of the table, those that were removed since limit
   * nothing; `nowMs` is the monotonic clock that all threads share; `sizeBytes` is what limits of bytes count. A slot
   * of a concurrency limit is held until `release`. Never blocks. One waiter a thread for the same limits is enough:
   * let it wake the others (`PermitQueue`).
   */
  take(limits: readonly number[], nowMs: number, sizeBytes?: number): Refusal | undefined;
  /** What `take` would answer. Nothing is granted; a refusal counts as one. */
  look(limits: readonly number[], nowMs: number, sizeBytes?: number): Refusal | undefined;
  /** Gives back the slots that one granted `take` of this thread holds. Rates among `limits` are left alone. */
  release(limits: readonly number[]): void;
  /** Takes back bytes that were asked for at `grantedAtMs` and not needed, as where a message came out smaller. */
  returnBytes(limits: readonly number[], grantedAtMs: number, sizeBytes: number): void;
  /** Changes a rate at once; what was granted lately keeps counting, and a burst stays one. */
  setRate(limit: number, rate: Rate): void;
  /** Permits (or bytes) granted since the limit was made; what was taken back is among them. */
  granted(limit: number): number;
  /** How often a refused caller may now be granted before its time: a limit was raised, a slot came free. */
  readonly changes: number;
  /**
   * To be called when a thread has died, and now and then in case nobody noticed: frees the table if it died holding
   * it, which would refuse everybody for ever, and the slots that it held. `isAlive` is asked about a `threadId`.
   */
  releaseDead(isAlive: (threadId: number) => boolean): void;
}

/** Makes the memory; handles of `limits` are their positions. Half a KiB a limit, more where there is traffic. */
export function createLimiter(limits: readonly Limit[]): LimiterMemory {
  for (const limit of limits) checkLimit(limit);
  const memory = createMemory();
  const blocks = new SharedBlocks(memory);
  // All records before the first log: so the first handles are 0, 1, 2, …
  const places = limits.map(() => makeRecord(blocks));
  for (const [position, limit] of limits.entries()) {
    const base = places[position] ?? 0;
    invariant(base !== 0 && initLimit(blocks, base, limit), 'more limits than the memory holds');
  }
  return memory;
}

/** A thread's view of the table. It holds nothing that has to be closed. `thread` is for tests: a stand-in's id. */
export function attachLimiter(memory: LimiterMemory, thread?: number): Limiter {
  return new SharedLimiter(new SharedBlocks(memory, thread));
}

/** What happens under the lock, and who may die there: INTERNALS.md. */
class SharedLimiter implements Limiter {
  readonly #blocks: SharedBlocks;
  /** Where the records of the limits of a take are: found once. */
  #places: Int32Array = new Int32Array(16);

  constructor(blocks: SharedBlocks) {
    this.#blocks = blocks;
  }

  take(limits: readonly number[], nowMs: number, sizeBytes = 0): Refusal | undefined {
    return this.#ask(limits, nowMs, sizeBytes, true);
  }

  look(limits: readonly number[], nowMs: number, sizeBytes = 0): Refusal | undefined {
    return this.#ask(limits, nowMs, sizeBytes, false);
  }

  #ask(limits: readonly number[], nowMs: number, sizeBytes: number, takes: boolean): Refusal | undefined {
    const blocks = this.#blocks;
    if (limits.length > this.#places.length) this.#places = new Int32Array(limits.length);
    // Whoever holds the lock may have been put to sleep by the system: refusing is always right, waiting is not.
    if (!blocks.tryLock()) return { retryAtMs: nowMs + busyRetryMs, limit: noLimit };
    let retryAtMs = 0;
    let binding = noLimit;
    let isKnown = true;
    const places = this.#places;
    const count = limits.length;
    for (let index = 0; index < count; index += 1) {
      const limit = limits[index] ?? noLimit;
      const base = findRecord(blocks.view, limit);
      places[index] = base;
      if (base === -1) isKnown = false;
      if (base <= 0) continue;
      const grantAt = nextAtOf(blocks, base, nowMs, sizeBytes);
      if (grantAt > retryAtMs) {
        retryAtMs = grantAt;
        binding = limit;
      }
    }
    if (isKnown && binding !== noLimit) this.#noteRefusal(binding, nowMs, retryAtMs, sizeBytes);
    else if (isKnown && takes) this.#grant(count, nowMs, sizeBytes);
    blocks.unlock();
    invariant(isKnown, 'a permit was asked of a limit that is not in the table');
    return binding === noLimit ? undefined : { retryAtMs, limit: binding };
  }

  release(limits: readonly number[]): void {
    const isHeld = this.#change(limits, (base) => release(this.#blocks, base));
    invariant(isHeld, 'a slot was released that this thread does not hold');
  }

  returnBytes(limits: readonly number[], grantedAtMs: number, sizeBytes: number): void {
    this.#change(limits, (base) => {
      takeBack(this.#blocks, base, grantedAtMs, sizeBytes);
      return true;
    });
  }

  setRate(limit: number, rate: Rate): void {
    checkLimit({ kind: 'rate', name: 'whose rate changes', rate });
    const isRate = this.#change([limit], (base) => changeRate(this.#blocks.view, base, rate));
    invariant(isRate, 'the rate of a limit was changed that has none');
    this.#blocks.noteChange();
  }

  granted(limit: number): number {
    let granted = 0;
    this.#change([limit], (base) => {
      granted = read(this.#blocks.view, base + field.grantedTotal);
      return true;
    });
    return granted;
  }

  get changes(): number {
    return this.#blocks.changes;
  }

  releaseDead(isAlive: (threadId: number) => boolean): void {
    const blocks = this.#blocks;
    if (blocks.inheritLock(isAlive)) {
      eachRecord(blocks.view, (base) => recount(blocks.view, base));
      blocks.unlock();
    }
    for (let seat = header.seats; seat < header.seats + seatCount; seat += 1) {
      const holder = read(blocks.view, seat);
      if (holder !== 0 && !isAlive(holder - 1)) this.#freeSeat(seat, holder);
    }
  }

  #freeSeat(seat: number, holder: number): void {
    const { view } = this.#lockedBlocks();
    // Somebody else may have been quicker, and the seat somebody's who lives.
    if (view[seat] === holder) {
      eachRecord(view, (base) => clearSeatOf(view, base, seat - header.seats));
      view[seat] = 0;
    }
    this.#blocks.unlock();
    this.#blocks.noteChange();
  }

  #grant(count: number, nowMs: number, sizeBytes: number): void {
    const blocks = this.#blocks;
    const take = read(blocks.view, header.takeNumber) + 1;
    blocks.view[header.takeNumber] = take;
    for (let index = 0; index < count; index += 1) {
      const base = this.#places[index] ?? 0;
      if (base > 0) grant(blocks, base, nowMs, sizeBytes, take);
    }
  }

  #noteRefusal(binding: number, nowMs: number, retryAtMs: number, sizeBytes: number): void {
    // Nobody waits for what never comes.
    if (retryAtMs === Infinity) return;
    const { view } = this.#blocks;
    const base = findRecord(view, binding);
    if (sizeBytes > 0) claim(view, base, nowMs, retryAtMs, sizeBytes);
    view[base + field.boundUntil] = retryAtMs;
    view[base + field.refusals] = read(view, base + field.refusals) + 1;
  }

  /** Does something to each limit that is there, under the lock, once; false where it was refused for one of them. */
  #change(limits: readonly number[], change: (base: number) => boolean): boolean {
    const { view } = this.#lockedBlocks();
    let isKnown = true;
    let isDone = true;
    for (const [position, limit] of limits.entries()) {
      const base = findRecord(view, limit);
      if (base === -1) isKnown = false;
      if (base > 0 && limits.indexOf(limit) === position && !change(base)) isDone = false;
    }
    this.#blocks.unlock();
    invariant(isKnown, 'a limit was named that is not in the table');
    return isDone;
  }

  #lockedBlocks(): SharedBlocks {
    this.#blocks.lockPatiently();
    return this.#blocks;
  }
}

const busyRetryMs = 1;
