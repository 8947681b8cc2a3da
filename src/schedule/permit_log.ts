// The permit log: what one limit granted lately, in shared memory, and when it may grant again.
import type { Rate } from '../base/quantity.ts';

/*
 * A limit of N per W is kept by two rules; a permit needs both:
 *
 * 1. The log. At most N grants in any W + 2/3 margin: exact, because every grant of that time is counted.
 * 2. The pace. Grants are due at even steps of (W + margin) / N, so neither a start nor an idle hour is followed by
 *    a burst. Whoever comes late takes what was due meanwhile, up to `catchUpMs` of it: event loops wake late, and
 *    timers have a grain of 1 ms. What is later than `idleMs` is no delay but a pause, and nothing of it is made up.
 *
 * margin = max(10 ms, 0.5 % of W). The relay sees a message some milliseconds after its grant, and not always the
 * same: two thirds of the margin take up the difference. The rest keeps one late grant from delaying the N-th after
 * it, in every round. So 500/s runs at 495/s, and seen from the relay no second holds more than 500 while messages
 * are under way by not more than 6 ms longer at one time than at another; steady work whose threads wake up to 4 ms
 * late leaves none with less than 490.
 *
 * The log does not keep N instants, but cells of W/2000 in a ring: memory is the same for 10/s and for 5,000,000/d,
 * and a rate can change at any time. A cell counts as long as its youngest grant does, so the count errs upwards
 * only, by what one cell holds.
 *
 *   tail                                            head
 *    | lastAt count | lastAt count |  …  | lastAt count |     heldCount = the sum of these counts
 *
 * A block holds one limit: the fields below, then the ring. All times are monotonic ms.
 */

const cellsPerWindow = 2000;
/** Some more than a window has, for cells at its edges; when it is full after all, neighbours are merged. */
const ringLength = 2048;
const cellLength = 2;

const field = {
  /** N and W as they were given. */
  count: 0,
  perMs: 1,
  /** How long a grant counts. */
  heldMs: 2,
  /** Pace: one grant in so many ms. */
  stepMs: 3,
  /** When the pace grants next. */
  nextAt: 4,
  /** The last grant; the time of a limit never goes back behind it. */
  latestAt: 5,
  /** Grants in the ring. A cache: `recountHeld` makes it anew. */
  heldCount: 6,
  /** Cells since the beginning, so that index % ringLength is the place in the ring. tail = head: empty. */
  tail: 7,
  head: 8,
  /** When the youngest cell began. */
  headBeganAt: 9,
  grantedTotal: 10,
  /** Number of the last take that was granted; keeps a limit that is named twice from counting twice. */
  lastTake: 11,
} as const;
const ringOffset = 12;

/** Length of a block, in Float64. */
export const blockLength = ringOffset + ringLength * cellLength;

const minMarginMs = 10;
const marginShare = 0.005;
const heldMarginShare = 2 / 3;
const catchUpMs = 50;
const idleMs = 100;

/** Makes an empty log in the block that starts at index `base`. */
export function initLog(memory: Float64Array, base: number, rate: Rate): void {
  memory.fill(0, base, base + blockLength);
  memory[base + field.latestAt] = -Infinity;
  writeRate(memory, base, rate);
}

/**
 * Changes the rate. Grants of the old one keep counting for as long as the log still holds them: for what was granted
 * longer ago than the old W, a longer new W has no memory.
 */
export function writeRate(memory: Float64Array, base: number, rate: Rate): void {
  const marginMs = Math.max(minMarginMs, rate.perMs * marginShare);
  const stepMs = (rate.perMs + marginMs) / rate.count;
  memory[base + field.count] = rate.count;
  memory[base + field.perMs] = rate.perMs;
  memory[base + field.heldMs] = rate.perMs + marginMs * heldMarginShare;
  memory[base + field.stepMs] = stepMs;
  memory[base + field.nextAt] = read(memory, base + field.latestAt) + stepMs;
}

/** When the limit grants next: an instant after `nowMs`, or 0 for now. Forgets what no longer counts. */
export function nextGrantAt(memory: Float64Array, base: number, nowMs: number): number {
  const earliestAt = Math.max(read(memory, base + field.nextAt), freesAt(memory, base, nowMs));
  return earliestAt > nowMs ? earliestAt : 0;
}

/** 0 while the log has room; else when its oldest cell stops counting. */
function freesAt(memory: Float64Array, base: number, nowMs: number): number {
  const heldMs = read(memory, base + field.heldMs);
  const head = read(memory, base + field.head);
  let tail = read(memory, base + field.tail);
  while (tail < head) {
    const cell = cellOf(base, tail);
    const endsAt = read(memory, cell) + heldMs;
    if (endsAt > nowMs) {
      return read(memory, base + field.heldCount) < read(memory, base + field.count) ? 0 : endsAt;
    }
    tail += 1;
    // In this order, a thread that dies in between leaves a count that is too high, never too low.
    memory[base + field.tail] = tail;
    memory[base + field.heldCount] = read(memory, base + field.heldCount) - read(memory, cell + 1);
  }
  return 0;
}

/** Writes a grant at `nowMs` that `nextGrantAt` allows. `take` numbers the takes of all threads. */
export function addGrant(memory: Float64Array, base: number, nowMs: number, take: number): void {
  if (read(memory, base + field.lastTake) === take) return;
  // A thread may be put to sleep between reading the clock and coming here: then others were later and earlier.
  const at = Math.max(nowMs, read(memory, base + field.latestAt));
  memory[base + field.lastTake] = take;
  memory[base + field.heldCount] = read(memory, base + field.heldCount) + 1;
  countInCell(memory, base, at);
  const nextAt = read(memory, base + field.nextAt);
  const lateMs = at - nextAt;
  const stepFromAt = lateMs <= catchUpMs ? nextAt : lateMs <= idleMs ? at - catchUpMs : at;
  memory[base + field.nextAt] = stepFromAt + read(memory, base + field.stepMs);
  memory[base + field.latestAt] = at;
  memory[base + field.grantedTotal] = read(memory, base + field.grantedTotal) + 1;
}

function countInCell(memory: Float64Array, base: number, at: number): void {
  const cellMs = read(memory, base + field.perMs) / cellsPerWindow;
  const head = read(memory, base + field.head);
  const tail = read(memory, base + field.tail);
  if (head > tail && at - read(memory, base + field.headBeganAt) < cellMs) {
    const cell = cellOf(base, head - 1);
    memory[cell] = at;
    memory[cell + 1] = read(memory, cell + 1) + 1;
    return;
  }
  if (head - tail === ringLength) mergeCells(memory, base);
  const free = read(memory, base + field.head);
  memory[cellOf(base, free)] = at;
  memory[cellOf(base, free) + 1] = 1;
  memory[base + field.headBeganAt] = at;
  memory[base + field.head] = free + 1;
}

/**
 * Halves the number of cells of a full ring, whose length is even: each pair becomes its younger one, so the count
 * still errs upwards only. Needed when W has become longer and the ring is full of short cells.
 */
function mergeCells(memory: Float64Array, base: number): void {
  const head = read(memory, base + field.head);
  let kept = head;
  for (let index = head - 1; index > read(memory, base + field.tail); index -= 2) {
    kept -= 1;
    const count = read(memory, cellOf(base, index) + 1) + read(memory, cellOf(base, index - 1) + 1);
    memory[cellOf(base, kept)] = read(memory, cellOf(base, index));
    memory[cellOf(base, kept) + 1] = count;
  }
  memory[base + field.tail] = kept;
}

/** Counts the ring anew, after a thread died at work. */
export function recountHeld(memory: Float64Array, base: number): void {
  let held = 0;
  for (let index = read(memory, base + field.tail); index < read(memory, base + field.head); index += 1) {
    held += read(memory, cellOf(base, index) + 1);
  }
  memory[base + field.heldCount] = held;
}

/** Permits granted since the beginning. */
export function readGranted(memory: Float64Array, base: number): number {
  return read(memory, base + field.grantedTotal);
}

/** Index of a cell's `lastAt`; its count follows. */
function cellOf(base: number, index: number): number {
  return base + ringOffset + (index % ringLength) * cellLength;
}

/** Invariant: every index is within a block, so NaN is never read; it would refuse or grant without end. */
function read(memory: Float64Array, index: number): number {
  return memory[index] ?? Number.NaN;
}
