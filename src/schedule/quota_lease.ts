// The memory of a quota across restarts: what was granted and what is reserved, as plain data for the disk.
import { field, kindNumber, type Limit } from './limit_record.ts';
import { read, type SharedBlocks } from './limiter_memory.ts';
import { addCell, eachCell } from './permit_log.ts';

/*
 * A durable limit grants nothing that is not reserved on disk:
 *
 *   granted ≤ fence in memory ≤ granted + ahead on disk
 *
 * `reserve` reads a state with some permits ahead, the caller writes it, `commit` raises the fence. A process that
 * dies in between, at any instant, has granted at most what the last written state says; what it says is ahead
 * counts as granted when the next process starts, which is the latest that it can have been. So a crash costs up to
 * what was ahead (1 % of the limit, or one message) for one window, and never a permit too many, as far as the wall
 * clock tells how long the process was away: it must not have been set forward meanwhile.
 */

/** One quota on disk. `name` is its key: a newer state takes the place of an older one. */
export interface QuotaState {
  readonly name: string;
  readonly kind: Limit['kind'];
  /** Wall clock. */
  readonly takenAt: number;
  /** Granted by this process until then. */
  readonly granted: number;
  /** What may be granted beyond that. */
  readonly ahead: number;
  /** What counted then, oldest first: ms before `takenAt`, permits. Of a quota one pair: what it has used. */
  readonly cells: readonly (readonly [agoMs: number, count: number])[];
  /** When the period of a quota ends, by the wall clock. */
  readonly endsAt?: number;
}

const aheadShare = 0.01;
/** Two readings of Date.now() may be this much nearer than they say. */
const wallGrainMs = 1;

/** The state with what is to be reserved, or undefined where enough is reserved. `ahead` is for a clean end. */
export function readQuota(
  memory: Float64Array,
  base: number,
  limit: Limit,
  nowMs: number,
  wallMs: number,
  ahead = planAhead(memory, base),
): QuotaState | undefined {
  if (ahead === undefined) return undefined;
  const cells: (readonly [number, number])[] = [];
  if (limit.kind === 'quota') cells.push([0, read(memory, base + field.heldCount)]);
  else eachCell(memory, base, (at, count) => cells.push([Math.floor(nowMs - at), count]));
  const granted = read(memory, base + field.grantedTotal);
  const state = { name: limit.name, kind: limit.kind, takenAt: wallMs, granted, ahead, cells };
  return limit.kind === 'quota' ? { ...state, endsAt: wallMs + limit.endsAtMs - nowMs } : state;
}

/** How much to have reserved from now on; undefined while half of that is still there. */
function planAhead(memory: Float64Array, base: number): number | undefined {
  const wanted = read(memory, base + field.wanted);
  const usual = Math.max(Math.ceil(read(memory, base + field.count) * aheadShare), 1);
  const left = read(memory, base + field.fence) - read(memory, base + field.grantedTotal);
  if (left >= wanted && left > usual / 2) return undefined;
  memory[base + field.wanted] = 0;
  // More than what is left: so never less than what an older state on disk allows.
  return Math.max(usual, wanted);
}

/** Under the lock, when `state` is on disk. */
export function reachFence(memory: Float64Array, base: number, state: QuotaState): void {
  memory[base + field.fence] = Math.max(read(memory, base + field.fence), state.granted + state.ahead);
}

/** Under the lock: writes into an empty limit what another process had granted, or may have. */
export function restoreQuota(
  blocks: SharedBlocks,
  base: number,
  state: QuotaState,
  nowMs: number,
  wallMs: number,
): void {
  const used = state.cells.reduce((sum, [, count]) => sum + count, state.ahead);
  if (blocks.view[base + field.kind] === kindNumber.quota) {
    if ((state.endsAt ?? 0) > wallMs) blocks.view[base + field.heldCount] = used;
    return;
  }
  // A wall clock that was set back says less than nothing: then it is as if no time had passed.
  const awayMs = Math.max(0, wallMs - state.takenAt - wallGrainMs);
  for (const [agoMs, count] of state.cells) restoreCell(blocks, base, nowMs - awayMs - agoMs, count);
  if (state.ahead > 0) restoreCell(blocks, base, nowMs, state.ahead);
}

function restoreCell(blocks: SharedBlocks, base: number, at: number, count: number): void {
  blocks.view[base + field.heldCount] = read(blocks.view, base + field.heldCount) + count;
  addCell(blocks, base, at, count);
  blocks.view[base + field.latestAt] = at;
}
