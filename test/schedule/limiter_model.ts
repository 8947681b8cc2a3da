// The model of the limiter's test: what was granted, who holds what, and what each limit said at that moment.
import assert from 'node:assert/strict';
import type { Random } from '../../src/base/random.ts';
import { attachLimiter, type Limiter } from '../../src/schedule/limiter.ts';
import type { Limit } from '../../src/schedule/limit_record.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';

/** How old the clock reading of a caller may be. */
const maxStaleMs = 5;

interface Grant {
  readonly at: number;
  readonly amount: number;
}

/** One limit as the model knows it. */
class Watched {
  limit: Limit;
  isRemoved = false;
  readonly handle: number;
  readonly grants: Grant[] = [];
  /** Grants before it may have been forgotten, when the window was shorter. */
  knownFrom = -Infinity;
  used = 0;
  holders: number[] = [];

  constructor(limit: Limit, handle: number) {
    this.limit = limit;
    this.handle = handle;
  }

  /** What the promise says of a grant that was just made. */
  check(at: number, sizeBytes: number, thread: number): void {
    this.grants.push({ at, amount: this.limit.kind === 'bytes' ? sizeBytes : 1 });
    this.used += 1;
    this.holders.push(thread);
    if (this.isRemoved) return;
    const held = this.#heldAt(at);
    const { limit } = this;
    const most = 'rate' in limit ? limit.rate.count : limit.count;
    assert.ok(held <= most, `${limit.name} of ${JSON.stringify(limit)} holds ${held} at ${at}`);
  }

  #heldAt(at: number): number {
    const { limit } = this;
    if (limit.kind === 'concurrent') return this.holders.length;
    if (limit.kind === 'quota') return at < limit.endsAtMs + maxStaleMs ? this.used : Infinity;
    const from = Math.max(at - limit.rate.perMs, this.knownFrom);
    let held = 0;
    // The youngest first, and no further than the window: the oldest would be read again and again.
    for (let index = this.grants.length - 1; index >= 0; index -= 1) {
      const grant = this.grants[index];
      if (grant === undefined || grant.at <= from) break;
      held += grant.amount;
    }
    return held;
  }
}

/** Some threads at some limits; whatever is done to it, it checks what was granted. */
export class LimiterModel {
  readonly watched: Watched[];
  readonly #table = new LimitTable();
  readonly #random: Random;
  #threads: { readonly id: number; readonly limiter: Limiter; held: number[][] }[] = [];
  #nextThread = 100;
  grantCount = 0;

  constructor(limits: readonly Limit[], threadCount: number, random: Random) {
    this.#random = random;
    this.watched = limits.map((limit) => new Watched(limit, this.#table.put(limit)));
    for (let thread = 0; thread < threadCount; thread += 1) this.#startThread();
  }

  /** A thread asks for a random set of limits, with a clock reading that may be old. */
  take(nowMs: number): void {
    const thread = this.#pick(this.#threads);
    const chosen = this.watched.filter(() => this.#random() < 0.6);
    const limits = chosen.map(({ handle }) => handle);
    const sizeBytes = 1 + Math.floor(this.#random() * 40);
    const refusal = thread.limiter.take(limits, nowMs - this.#random() * maxStaleMs, sizeBytes);
    if (refusal !== undefined) {
      assert.ok(limits.includes(refusal.limit), 'one of the limits that were asked binds');
      return;
    }
    this.grantCount += 1;
    for (const one of chosen) one.check(nowMs, sizeBytes, thread.id);
    if (chosen.some(({ limit }) => limit.kind === 'concurrent')) thread.held.push(limits);
  }

  release(): void {
    const thread = this.#pick(this.#threads);
    const limits = thread.held.shift();
    if (limits === undefined) return;
    thread.limiter.release(limits);
    for (const one of this.watched)
      if (limits.includes(one.handle)) one.holders.splice(one.holders.indexOf(thread.id), 1);
  }

  /** A thread dies and another one takes its place. */
  kill(): void {
    const victim = this.#pick(this.#threads);
    this.#threads = this.#threads.filter((thread) => thread !== victim);
    this.#startThread();
    const alive = new Set(this.#threads.map(({ id }) => id));
    this.#threads[0]?.limiter.releaseDead((id) => alive.has(id));
    for (const one of this.watched) one.holders = one.holders.filter((id) => id !== victim.id);
  }

  /** Changes a limit, which may have been removed, to another of the same name and kind. */
  put(nowMs: number, change: Limit): void {
    const one = this.#pick(this.watched);
    if (one.limit.kind !== change.kind) return;
    const limit = { ...change, name: one.limit.name };
    if (one.limit.kind === 'rate' || one.limit.kind === 'bytes')
      one.knownFrom = Math.max(one.knownFrom, nowMs - one.limit.rate.perMs);
    if (limit.kind === 'quota' && one.limit.kind === 'quota' && limit.endsAtMs > one.limit.endsAtMs)
      one.used = 0;
    one.limit = limit;
    one.isRemoved = false;
    assert.equal(this.#table.put(limit), one.handle, 'a limit that changes keeps its handle');
  }

  /** Removes a limit for a while; those who know its handle go on naming it. */
  remove(): void {
    const one = this.#pick(this.watched);
    if (one.limit.kind === 'quota') return;
    one.isRemoved = true;
    this.#table.remove(one.limit.name);
  }

  #startThread(): void {
    const id = this.#nextThread;
    this.#nextThread += 1;
    this.#threads.push({ id, limiter: attachLimiter(this.#table.memory, id), held: [] });
  }

  #pick<T>(all: readonly T[]): T {
    const picked = all[Math.floor(this.#random() * all.length)];
    assert.ok(picked !== undefined);
    return picked;
  }
}
