// Quotas across restarts: killed at any instant between reserving, writing and granting, no window ever holds too many.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { seededRandom, type Random } from '../../src/base/random.ts';
import { attachLimiter, type Limiter } from '../../src/schedule/limiter.ts';
import type { Limit, RateLimit } from '../../src/schedule/limit_record.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';
import type { QuotaState } from '../../src/schedule/quota_lease.ts';

const dayMs = 86_400_000;
/** The midnight behind `at`. */
const endOf = (at: number): number => (Math.floor(at / dayMs) + 1) * dayMs;

const daily = (count: number): RateLimit => ({
  kind: 'rate',
  name: 'day',
  rate: { count, perMs: dayMs },
  burst: count,
  isDurable: true,
});

/** A process that sends, with a disk that outlives it. Its monotonic clock begins anywhere. */
class SendingProcess {
  readonly table = new LimitTable();
  readonly limiter: Limiter;
  readonly #handle: number;
  readonly #disk: Map<string, QuotaState>;
  readonly #originMs: number;
  #unwritten: readonly QuotaState[] = [];

  constructor(limit: Limit, disk: Map<string, QuotaState>, wallMs: number, random: Random) {
    this.#disk = disk;
    this.#originMs = Math.floor(wallMs - random() * 1e9);
    this.#handle = this.table.put(this.#onOwnClock(limit));
    this.table.restore([...disk.values()], wallMs - this.#originMs, wallMs);
    this.limiter = attachLimiter(this.table.memory, 7);
  }

  reserve(wallMs: number): void {
    this.#unwritten = this.table.reserve(wallMs - this.#originMs, wallMs);
  }

  write(): void {
    // What crosses to the disk is text.
    const states: QuotaState[] = JSON.parse(JSON.stringify(this.#unwritten));
    for (const state of states) this.#disk.set(state.name, state);
  }

  commit(): void {
    this.table.commit();
  }

  put(limit: Limit): void {
    this.table.put(this.#onOwnClock(limit));
  }

  /** Takes what it gets, up to `most`; returns how many. */
  take(wallMs: number, most: number): number {
    for (let taken = 0; taken < most; taken += 1)
      if (this.limiter.take([this.#handle], wallMs - this.#originMs) !== undefined) return taken;
    return most;
  }

  close(wallMs: number): void {
    for (const state of this.table.closeQuotas(wallMs - this.#originMs, wallMs))
      this.#disk.set(state.name, state);
  }

  #onOwnClock(limit: Limit): Limit {
    return limit.kind === 'quota' ? { ...limit, endsAtMs: limit.endsAtMs - this.#originMs } : limit;
  }
}

/** One life: rounds of reserve, write, commit and takes between any two of them, until it is killed anywhere. */
function live(
  process: SendingProcess,
  wallMs: number,
  random: Random,
  granted: (at: number, count: number) => void,
) {
  let at = wallMs;
  for (let round = 0; round < 30; round += 1) {
    for (const deed of ['reserve', 'write', 'commit'] as const) {
      if (random() < 0.02) return at;
      if (deed === 'reserve') process.reserve(at);
      else process[deed]();
      at += Math.floor(random() * 400_000);
      granted(at, process.take(at, Math.floor(random() * 40)));
    }
  }
  if (random() < 0.5) process.close(at);
  return at;
}

describe('a quota over restarts', () => {
  test('no day holds more than the limit, however often and wherever the process is killed', () => {
    let killedWithGrants = 0;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.integer(), (count, seed) => {
        const random = seededRandom(seed);
        const disk = new Map<string, QuotaState>();
        const grants: { at: number; count: number }[] = [];
        let wallMs = 1.7e12;
        for (let life = 0; life < 12; life += 1) {
          const process = new SendingProcess(daily(count), disk, wallMs, random);
          wallMs = live(process, wallMs, random, (at, granted) => grants.push({ at, count: granted }));
          wallMs += Math.floor(random() * (random() < 0.2 ? dayMs : 60_000));
          if (grants.length > 0) killedWithGrants += 1;
        }
        for (const { at } of grants) {
          const held = grants.filter((one) => one.at > at - dayMs && one.at <= at);
          const sum = held.reduce((total, one) => total + one.count, 0);
          assert.ok(sum <= count, `${sum} of ${count} in the day before ${at}`);
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(killedWithGrants > 500);
  });

  test('no calendar day holds more than its quota, wherever the process is killed and the day ends', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.integer(), (count, seed) => {
        const random = seededRandom(seed);
        const disk = new Map<string, QuotaState>();
        const days = new Map<number, number>();
        let wallMs = 1.7e12;
        for (let life = 0; life < 12; life += 1) {
          const limit = (at: number): Limit => ({
            kind: 'quota',
            name: 'day',
            count,
            endsAtMs: endOf(at),
            isDurable: true,
          });
          const process = new SendingProcess(limit(wallMs), disk, wallMs, random);
          let day = endOf(wallMs);
          wallMs = live(process, wallMs, random, (at, granted) => {
            days.set(day, (days.get(day) ?? 0) + granted);
            if (endOf(at) !== day) process.put(limit(at));
            day = endOf(at);
          });
          wallMs += Math.floor(random() * dayMs * 0.3);
        }
        for (const [end, sum] of days) assert.ok(sum <= count, `${sum} of ${count} in the day until ${end}`);
      }),
      { numRuns: 150 },
    );
  });

  test('nothing is granted before it is reserved, and a limit that needs more asks for it in time', () => {
    const process = new SendingProcess(daily(1000), new Map(), 1.7e12, seededRandom(1));
    assert.equal(process.take(1.7e12, 1), 0);
    process.reserve(1.7e12);
    assert.equal(process.take(1.7e12, 1), 0, 'reserved, but not on disk');
    process.commit();
    assert.equal(process.take(1.7e12, 4), 4);
    assert.deepEqual(process.table.reserve(1e6, 1.7e12), [], 'more than half of the ten are left');
    assert.equal(process.take(1.7e12, 40), 6);
    process.reserve(1.7e12);
    process.commit();
    assert.equal(process.take(1.7e12, 40), 10);
  });

  test('a clean end costs nothing, a kill one per cent of the day', () => {
    const wallMs = 1.7e12;
    for (const [isClean, left] of [
      [true, 995],
      [false, 990],
    ] as const) {
      const disk = new Map<string, QuotaState>();
      const first = new SendingProcess(daily(1000), disk, wallMs, seededRandom(1));
      first.reserve(wallMs);
      first.write();
      first.commit();
      assert.equal(first.take(wallMs, 5), 5);
      if (isClean) first.close(wallMs);
      const second = new SendingProcess(daily(1000), disk, wallMs + 1000, seededRandom(2));
      let granted = 0;
      for (let at = wallMs + 1000; at < wallMs + 2000; at += 1) {
        second.reserve(at);
        second.commit();
        granted += second.take(at, 1000);
      }
      assert.equal(granted, left);
    }
  });

  test('a message with more bytes than is usually reserved gets them reserved', () => {
    const limit: Limit = { ...daily(1000), kind: 'bytes' };
    const process = new SendingProcess(limit, new Map(), 1.7e12, seededRandom(1));
    const handle = process.table.handleOf('day') ?? -1;
    assert.notEqual(process.limiter.take([handle], 5, 300), undefined);
    process.table.reserve(5, 1.7e12);
    process.commit();
    assert.equal(process.limiter.take([handle], 5, 300), undefined);
  });

  test('a real process that is killed with SIGKILL again and again never sends more than its quota', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'posthaste-quota-'));
    context.after(() => rmSync(folder, { recursive: true }));
    const script = join(import.meta.dirname, 'quota_lease_process.ts');
    for (let round = 0; round < 6; round += 1) {
      const child = spawn(process.execPath, [script, folder, '200'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const closed = once(child, 'close');
      // It says a word for each permit; after some of them it is killed, wherever it is.
      let words = 0;
      for await (const chunk of child.stdout) {
        words += String(chunk).length;
        if (words > round * 7) break;
      }
      child.kill('SIGKILL');
      await closed;
    }
    const sent = readFileSync(join(folder, 'sent'), 'utf8').length;
    assert.ok(sent > 20 && sent <= 200, `${sent} of 200`);
  });
});
