// A thread of the limiter's real test: takes permits as fast as it gets them, for a while; posts the clock before and after each.
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../src/base/clock.ts';
import { attachLimiter, type LimiterMemory } from '../../src/schedule/limiter.ts';

const { memory, endsAtMs, sizeBytes }: { memory: LimiterMemory; endsAtMs: number; sizeBytes: number } =
  workerData;
const limiter = attachLimiter(memory);
const grants: { beforeMs: number; afterMs: number; bytes: number }[] = [];
for (let nowMs = systemClock.monotonic(); nowMs < endsAtMs; nowMs = systemClock.monotonic()) {
  const refusal = limiter.take([0, 1], nowMs, sizeBytes);
  if (refusal === undefined)
    grants.push({ beforeMs: nowMs, afterMs: systemClock.monotonic(), bytes: sizeBytes });
  else await sleep(Math.ceil(refusal.retryAtMs - nowMs));
}
// oxlint-disable-next-line require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage(grants);
