// The table of limits, as their owner sees it: by name; added, changed and removed live; which of them bind.
import { ExitCode, PosthasteError } from '../base/error.ts';
import { initLimit, liftLimit, writeLimit } from './limit_kind.ts';
import { checkLimit, field, findRecord, freeRecord, makeRecord, type Limit } from './limit_record.ts';
import { createMemory, read, SharedBlocks, type LimiterMemory } from './limiter_memory.ts';
import { forget, shortenRing } from './permit_log.ts';
import { reachFence, readQuota, restoreQuota, type QuotaState } from './quota_lease.ts';

/** A limit that somebody waits for. */
export interface Binding {
  readonly name: string;
  /** When it grants next, as far as is known. Monotonic. */
  readonly untilMs: number;
  /** How often it was the one that held somebody up longest, since it was made. */
  readonly refusals: number;
}

interface Entry {
  readonly handle: number;
  readonly limit: Limit;
  /** Removed: it limits nothing, and counts until nothing in it counts any more. */
  readonly isLifted: boolean;
}

/**
 * One thread owns the table: it knows the names. The others attach to `memory` and use handles. Nothing here awaits,
 * and a call with one limit is done in microseconds.
 */
export class LimitTable {
  readonly memory: LimiterMemory;
  readonly #blocks: SharedBlocks;
  readonly #entries = new Map<string, Entry>();
  /** What the last `reserve` returned, as far as it may still be committed. */
  readonly #reserved = new Map<string, QuotaState>();

  constructor() {
    this.memory = createMemory();
    this.#blocks = new SharedBlocks(this.memory);
  }

  /**
   * Adds a limit, or changes the one of that name; what it has counted stays. Returns its handle, which stays the
   * same for as long as the limit is there and of that kind.
   */
  put(limit: Limit): number {
    checkLimit(limit);
    const known = this.#entries.get(limit.name);
    if (known?.limit.kind === limit.kind) return this.#change(known, limit);
    const handle = this.#locked(() => this.#make(limit));
    if (handle === undefined) throw tableFull(limit.name, this.#entries.size);
    this.#reserved.delete(limit.name);
    if (known !== undefined) this.#locked(() => freeRecord(this.#blocks, this.#baseOf(known)));
    this.#entries.set(limit.name, { handle, limit, isLifted: false });
    return handle;
  }

  /** The handle of a limit that was put and not removed. */
  handleOf(name: string): number | undefined {
    const entry = this.#entries.get(name);
    return entry === undefined || entry.isLifted ? undefined : entry.handle;
  }

  /** Whether there is anything under this name, if only a removed limit that still counts. */
  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /**
   * From now on the limit holds nobody up, but it counts on for those who name it: put again within its window it
   * goes on where it was. `sweep` forgets it.
   */
  remove(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.isLifted) return;
    this.#entries.set(name, { ...entry, isLifted: true });
    this.#reserved.delete(name);
    this.#locked(() => liftLimit(this.#blocks.view, this.#baseOf(entry)));
    this.#blocks.noteChange();
  }

  /**
   * Gives back the memory of removed limits in which nothing counts any more, and of logs that have become empty. To
   * be called every minute or so: some 0.2 µs a limit that has nothing to give.
   */
  sweep(nowMs: number): void {
    for (const [name, entry] of this.#entries) {
      const isGone = this.#locked(() => this.#sweepOne(entry, nowMs));
      if (isGone) this.#entries.delete(name);
    }
  }

  /** The limits that hold somebody up now, the longest first. Looks at every limit: for people, not for each message. */
  binding(nowMs: number): Binding[] {
    const bindings: Binding[] = [];
    for (const [name, entry] of this.#entries) {
      const base = this.#baseOf(entry);
      const untilMs = read(this.#blocks.view, base + field.boundUntil);
      if (untilMs > nowMs && !entry.isLifted)
        bindings.push({ name, untilMs, refusals: read(this.#blocks.view, base + field.refusals) });
    }
    return bindings.sort((one, other) => other.untilMs - one.untilMs);
  }

  /** What each limit has granted since it was made, and how often it was the one to hold somebody up. For people. */
  counts(): { readonly name: string; readonly granted: number; readonly refusals: number }[] {
    return [...this.#entries].map(([name, entry]) => {
      const base = this.#baseOf(entry);
      const granted = read(this.#blocks.view, base + field.grantedTotal);
      return { name, granted, refusals: read(this.#blocks.view, base + field.refusals) };
    });
  }

  /** The limit that was the one to hold somebody up most often; undefined where none did. */
  mostRefused(): string | undefined {
    let [most, found]: [number, string | undefined] = [0, undefined];
    for (const [name, entry] of this.#entries) {
      const refusals = read(this.#blocks.view, this.#baseOf(entry) + field.refusals);
      if (refusals > most) [most, found] = [refusals, name];
    }
    return found;
  }

  /**
   * What is to be written to disk before more can be granted: the durable limits that have used up half of what was
   * reserved for them. Once it is on disk, `commit`; when writing fails, simply do not. `wallMs` is the wall clock at
   * `nowMs`. To be called some ten times a second: until then a limit with nothing left grants nothing.
   */
  reserve(nowMs: number, wallMs: number): QuotaState[] {
    this.#reserved.clear();
    const states = this.#readQuotas((base, limit) => {
      this.#forget(base, limit, nowMs);
      return readQuota(this.#blocks.view, base, limit, nowMs, wallMs);
    });
    for (const state of states) this.#reserved.set(state.name, state);
    return states;
  }

  /** What the last `reserve` returned is on disk: lets the threads grant it. Limits that were put anew since wait for the next. */
  commit(): void {
    for (const [name, state] of this.#reserved) {
      const entry = this.#entries.get(name);
      if (entry !== undefined) this.#locked(() => reachFence(this.#blocks.view, this.#baseOf(entry), state));
    }
    if (this.#reserved.size > 0) this.#blocks.noteChange();
    this.#reserved.clear();
  }

  /** At a clean end, when no thread takes any more: what was reserved and not granted need not be paid for. */
  closeQuotas(nowMs: number, wallMs: number): QuotaState[] {
    return this.#readQuotas((base, limit) => {
      this.#blocks.view[base + field.fence] = read(this.#blocks.view, base + field.grantedTotal);
      return readQuota(this.#blocks.view, base, limit, nowMs, wallMs, 0);
    });
  }

  /** Counts into a limit that was just put what the run before had granted, or may have. Unknown names are ignored. */
  restore(states: readonly QuotaState[], nowMs: number, wallMs: number): void {
    for (const state of states) {
      const entry = this.#entries.get(state.name);
      if (entry === undefined || entry.limit.kind !== state.kind) continue;
      this.#locked(() => restoreQuota(this.#blocks, this.#baseOf(entry), state, nowMs, wallMs));
    }
  }

  #readQuotas(readOne: (base: number, limit: Limit) => QuotaState | undefined): QuotaState[] {
    const states: QuotaState[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.isLifted || entry.limit.kind === 'concurrent' || entry.limit.isDurable !== true) continue;
      const state = this.#locked(() => readOne(this.#baseOf(entry), entry.limit));
      if (state !== undefined) states.push(state);
    }
    return states;
  }

  #change(known: Entry, limit: Limit): number {
    this.#reserved.delete(limit.name);
    this.#entries.set(limit.name, { ...known, limit, isLifted: false });
    this.#locked(() => {
      const base = this.#baseOf(known);
      writeLimit(this.#blocks.view, base, limit);
      this.#writeFence(base, known, limit);
    });
    this.#blocks.noteChange();
    return known.handle;
  }

  /** A limit that becomes durable has nothing reserved; one that was, keeps what it has, unless its period is another. */
  #writeFence(base: number, known: Entry, limit: Limit): void {
    if (limit.kind === 'concurrent' || known.limit.kind === 'concurrent') return;
    const isDurable = limit.isDurable === true;
    const isSamePeriod =
      limit.kind !== 'quota' || known.limit.kind !== 'quota' || limit.endsAtMs === known.limit.endsAtMs;
    if (isDurable && known.limit.isDurable === true && !known.isLifted && isSamePeriod) return;
    const granted = read(this.#blocks.view, base + field.grantedTotal);
    this.#blocks.view[base + field.fence] = isDurable ? granted : Infinity;
  }

  #make(limit: Limit): number | undefined {
    const base = makeRecord(this.#blocks);
    if (base === 0) return undefined;
    if (initLimit(this.#blocks, base, limit)) return read(this.#blocks.view, base + field.handle);
    freeRecord(this.#blocks, base);
    return undefined;
  }

  #sweepOne(entry: Entry, nowMs: number): boolean {
    const base = this.#baseOf(entry);
    this.#forget(base, entry.limit, nowMs);
    const isRate = entry.limit.kind === 'rate' || entry.limit.kind === 'bytes';
    if (isRate) shortenRing(this.#blocks, base);
    const isEmpty = read(this.#blocks.view, base + field.heldCount) === 0;
    // A removed quota may be put again until its period ends.
    const isOver = entry.limit.kind === 'quota' ? entry.limit.endsAtMs <= nowMs : isEmpty;
    if (!entry.isLifted || !isOver) return false;
    freeRecord(this.#blocks, base);
    return true;
  }

  #forget(base: number, limit: Limit, nowMs: number): void {
    if (limit.kind === 'rate' || limit.kind === 'bytes') forget(this.#blocks.view, base, nowMs);
  }

  #baseOf(entry: Entry): number {
    return findRecord(this.#blocks.view, entry.handle);
  }

  #locked<T>(deed: () => T): T {
    this.#blocks.lockPatiently();
    try {
      return deed();
    } finally {
      this.#blocks.unlock();
    }
  }
}

function tableFull(name: string, limits: number): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIMITS_FULL',
    message: `The limit "${name}" cannot be added: ${limits} limits fill the memory for them, 512 MiB.`,
    hint: 'Give fewer lanes limits of their own, or group their domains.',
    exitCode: ExitCode.config,
  });
}
