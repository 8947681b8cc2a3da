// The rate limiter: exact limits in memory that all threads share.
import { threadId } from 'node:worker_threads';
import { invariant } from '../base/invariant.ts';
import type { Rate } from '../base/quantity.ts';
import {
  addGrant,
  blockLength,
  initLog,
  nextGrantAt,
  readGranted,
  recountHeld,
  writeRate,
} from './permit_log.ts';

/** `rate.count` permits in every window of `rate.perMs`, wherever it begins. The name is for people. */
export interface Limit {
  readonly name: string;
  readonly rate: Rate;
}

/** The table of limits. Plain data: give it to the threads, which attach to it. */
export interface LimiterMemory {
  readonly buffer: SharedArrayBuffer;
  readonly names: readonly string[];
}

/** Why there was no permit. */
interface Refusal {
  /** When to ask again, on the clock of `take`. Others may have been quicker then. */
  readonly retryAtMs: number;
  /** Index of the limit that binds longest; `noLimit` where the table was busy for too long. */
  readonly limit: number;
}

export const noLimit = -1;

export interface Limiter {
  /**
   * Takes one permit from all the named limits at once, or from none; a limit that is named twice is asked once.
   * Returns undefined where it is granted. `limits` are indexes into the table, `nowMs` is the monotonic clock that
   * all threads share. Never blocks. One waiter a thread for the same limits is enough: let it wake the others.
   */
  take(limits: readonly number[], nowMs: number): Refusal | undefined;
  /** Changes a rate at once; what was granted lately keeps counting. */
  setRate(limit: number, rate: Rate): void;
  /** Permits granted since the table was created. */
  granted(limit: number): number;
  /**
   * To be called when a thread has died: frees the table if it died holding it, which would refuse everybody for
   * ever. `isAlive` is asked about a `threadId`.
   */
  releaseDead(isAlive: (threadId: number) => boolean): void;
}

/** What this thread writes into the lock. */
const self = threadId + 1;

/** Before the blocks: the lock (an Int32), and the number of the last take (a Float64). */
const headerLength = 2;
const takeNumber = 1;

/** Makes the table; indexes are the positions in `limits`. About 32 KiB a limit, whatever its rate. */
export function createLimiter(limits: readonly Limit[]): LimiterMemory {
  const length = headerLength + limits.length * blockLength;
  const buffer = new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT);
  const memory = new Float64Array(buffer);
  for (const [index, limit] of limits.entries()) {
    checkRate(limit.rate);
    initLog(memory, baseOf(index), limit.rate);
  }
  return { buffer, names: limits.map((limit) => limit.name) };
}

/** A thread's view of the table. It holds nothing that has to be closed. */
export function attachLimiter(memory: LimiterMemory): Limiter {
  return new SharedLimiter(memory);
}

/**
 * The table has one lock: 0 while it is free, else 1 + the threadId of who holds it. It is held for under a
 * microsecond, without an await, an allocation or a call out of this folder. Plain reads and writes in between are
 * ordered by the atomic ones on the lock.
 */
class SharedLimiter implements Limiter {
  readonly #lock: Int32Array;
  readonly #memory: Float64Array;
  readonly #limitCount: number;

  constructor(memory: LimiterMemory) {
    this.#lock = new Int32Array(memory.buffer, 0, 1);
    this.#memory = new Float64Array(memory.buffer);
    this.#limitCount = memory.names.length;
  }

  take(limits: readonly number[], nowMs: number): Refusal | undefined {
    for (const limit of limits) this.#checkIndex(limit);
    // Whoever holds the lock may have been put to sleep by the system: refusing is always right, waiting is not.
    if (!this.#tryLock()) return { retryAtMs: nowMs + busyRetryMs, limit: noLimit };
    let retryAtMs = 0;
    let binding = noLimit;
    for (const limit of limits) {
      const grantAt = nextGrantAt(this.#memory, baseOf(limit), nowMs);
      if (grantAt > retryAtMs) {
        retryAtMs = grantAt;
        binding = limit;
      }
    }
    if (binding === noLimit) this.#grant(limits, nowMs);
    this.#unlock();
    return binding === noLimit ? undefined : { retryAtMs, limit: binding };
  }

  setRate(limit: number, rate: Rate): void {
    this.#checkIndex(limit);
    checkRate(rate);
    this.#lockPatiently();
    writeRate(this.#memory, baseOf(limit), rate);
    this.#unlock();
  }

  /** Without the lock: one aligned Float64, which the machines that Node runs on read whole. */
  granted(limit: number): number {
    this.#checkIndex(limit);
    return readGranted(this.#memory, baseOf(limit));
  }

  releaseDead(isAlive: (threadId: number) => boolean): void {
    const holder = Atomics.load(this.#lock, 0);
    if (holder === 0 || isAlive(holder - 1)) return;
    // From the dead to us, so that nobody sees the counts before they are right. A threadId is never used again.
    if (Atomics.compareExchange(this.#lock, 0, holder, self) !== holder) return;
    for (let index = 0; index < this.#limitCount; index += 1) recountHeld(this.#memory, baseOf(index));
    this.#unlock();
  }

  #grant(limits: readonly number[], nowMs: number): void {
    const take = (this.#memory[takeNumber] ?? 0) + 1;
    this.#memory[takeNumber] = take;
    for (const limit of limits) addGrant(this.#memory, baseOf(limit), nowMs, take);
  }

  #checkIndex(limit: number): void {
    const known = Number.isInteger(limit) && limit >= 0 && limit < this.#limitCount;
    invariant(known, 'a permit was asked of a limit that is not in the table');
  }

  #tryLock(): boolean {
    for (let spin = 0; spin < maxSpins; spin += 1) {
      if (Atomics.compareExchange(this.#lock, 0, 0, self) === 0) return true;
    }
    return false;
  }

  #lockPatiently(): void {
    for (let wait = 0; wait < maxWaits; wait += 1) {
      if (this.#tryLock()) return;
      // Nobody notifies: this sleeps for 1 ms, to leave the processor to whoever holds the lock.
      Atomics.wait(this.#lock, 0, Atomics.load(this.#lock, 0), 1);
    }
    invariant(false, 'the table of limits was held for seconds; has a thread died at it?');
  }

  #unlock(): void {
    Atomics.store(this.#lock, 0, 0);
  }
}

/** About 20 µs. */
const maxSpins = 1000;
const busyRetryMs = 1;
const maxWaits = 3000;

function checkRate(rate: Rate): void {
  const valid =
    Number.isFinite(rate.count) && Number.isFinite(rate.perMs) && rate.count >= 1 && rate.perMs > 0;
  invariant(valid, `a rate of ${rate.count} per ${rate.perMs} ms; expected a whole count of at least 1`);
}

function baseOf(limit: number): number {
  return headerLength + limit * blockLength;
}
