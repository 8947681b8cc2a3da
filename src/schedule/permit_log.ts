// The permit log: what one rate granted lately, in shared memory, and when it may grant again.
import type { Rate } from '../base/quantity.ts';
import { field, logBase, logClass } from './limit_record.ts';
import { maxClass, read, unit, type SharedBlocks } from './limiter_memory.ts';

/*
 * A limit of N per W is kept by two rules; a permit needs both. A permit for bytes is so many permits as bytes.
 *
 * 1. The log. At most N granted in any W + 2/3 margin: exact, because everything granted in that time is counted.
 * 2. The pace. Grants are due at even steps of (W + margin) / N, so neither a start nor an idle hour is followed by
 *    a burst. Whoever comes late takes what was due meanwhile, up to `catchUpMs` of it: event loops wake late, and
 *    timers have a grain of 1 ms. What is later than `idleMs` is no delay but a pause, and nothing of it is made up,
 *    unless the limit has a burst B: then up to B permits are saved up, at the start as well. The log does not know
 *    of bursts: B at once are B of the N. When they leave the window together they may come together again.
 *
 * margin = max(10 ms, 0.5 % of W). The relay sees a message some milliseconds after its grant, and not always the
 * same: two thirds of the margin take up the difference. The rest keeps one late grant from delaying the N-th after
 * it, in every round. So 500/s runs at 495/s, and seen from the relay no second holds more than 500 while messages
 * are under way by not more than 6 ms longer at one time than at another; steady work whose threads wake up to 4 ms
 * late leaves none with less than 490.
 *
 * The log does not keep N instants, but cells of 1/500 of the time that a grant counts, in a ring. A cell counts as
 * long as its youngest grant does, so the count errs upwards only, by what one cell holds: what is given up is at
 * most 0.2 % of the throughput. A ring begins with 16 cells and doubles when it is full, up to 512; where there is
 * no memory for it, neighbours are merged, which errs upwards as well. So memory follows what is going on, and
 * is the same for 10/s and for 5,000,000/d.
 *
 *   tail                                            head
 *    | lastAt count | lastAt count |  …  | lastAt count |     heldCount = the sum of these counts
 */

const cellsPerWindow = 500;
const cellLength = 2;
const cellsPerUnit = unit / cellLength;

const minMarginMs = 10;
const marginShare = 0.005;
const heldMarginShare = 2 / 3;
const catchUpMs = 50;
const idleMs = 100;
/** When to ask again for what was not reserved: whoever reserves looks after it all the time. */
const unreservedRetryMs = 2;
/** The longest claim: as long as the window takes to make so much room, within these; and how late who made it may come. */
const [leastClaimMs, mostClaimMs] = [5000, 600_000];
const claimGraceMs = 10;
/** A lag of B - 1 steps lets B go at once; half a step more, for a lag is a sum of rounded steps. */
const burstSlack = 0.5;

/** An empty log, under the lock; false where the memory is used up. */
export function initLog(blocks: SharedBlocks, base: number): boolean {
  const log = blocks.allocate(0);
  blocks.view[base + field.log] = log;
  return log !== 0;
}

/**
 * Changes the rate. Grants of the old one keep counting for as long as the log still holds them: for what was granted
 * longer ago than the old W, a longer new W has no memory. The next grant is as many permits away as it was.
 */
export function writeRate(memory: Float64Array, base: number, rate: Rate, burst: number): void {
  const marginMs = Math.max(minMarginMs, rate.perMs * marginShare);
  const stepMs = (rate.perMs + marginMs) / rate.count;
  const latestAt = read(memory, base + field.latestAt);
  const dueSteps = (read(memory, base + field.nextAt) - latestAt) / read(memory, base + field.stepMs);
  // Not a number before the first grant, and where a limit without a rate gets one.
  const waitSteps = burst > 1 && Number.isFinite(dueSteps) ? dueSteps : Math.max(1, dueSteps || 1);
  memory[base + field.count] = rate.count;
  memory[base + field.heldMs] = rate.perMs + marginMs * heldMarginShare;
  memory[base + field.stepMs] = stepMs;
  memory[base + field.burstMs] = burst > 1 ? (burst - 1 + burstSlack) * stepMs : 0;
  memory[base + field.nextAt] = latestAt === -Infinity ? -Infinity : latestAt + waitSteps * stepMs;
}

export function readBurst(memory: Float64Array, base: number): number {
  const burstMs = read(memory, base + field.burstMs);
  return burstMs === 0 ? 1 : burstMs / read(memory, base + field.stepMs) + 1 - burstSlack;
}

/**
 * When the limit grants `amount` next: an instant after `nowMs`, 0 for now, Infinity where it is more than it grants
 * in a whole window. A log that has room with all that it holds is not looked at: that is what makes 8 limits cheap
 * (bench/limiter.ts).
 */
export function nextGrantAt(memory: Float64Array, base: number, nowMs: number, amount: number): number {
  let earliestAt = memory[base + field.nextAt] ?? 0;
  const mostBefore = (memory[base + field.count] ?? 0) - amount;
  if ((memory[base + field.heldCount] ?? 0) > mostBefore)
    earliestAt = Math.max(earliestAt, findRoom(memory, base, nowMs, mostBefore));
  if (earliestAt > nowMs) return earliestAt;
  const granted = (memory[base + field.grantedTotal] ?? 0) + amount;
  return granted <= (memory[base + field.fence] ?? 0) ? 0 : reservedAt(memory, base, nowMs, amount);
}

/** 0 where `amount` is reserved, else when to ask again. */
export function reservedAt(memory: Float64Array, base: number, nowMs: number, amount: number): number {
  if (read(memory, base + field.grantedTotal) + amount <= read(memory, base + field.fence)) return 0;
  memory[base + field.wanted] = Math.max(amount, read(memory, base + field.wanted));
  return nowMs + unreservedRetryMs;
}

/** 0 where the log has room after all; else when so many cells stop counting that it has, if nobody else takes it. */
function findRoom(memory: Float64Array, base: number, nowMs: number, mostBefore: number): number {
  if (mostBefore < 0) return Infinity;
  const oldestEndsAt = forget(memory, base, nowMs);
  if (read(memory, base + field.heldCount) <= mostBefore) return 0;
  const isOneEnough = mostBefore + 1 >= read(memory, base + field.count);
  return isOneEnough ? oldestEndsAt : findMoreRoom(memory, base, mostBefore);
}

/** Apart, so that `findRoom` stays small enough for the compiler (bench/limiter.ts). */
function findMoreRoom(memory: Float64Array, base: number, mostBefore: number): number {
  const log = read(memory, base + field.log);
  const head = read(memory, base + field.head);
  let held = read(memory, base + field.heldCount);
  let endsAt = 0;
  for (let index = read(memory, base + field.tail); index < head && held > mostBefore; index += 1) {
    const cell = cellOf(log, index);
    held -= read(memory, cell + 1);
    endsAt = read(memory, cell) + read(memory, base + field.heldMs);
  }
  return endsAt;
}

/**
 * As `nextGrantAt`, for bytes. Those who need little would leave one who needs much no room for ever: so what was refused for lack
 * of room is a claim, and until it could be met (and a moment more, for who made it may be late) nobody who needs less is granted.
 */
export function nextBytesAt(memory: Float64Array, base: number, nowMs: number, amount: number): number {
  const claimedUntil = memory[base + field.claimedUntil] ?? 0;
  const isBehind = nowMs < claimedUntil && amount < (memory[base + field.claimed] ?? 0);
  return isBehind ? claimedUntil : nextGrantAt(memory, base, nowMs, amount);
}

/** Of who waits for the pace nobody has less room for another; and a claim for hours would leave a day's quota unused. */
export function claimRoom(
  memory: Float64Array,
  base: number,
  nowMs: number,
  retryAtMs: number,
  amount: number,
): void {
  const isShort = read(memory, base + field.heldCount) > read(memory, base + field.count) - amount;
  const isFirst =
    nowMs >= read(memory, base + field.claimedUntil) || amount >= read(memory, base + field.claimed);
  const ownMs = (read(memory, base + field.heldMs) * amount) / read(memory, base + field.count);
  const mostMs = Math.min(Math.max(ownMs, leastClaimMs), mostClaimMs);
  if (!isShort || !isFirst || retryAtMs - nowMs > mostMs) return;
  memory[base + field.claimed] = amount;
  memory[base + field.claimedUntil] = retryAtMs + claimGraceMs;
}

/** As `addGrant`; a claim is met by it. */
export function addBytes(blocks: SharedBlocks, base: number, nowMs: number, amount: number): void {
  addGrant(blocks, base, nowMs, amount);
  if (amount >= read(blocks.view, base + field.claimed)) blocks.view[base + field.claimedUntil] = 0;
}

/** Drops the cells that no longer count; returns when the next one is dropped, 0 where there is none. */
export function forget(memory: Float64Array, base: number, nowMs: number): number {
  const heldMs = memory[base + field.heldMs] ?? 0;
  const log = memory[base + field.log] ?? 0;
  const head = memory[base + field.head] ?? 0;
  let tail = memory[base + field.tail] ?? 0;
  while (tail < head) {
    const cell = cellOf(log, tail);
    const endsAt = (memory[cell] ?? 0) + heldMs;
    if (endsAt > nowMs) return endsAt;
    tail += 1;
    memory[base + field.forgottenAt] = memory[cell] ?? 0;
    // In this order, a thread that dies in between leaves a count that is too high, never too low.
    memory[base + field.tail] = tail;
    memory[base + field.heldCount] = (memory[base + field.heldCount] ?? 0) - (memory[cell + 1] ?? 0);
  }
  return 0;
}

/**
 * Writes a grant of `amount` at `nowMs` that `nextGrantAt` allows. Reads are spelled out here and in `nextGrantAt`: so the compiler
 * puts a whole take into one function, and no number into the heap (bench/limiter.ts).
 */
export function addGrant(blocks: SharedBlocks, base: number, nowMs: number, amount: number): void {
  const memory = blocks.view;
  // A thread may be put to sleep between reading the clock and coming here: then others were later and earlier.
  const at = Math.max(nowMs, memory[base + field.latestAt] ?? 0);
  memory[base + field.heldCount] = (memory[base + field.heldCount] ?? 0) + amount;
  notePace(memory, base, at, amount);
  const head = memory[base + field.head] ?? 0;
  const ageMs = at - (memory[base + field.headBeganAt] ?? 0);
  const isYoung = ageMs * cellsPerWindow < (memory[base + field.heldMs] ?? 0);
  if (!isYoung || head === memory[base + field.tail]) {
    addCell(blocks, base, at, amount);
    return;
  }
  const cell = cellOf(memory[base + field.log] ?? 0, head - 1);
  memory[cell] = at;
  memory[cell + 1] = (memory[cell + 1] ?? 0) + amount;
}

function notePace(memory: Float64Array, base: number, at: number, amount: number): void {
  const nextAt = memory[base + field.nextAt] ?? 0;
  const savedMs = Math.max(memory[base + field.burstMs] ?? 0, at - nextAt <= idleMs ? catchUpMs : 0);
  memory[base + field.nextAt] = Math.max(nextAt, at - savedMs) + amount * (memory[base + field.stepMs] ?? 0);
  memory[base + field.latestAt] = at;
  memory[base + field.grantedTotal] = (memory[base + field.grantedTotal] ?? 0) + amount;
}

/** Begins a cell. `heldCount` has been raised before. */
export function addCell(blocks: SharedBlocks, base: number, at: number, amount: number): void {
  if (isFull(blocks.view, base)) {
    forget(blocks.view, base, at);
    if (isFull(blocks.view, base)) lengthenRing(blocks, base);
  }
  const memory = blocks.view;
  const head = read(memory, base + field.head);
  const cell = cellOf(read(memory, base + field.log), head);
  memory[cell] = at;
  memory[cell + 1] = amount;
  memory[base + field.headBeganAt] = at;
  memory[base + field.head] = head + 1;
}

function isFull(memory: Float64Array, base: number): boolean {
  const cells = cellCount(read(memory, base + field.log));
  return read(memory, base + field.head) - read(memory, base + field.tail) === cells;
}

/** Moves a full ring to one of twice the length, or makes room in it. The old one is used until the new one is whole. */
function lengthenRing(blocks: SharedBlocks, base: number): void {
  const oldLog = read(blocks.view, base + field.log);
  const blockClass = logClass(oldLog) + 1;
  const place = blockClass > maxClass ? 0 : blocks.allocate(blockClass);
  const memory = blocks.view;
  if (place === 0) {
    mergeCells(memory, base);
    return;
  }
  moveRing(blocks, base, place + blockClass);
}

function moveRing(blocks: SharedBlocks, base: number, newLog: number): void {
  const memory = blocks.view;
  const oldLog = read(memory, base + field.log);
  for (let index = read(memory, base + field.tail); index < read(memory, base + field.head); index += 1) {
    memory[cellOf(newLog, index)] = read(memory, cellOf(oldLog, index));
    memory[cellOf(newLog, index) + 1] = read(memory, cellOf(oldLog, index) + 1);
  }
  memory[base + field.log] = newLog;
  blocks.free(logBase(oldLog), logClass(oldLog));
}

/** Under the lock: a long ring with nothing in it becomes a short one. */
export function shortenRing(blocks: SharedBlocks, base: number): void {
  const memory = blocks.view;
  const isEmpty = read(memory, base + field.tail) === read(memory, base + field.head);
  if (!isEmpty || logClass(read(memory, base + field.log)) === 0) return;
  const place = blocks.allocate(0);
  if (place !== 0) moveRing(blocks, base, place);
}

/**
 * Halves the number of cells of a full ring, whose length is even: each pair becomes its younger one, so the count
 * still errs upwards only. Needed when W has become longer and the ring is full of short cells, or memory is short.
 */
function mergeCells(memory: Float64Array, base: number): void {
  const log = read(memory, base + field.log);
  const head = read(memory, base + field.head);
  let kept = head;
  for (let index = head - 1; index > read(memory, base + field.tail); index -= 2) {
    kept -= 1;
    const count = read(memory, cellOf(log, index) + 1) + read(memory, cellOf(log, index - 1) + 1);
    memory[cellOf(log, kept)] = read(memory, cellOf(log, index));
    memory[cellOf(log, kept) + 1] = count;
  }
  memory[base + field.tail] = kept;
}

/**
 * Takes back what was granted at `grantedAtMs` and not used. From the cell that holds the grant or from an older one:
 * were it a younger one, what that one holds would be forgotten too early. What has been forgotten stays so.
 */
export function returnGrant(memory: Float64Array, base: number, grantedAtMs: number, amount: number): void {
  const log = read(memory, base + field.log);
  const tail = read(memory, base + field.tail);
  let index = read(memory, base + field.head) - 1;
  if (index < tail || grantedAtMs <= read(memory, base + field.forgottenAt)) return;
  while (index > tail && read(memory, cellOf(log, index - 1)) >= grantedAtMs) index -= 1;
  const cell = cellOf(log, index);
  const returned = Math.min(amount, read(memory, cell + 1));
  memory[cell + 1] = read(memory, cell + 1) - returned;
  memory[base + field.heldCount] = read(memory, base + field.heldCount) - returned;
  memory[base + field.nextAt] =
    read(memory, base + field.nextAt) - returned * read(memory, base + field.stepMs);
}

/** Counts the ring anew, after a thread died at work. */
export function recountLog(memory: Float64Array, base: number): void {
  let held = 0;
  eachCell(memory, base, (_at, count) => {
    held += count;
  });
  memory[base + field.heldCount] = held;
}

/** Calls `visit` with every cell, oldest first: its youngest instant, and how many. */
export function eachCell(
  memory: Float64Array,
  base: number,
  visit: (lastAt: number, count: number) => void,
): void {
  const log = read(memory, base + field.log);
  for (let index = read(memory, base + field.tail); index < read(memory, base + field.head); index += 1) {
    visit(read(memory, cellOf(log, index)), read(memory, cellOf(log, index) + 1));
  }
}

function cellCount(log: number): number {
  return cellsPerUnit << (log & (unit - 1));
}

/** Index of a cell's `lastAt`; its count follows. A ring's length is a power of two. */
function cellOf(log: number, index: number): number {
  return (log & -unit) + (index & ((cellsPerUnit << (log & (unit - 1))) - 1)) * cellLength;
}
