// Benchmark of the rate limiter: nanoseconds per take with one limit and with eight, granted and refused.
import { attachLimiter, createLimiter } from '../src/schedule/limiter.ts';

const takes = 2_000_000;
const rounds = 5;

/** The best of some rounds. `stepMs` is how far the clock goes on at each take. */
function measureNs(limitCount: number, perSecond: number, stepMs: number): number {
  const rate = { count: perSecond, perMs: 1000 };
  const table = Array.from({ length: limitCount }, (_, index) => ({
    kind: 'rate' as const,
    name: `limit ${index}`,
    rate,
  }));
  const limiter = attachLimiter(createLimiter(table));
  const limits = table.map((_, index) => index);
  let nowMs = 1000;
  let best = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const beganAt = performance.now();
    for (let take = 0; take < takes; take += 1) {
      limiter.take(limits, nowMs);
      nowMs += stepMs;
    }
    best = Math.min(best, ((performance.now() - beganAt) * 1e6) / takes);
  }
  return Math.round(best);
}

for (const limitCount of [1, 8]) {
  const granted = measureNs(limitCount, 500_000, 1 / 450);
  const refused = measureNs(limitCount, 1, 1e-9);
  console.log(`limiter, ${limitCount} limit(s): ${granted} ns per take granted, ${refused} ns refused`);
}
