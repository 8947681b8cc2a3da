// The record of one limit in shared memory: its fields, its handle, and what it answers, by its kind.
import { invariant, unreachable } from '../base/invariant.ts';
import type { Rate } from '../base/quantity.ts';
import { baseOfSlot, header, read, slotOf, unit, type SharedBlocks } from './limiter_memory.ts';

/** What is limited. The name is for people, and tells one limit of a table from another. */
export type Limit = RateLimit | ConcurrencyLimit | QuotaLimit;

/** `rate.count` permits (or bytes) in every window of `rate.perMs`, wherever it begins. */
export interface RateLimit {
  readonly kind: 'rate' | 'bytes';
  readonly name: string;
  readonly rate: Rate;
  /**
   * After a silence up to so many go at once; without it they keep an even pace from the first on. It changes
   * nothing about the window: what a burst took is missing from the rest of it.
   */
  readonly burst?: number;
  /** Grants nothing that was not reserved on disk before: `LimitTable.reserve`. */
  readonly isDurable?: boolean;
}

/** At most `count` at once, from `take` to `release`. */
export interface ConcurrencyLimit {
  readonly kind: 'concurrent';
  readonly name: string;
  readonly count: number;
}

/**
 * `count` permits up to an instant of the monotonic clock, as from one midnight to the next; nothing behind it until
 * `put` names the next end. It has no pace. Leave a pause between the two for messages under way.
 */
export interface QuotaLimit {
  readonly kind: 'quota';
  readonly name: string;
  readonly count: number;
  readonly endsAtMs: number;
  readonly isDurable?: boolean;
}

/** Values of `field.kind`. */
export const kindNumber = { rate: 1, bytes: 2, concurrent: 3, quota: 4 } as const;

/** Offsets in a record. All times are monotonic ms. The first eight are what a refusal reads: one cache line. */
export const field = {
  /** The handle while the record is in use, else minus the one that it gets next. */
  handle: 0,
  kind: 1,
  /** How many permits, bytes or holders; Infinity where the limit was removed and only counts on. */
  count: 2,
  /** Grants (or bytes) that count now. A cache for rates and concurrency: `recount` makes it anew. */
  heldCount: 3,
  /** When the pace grants next. Quota: when it ends. */
  nextAt: 4,
  /** Permits, or bytes, granted since the beginning. */
  grantedTotal: 5,
  /** What `grantedTotal` may not go beyond. */
  fence: 6,
  /** Where the log is, plus its class; concurrency: where the slots are. */
  log: 7,
  /** Cells since the beginning, so that index % length is the place in the log. tail = head: empty. */
  tail: 8,
  head: 9,
  /** When the youngest cell began. */
  headBeganAt: 10,
  /** The last grant; the time of a limit never goes back behind it. */
  latestAt: 11,
  /** How long a grant counts. */
  heldMs: 12,
  /** Pace: one grant in so many ms. */
  stepMs: 13,
  /** How far the pace may lag behind after a silence. */
  burstMs: 14,
  /** Number of the last take that was granted; keeps a limit that is named twice from counting twice. */
  lastTake: 15,
  /** Until when this limit held somebody up: what it last said. */
  boundUntil: 16,
  /** How often it was the one that binds longest. */
  refusals: 17,
  /** What was last asked for and not reserved. */
  wanted: 18,
  /** The record that was made before this one. */
  chain: 19,
  /** While it is free: the next free one. */
  nextFree: 20,
  /** The youngest grant of what was forgotten last. */
  forgottenAt: 21,
  /** Bytes: what was refused for lack of room, and until when nobody who needs less goes before it. */
  claimed: 22,
  claimedUntil: 23,
} as const;

/** Handles: the number of the record's place, plus this for every time that the place was used before. */
const generationStep = 2 ** 24;
const slotMask = generationStep - 1;

/** The place of the record of `handle`, 0 where the limit is gone, and -1 where there never was one. */
export function findRecord(memory: Float64Array, handle: number): number {
  // Exact for all safe integers: `&` takes the lowest 32 bits.
  const base = baseOfSlot(handle & slotMask);
  if (memory[base] === handle && memory[base + field.kind] !== 0) return base;
  return wasThere(memory[base], handle) ? 0 : -1;
}

/** The handle of a place grows with each use, and is negative while it is free. */
function wasThere(found: number | undefined, handle: number): boolean {
  return found !== undefined && Number.isInteger(handle) && handle >= 0 && Math.abs(found) > handle;
}

/** Under the lock: a record with a handle and nothing else in it; 0 where the memory is used up. */
export function makeRecord(blocks: SharedBlocks): number {
  const used = blocks.popFree(header.freeRecords, field.nextFree);
  const base = used || blocks.allocate(0);
  if (base === 0) return 0;
  const memory = blocks.view;
  const handle = used === 0 ? slotOf(base) : -read(memory, base + field.handle);
  const chain = used === 0 ? read(memory, header.lastRecord) : read(memory, base + field.chain);
  memory.fill(0, base, base + unit);
  memory[base + field.chain] = chain;
  memory[base + field.latestAt] = -Infinity;
  memory[base + field.forgottenAt] = -Infinity;
  memory[base + field.nextAt] = -Infinity;
  memory[base + field.fence] = Infinity;
  memory[base + field.handle] = handle;
  if (used === 0) memory[header.lastRecord] = base;
  return base;
}

/** Under the lock: from now on its handle is of a limit that is gone. */
export function freeRecord(blocks: SharedBlocks, base: number): void {
  const memory = blocks.view;
  const log = read(memory, base + field.log);
  memory[base + field.handle] = -(read(memory, base + field.handle) + generationStep);
  memory[base + field.log] = 0;
  if (log !== 0) blocks.free(logBase(log), logClass(log));
  blocks.pushFree(header.freeRecords, base, field.nextFree);
}

/** Under the lock: calls `visit` with the place of every record in use. */
export function eachRecord(memory: Float64Array, visit: (base: number) => void): void {
  for (let base = read(memory, header.lastRecord); base !== 0; base = read(memory, base + field.chain)) {
    if (read(memory, base + field.handle) >= 0 && read(memory, base + field.kind) !== 0) visit(base);
  }
}

/** A log's place and class share a number, so that both change at once: places are multiples of `unit`. */
export function logBase(log: number): number {
  return log & ~(unit - 1);
}

export function logClass(log: number): number {
  return log & (unit - 1);
}

/** Throws where a limit could never grant, or is no number. */
export function checkLimit(limit: Limit): void {
  const where = `the limit "${limit.name}"`;
  switch (limit.kind) {
    case 'rate':
    case 'bytes':
      checkRate(limit.rate);
      invariant(limit.burst === undefined || limit.burst >= 1, `${where} has a burst of ${limit.burst}`);
      return;
    case 'quota':
      invariant(Number.isFinite(limit.endsAtMs), `${where} ends at ${limit.endsAtMs}`);
      invariant(limit.count >= 0, `${where} has a count of ${limit.count}`);
      return;
    case 'concurrent':
      invariant(limit.count >= 0, `${where} has a count of ${limit.count}`);
      return;
    default:
      unreachable(limit);
  }
}

function checkRate(rate: Rate): void {
  const valid =
    Number.isFinite(rate.count) && Number.isFinite(rate.perMs) && rate.count >= 1 && rate.perMs > 0;
  invariant(valid, `a rate of ${rate.count} per ${rate.perMs} ms; expected a whole count of at least 1`);
}
