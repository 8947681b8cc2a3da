// The limiter's memory: one growing piece of shared memory, its lock, and the blocks that it is cut into.
import { threadId } from 'node:worker_threads';
import { invariant } from '../base/invariant.ts';

/*
 * Float64 numbers; a block begins at a multiple of `unit`. INTERNALS.md has the picture.
 *
 *   header | record | record | log | record | log | log …          usedLength ▸ not yet given out
 *
 * Blocks have classes: class k is `unit << k` long. Freed blocks are kept in a list a class, and serve again for
 * the same class only. Records have a list of their own, for a record's handle must outlive it.
 */

/** The shared memory of the limits. Plain data: give it to the threads, which attach to it. */
export interface LimiterMemory {
  readonly buffer: SharedArrayBuffer;
}

/** Length of the smallest block, and of a record, in Float64. */
export const unit = 32;
/** The longest block is `unit << maxClass`. */
export const maxClass = 5;
/** How many threads may hold slots of concurrency limits at once. Some are for threads whose death is not yet noticed. */
export const seatCount = 64;

/** Where things are in the header. The first Float64 holds two Int32: the lock and the number of changes. */
export const header = {
  takeNumber: 1,
  usedLength: 2,
  /** The record that was made last; each names the one before it. */
  lastRecord: 3,
  freeRecords: 4,
  /** One for each class. */
  freeBlocks: 5,
  /** 1 + threadId of who holds slots, or 0. */
  seats: 32,
} as const;
const headerLength = header.seats + seatCount;

const growBytes = 1024 * 1024;
/** Address space only: a page costs memory when it is written to. Room for 60,000 limits that are all busy, and a million others. */
const maxBytes = 512 * growBytes;

export function createMemory(): LimiterMemory {
  const buffer = new SharedArrayBuffer(growBytes, { maxByteLength: maxBytes });
  new Float64Array(buffer, 0, headerLength)[header.usedLength] = headerLength;
  return { buffer };
}

/** The number of the record at `base`, counted in blocks behind the header; and back. */
export function slotOf(base: number): number {
  return (base - headerLength) / unit;
}

export function baseOfSlot(slot: number): number {
  return headerLength + slot * unit;
}

/**
 * A thread's view of the memory. One lock: 0 while it is free, else 1 + the threadId of who holds it. It is held for
 * about a microsecond, without an await or a call out of this folder. Plain reads and writes in between are ordered
 * by the atomic ones on the lock.
 *
 * `view` has a fixed length and is made anew when the memory has grown: a view that follows the length by itself is
 * twenty times as slow (bench/limiter.ts).
 */
export class SharedBlocks {
  view: Float64Array;
  /** What this thread writes into the lock, and into its seat. */
  readonly self: number;
  readonly #buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  #seat = -1;

  constructor(memory: LimiterMemory, thread: number = threadId) {
    this.self = thread + 1;
    this.#buffer = memory.buffer;
    this.#words = new Int32Array(memory.buffer, 0, 2);
    this.view = this.#viewAll();
  }

  /** False where somebody else holds it for longer than some 20 µs: the system may have put that thread to sleep. */
  tryLock(): boolean {
    for (let spin = 0; spin < maxSpins; spin += 1) {
      if (Atomics.compareExchange(this.#words, 0, 0, this.self) === 0) {
        this.#follow();
        return true;
      }
    }
    return false;
  }

  lockPatiently(): void {
    for (let wait = 0; wait < maxWaits; wait += 1) {
      if (this.tryLock()) return;
      // Nobody notifies: this sleeps for 1 ms, to leave the processor to whoever holds the lock.
      Atomics.wait(this.#words, 0, Atomics.load(this.#words, 0), 1);
    }
    invariant(false, 'the table of limits was held for seconds; has a thread died at it?');
  }

  /** Takes the lock from a thread that died with it; false where it was not dead, or somebody else was quicker. */
  inheritLock(isAlive: (threadId: number) => boolean): boolean {
    const holder = Atomics.load(this.#words, 0);
    if (holder === 0 || isAlive(holder - 1)) return false;
    // From the dead to us, so that nobody sees the counts before they are right. A threadId is never used again.
    if (Atomics.compareExchange(this.#words, 0, holder, this.self) !== holder) return false;
    this.#follow();
    return true;
  }

  unlock(): void {
    Atomics.store(this.#words, 0, 0);
  }

  /**
   * Under the lock: the number of this thread's seat, which it gets when it first asks; -1 where all are taken. It is
   * its own until it is dead.
   */
  takeSeat(): number {
    if (this.#seat !== -1) return this.#seat;
    const seats = this.view.subarray(header.seats, header.seats + seatCount);
    const own = seats.indexOf(this.self);
    this.#seat = own === -1 ? seats.indexOf(0) : own;
    if (this.#seat !== -1) seats[this.#seat] = this.self;
    return this.#seat;
  }

  /** Goes up whenever somebody who was refused may be granted earlier than he was told. */
  get changes(): number {
    return Atomics.load(this.#words, 1);
  }

  noteChange(): void {
    Atomics.add(this.#words, 1, 1);
  }

  /** Under the lock: a block of this class, with what was last in it; 0 where the memory is used up. */
  allocate(blockClass: number): number {
    return this.popFree(header.freeBlocks + blockClass) || this.#cut(unit << blockClass);
  }

  /** Under the lock: gives a block back. A thread that dies in between loses the block, and nothing else. */
  free(base: number, blockClass: number): void {
    this.pushFree(header.freeBlocks + blockClass, base, 0);
  }

  /** Takes a block from the list that begins at `list` and goes on at `link` of each block; 0 where it is empty. */
  popFree(list: number, link = 0): number {
    const base = this.view[list] ?? 0;
    if (base !== 0) this.view[list] = this.view[base + link] ?? 0;
    return base;
  }

  pushFree(list: number, base: number, link: number): void {
    this.view[base + link] = this.view[list] ?? 0;
    this.view[list] = base;
  }

  #cut(length: number): number {
    const base = this.view[header.usedLength] ?? 0;
    const neededBytes = (base + length) * Float64Array.BYTES_PER_ELEMENT;
    if (neededBytes > this.#buffer.byteLength) {
      if (neededBytes > this.#buffer.maxByteLength) return 0;
      this.#buffer.grow(Math.ceil(neededBytes / growBytes) * growBytes);
      this.view = this.#viewAll();
    }
    this.view[header.usedLength] = base + length;
    return base;
  }

  /** Somebody else may have let the memory grow. */
  #follow(): void {
    if ((this.view[header.usedLength] ?? 0) > this.view.length) this.view = this.#viewAll();
  }

  #viewAll(): Float64Array {
    return new Float64Array(this.#buffer, 0, this.#buffer.byteLength / Float64Array.BYTES_PER_ELEMENT);
  }
}

const maxSpins = 1000;
const maxWaits = 3000;

/** Invariant: every index is within a block, so NaN is never read; it would refuse or grant without end. */
export function read(memory: Float64Array, index: number): number {
  return memory[index] ?? Number.NaN;
}
