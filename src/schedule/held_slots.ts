// The slots of a concurrency limit: how many each thread holds, so that a dead thread's come free.
import { field } from './limit_record.ts';
import { read, seatCount, type SharedBlocks } from './limiter_memory.ts';

/*
 * A block of `seatCount` counts, one for each seat of the header; a seat is a thread's while it lives. `heldCount` is
 * their sum. It goes up before the thread's own count and down behind it, so what a dying thread leaves is too high.
 */

/** `unit << seatsClass` is `seatCount`. */
const seatsClass = 1;
/** When to ask again: nobody can know when a slot comes free. */
const heldRetryMs = 10;

export function initSlots(blocks: SharedBlocks, base: number): boolean {
  const slots = blocks.allocate(seatsClass);
  if (slots === 0) return false;
  blocks.view.fill(0, slots, slots + seatCount);
  blocks.view[base + field.log] = slots + seatsClass;
  return true;
}

/** 0 where a slot is free, and a seat; else when to ask again. */
export function nextSlotAt(blocks: SharedBlocks, base: number, nowMs: number): number {
  const memory = blocks.view;
  const isFree = read(memory, base + field.heldCount) < read(memory, base + field.count);
  return isFree && blocks.takeSeat() !== -1 ? 0 : nowMs + heldRetryMs;
}

export function holdSlot(blocks: SharedBlocks, base: number): void {
  const own = ownCount(blocks, base);
  const memory = blocks.view;
  memory[base + field.heldCount] = read(memory, base + field.heldCount) + 1;
  memory[own] = read(memory, own) + 1;
  memory[base + field.grantedTotal] = read(memory, base + field.grantedTotal) + 1;
}

/** Gives a slot back; false where this thread holds none, which is a bug. */
export function releaseSlot(blocks: SharedBlocks, base: number): boolean {
  const own = ownCount(blocks, base);
  const memory = blocks.view;
  if (read(memory, own) < 1) return false;
  const held = read(memory, base + field.heldCount);
  memory[own] = read(memory, own) - 1;
  memory[base + field.heldCount] = held - 1;
  if (held >= read(memory, base + field.count)) blocks.noteChange();
  return true;
}

/** Frees what the thread at this seat held. */
export function clearSeat(memory: Float64Array, base: number, seat: number): void {
  memory[read(memory, base + field.log) - seatsClass + seat] = 0;
  recountSlots(memory, base);
}

export function recountSlots(memory: Float64Array, base: number): void {
  const slots = read(memory, base + field.log) - seatsClass;
  let held = 0;
  for (let seat = 0; seat < seatCount; seat += 1) held += read(memory, slots + seat);
  memory[base + field.heldCount] = held;
}

function ownCount(blocks: SharedBlocks, base: number): number {
  return read(blocks.view, base + field.log) - seatsClass + blocks.takeSeat();
}
