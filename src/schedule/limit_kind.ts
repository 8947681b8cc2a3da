// What the kinds of limits do differently: how a record begins, when it grants, and what a grant leaves in it.
import { invariant, unreachable } from '../base/invariant.ts';
import type { Rate } from '../base/quantity.ts';
import { clearSeat, holdSlot, initSlots, nextSlotAt, recountSlots, releaseSlot } from './held_slots.ts';
import { checkLimit, field, kindNumber, type Limit } from './limit_record.ts';
import { read, type SharedBlocks } from './limiter_memory.ts';
import {
  addBytes,
  addGrant,
  claimRoom,
  initLog,
  nextBytesAt,
  nextGrantAt,
  readBurst,
  recountLog,
  reservedAt,
  returnGrant,
  writeRate,
} from './permit_log.ts';

/** Behind the end of a quota: soon, for somebody is about to begin the next. */
const endedRetryMs = 20;

/** Under the lock: makes a fresh record one of this kind; false where the memory is used up. */
export function initLimit(blocks: SharedBlocks, base: number, limit: Limit): boolean {
  checkLimit(limit);
  const isReady =
    limit.kind === 'quota' || (limit.kind === 'concurrent' ? initSlots(blocks, base) : initLog(blocks, base));
  if (!isReady) return false;
  writeLimit(blocks.view, base, limit);
  if (limit.kind !== 'concurrent' && limit.isDurable === true) blocks.view[base + field.fence] = 0;
  blocks.view[base + field.kind] = kindNumber[limit.kind];
  return true;
}

/** Under the lock: changes a limit to one of the same kind; what it counts stays. */
export function writeLimit(memory: Float64Array, base: number, limit: Limit): void {
  checkLimit(limit);
  memory[base + field.boundUntil] = 0;
  switch (limit.kind) {
    case 'rate':
    case 'bytes':
      writeRate(memory, base, limit.rate, limit.burst ?? 1);
      return;
    case 'concurrent':
      memory[base + field.count] = limit.count;
      return;
    case 'quota':
      if (limit.endsAtMs > read(memory, base + field.nextAt)) memory[base + field.heldCount] = 0;
      memory[base + field.count] = limit.count;
      memory[base + field.nextAt] = limit.endsAtMs;
      return;
    default:
      unreachable(limit);
  }
}

/** Under the lock: changes a rate and keeps the burst; false where the limit has no rate. */
export function changeRate(memory: Float64Array, base: number, rate: Rate): boolean {
  const kind = memory[base + field.kind];
  if (kind !== kindNumber.rate && kind !== kindNumber.bytes) return false;
  memory[base + field.boundUntil] = 0;
  writeRate(memory, base, rate, readBurst(memory, base));
  return true;
}

/** Under the lock: the limit holds nobody up any more and goes on counting, so that it can come back. */
export function liftLimit(memory: Float64Array, base: number): void {
  memory[base + field.count] = Infinity;
  memory[base + field.fence] = Infinity;
  memory[base + field.stepMs] = 0;
  const isQuota = memory[base + field.kind] === kindNumber.quota;
  memory[base + field.nextAt] = isQuota ? Infinity : read(memory, base + field.latestAt);
}

/** When the limit grants next: an instant after `nowMs`, 0 for now, Infinity for never. */
export function nextAtOf(blocks: SharedBlocks, base: number, nowMs: number, sizeBytes: number): number {
  const memory = blocks.view;
  const kind = memory[base + field.kind] ?? 0;
  if (kind === kindNumber.rate) return nextGrantAt(memory, base, nowMs, 1);
  if (kind === kindNumber.bytes) return nextBytesAt(memory, base, nowMs, sizeBytes);
  return kind === kindNumber.concurrent ? nextSlotAt(blocks, base, nowMs) : nextOfQuota(memory, base, nowMs);
}

/** Under the lock: a refusal of bytes for lack of room is remembered. */
export function claim(
  memory: Float64Array,
  base: number,
  nowMs: number,
  retryAtMs: number,
  sizeBytes: number,
): void {
  if (memory[base + field.kind] === kindNumber.bytes) claimRoom(memory, base, nowMs, retryAtMs, sizeBytes);
}

function nextOfQuota(memory: Float64Array, base: number, nowMs: number): number {
  const endsAt = read(memory, base + field.nextAt);
  if (nowMs >= endsAt) return nowMs + endedRetryMs;
  if (read(memory, base + field.heldCount) + 1 > read(memory, base + field.count)) return endsAt;
  return reservedAt(memory, base, nowMs, 1);
}

/** Writes down a grant that `nextAtOf` allows. `take` numbers the takes of all threads. */
export function grant(
  blocks: SharedBlocks,
  base: number,
  nowMs: number,
  sizeBytes: number,
  take: number,
): void {
  const memory = blocks.view;
  if (memory[base + field.lastTake] === take) return;
  memory[base + field.lastTake] = take;
  const kind = memory[base + field.kind] ?? 0;
  if (kind === kindNumber.rate) addGrant(blocks, base, nowMs, 1);
  else if (kind === kindNumber.bytes) addBytes(blocks, base, nowMs, sizeBytes);
  else if (kind === kindNumber.concurrent) holdSlot(blocks, base);
  else grantOfQuota(memory, base);
}

function grantOfQuota(memory: Float64Array, base: number): void {
  memory[base + field.heldCount] = read(memory, base + field.heldCount) + 1;
  memory[base + field.grantedTotal] = read(memory, base + field.grantedTotal) + 1;
}

/** Takes back what was granted and is not needed; a quota stays charged, for its period may have ended meanwhile. */
export function takeBack(blocks: SharedBlocks, base: number, grantedAtMs: number, sizeBytes: number): void {
  const kind = blocks.view[base + field.kind];
  if (kind === kindNumber.bytes && sizeBytes > 0) returnGrant(blocks.view, base, grantedAtMs, sizeBytes);
}

/** Gives back one holder of a concurrency limit; others have nothing to give back. */
export function release(blocks: SharedBlocks, base: number): boolean {
  return blocks.view[base + field.kind] !== kindNumber.concurrent || releaseSlot(blocks, base);
}

/** Makes the sums anew after a thread died holding the lock. */
export function recount(memory: Float64Array, base: number): void {
  const kind = memory[base + field.kind];
  invariant(kind !== 0, 'a record without a kind was counted');
  if (kind === kindNumber.concurrent) recountSlots(memory, base);
  else if (kind !== kindNumber.quota) recountLog(memory, base);
}

export function clearSeatOf(memory: Float64Array, base: number, seat: number): void {
  if (memory[base + field.kind] === kindNumber.concurrent) clearSeat(memory, base, seat);
}
