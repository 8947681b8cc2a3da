// Random limits of all kinds, threads, arrivals, deaths and live changes on a virtual clock, held against the model.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { seededRandom } from '../../src/base/random.ts';
import { attachLimiter } from '../../src/schedule/limiter.ts';
import type { Limit } from '../../src/schedule/limit_record.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';
import { LimiterModel } from './limiter_model.ts';

const someCount = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 40, max: 3000 }));
const rate = fc.record({ count: someCount, perMs: fc.constantFrom(100, 1000, 2500, 60_000) });
const usualRate = fc.record({ count: someCount, perMs: fc.constantFrom(1000, 2500, 60_000) });
const burst = fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 3000 }));
const name = fc.constant('');
const count = fc.integer({ min: 1, max: 30 });
const endsAtMs = fc.integer({ min: 1000, max: 20_000 });
const limit: fc.Arbitrary<Limit> = fc.oneof(
  fc.record({ kind: fc.constant('rate' as const), name, rate, burst }),
  fc.record({ kind: fc.constant('bytes' as const), name, rate, burst }),
  fc.record({ kind: fc.constant('concurrent' as const), name, count }),
  fc.record({ kind: fc.constant('quota' as const), name, count, endsAtMs }),
);
const limits = fc
  .array(limit, { minLength: 1, maxLength: 6 })
  .map((all) => all.map((one, index) => ({ ...one, name: `limit ${index}` })));

describe('the model', () => {
  test('no limit of any kind ever holds more than it says, whatever is asked, changed, removed, and whoever dies', () => {
    let granted = 0;
    fc.assert(
      fc.property(
        limits,
        fc.array(limit, { minLength: 20, maxLength: 20 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer(),
        (initial, changes, threads, seed) => {
          const random = seededRandom(seed);
          const model = new LimiterModel(initial, threads, random);
          const [stepMs, next] = [random() < 0.5 ? 1 : 20, changes[Symbol.iterator]()];
          for (let nowMs = 1000; nowMs < 1000 + 4000 * stepMs; nowMs += random() * 2 * stepMs) {
            const dice = random();
            if (dice < 0.9) model.take(nowMs);
            else if (dice < 0.98) model.release();
            else if (dice < 0.984) model.kill();
            else if (dice < 0.988) model.remove();
            else if (dice < 0.994) {
              const change = next.next();
              if (change.done !== true) model.put(nowMs, change.value);
            }
          }
          granted += model.grantCount;
        },
      ),
      { numRuns: 120 },
    );
    assert.ok(granted > 10_000, `${granted} grants are too few to say anything`);
  });

  test('with work at all times several limits of one subject grant at least 98 % of what the tightest allows', () => {
    const several = fc.array(fc.record({ kind: fc.constantFrom('rate', 'bytes'), rate: usualRate, burst }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(several, fc.integer({ min: 1, max: 4 }), fc.integer(), (specs, threads, seed) => {
        const table = new LimitTable();
        const random = seededRandom(seed);
        // Every message has ten bytes, and a limit of bytes ten times the count: so counts can be compared.
        const handles = specs.map((spec, index) => {
          const factor = spec.kind === 'bytes' ? 10 : 1;
          const scaled = { count: spec.rate.count * factor, perMs: spec.rate.perMs };
          return table.put({ ...spec, name: `${index}`, rate: scaled, burst: spec.burst * factor });
        });
        const perMs = Math.min(...specs.map((spec) => spec.rate.count / spec.rate.perMs));
        const durationMs = Math.min(300_000, 40_000 / perMs);
        const possible = durationMs * perMs;
        const granted = askForTime(table, handles, threads, durationMs, random);
        assert.ok(granted >= Math.floor(possible * 0.98) - 1, `${granted} of ${possible}`);
      }),
      { numRuns: 40 },
    );
  });
});

function askForTime(
  table: LimitTable,
  handles: readonly number[],
  threads: number,
  durationMs: number,
  random: () => number,
): number {
  const limiters = Array.from({ length: threads }, (_, index) => attachLimiter(table.memory, 100 + index));
  const wakes = limiters.map(() => 1);
  let granted = 0;
  for (;;) {
    const nowMs = Math.min(...wakes);
    if (nowMs >= durationMs) return granted;
    const thread = wakes.indexOf(nowMs);
    const refusal = limiters[thread]?.take(handles, nowMs, 10);
    if (refusal === undefined) granted += 1;
    else wakes[thread] = Math.ceil(refusal.retryAtMs) + random() * 10;
  }
}
