// A thread of the limiter's benchmark: takes permits, as often as it is told or for as long.
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../src/base/clock.ts';
import { attachLimiter, noLimit, type Limiter, type LimiterMemory } from '../src/schedule/limiter.ts';

export interface LimiterBenchTask {
  readonly memory: LimiterMemory;
  readonly limits: readonly number[];
  /** As fast as it can, so many times; or 0, and at the pace of the limits for `durationMs`. */
  readonly takes: number;
  readonly durationMs: number;
  /** Int32: how many threads are ready; -1 when all begin. */
  readonly start: SharedArrayBuffer;
}

export interface LimiterBenchReport {
  /** CPU time of this thread in all takes together. */
  readonly cpuNs: number;
  /** Takes that were refused because another thread held the table. */
  readonly busy: number;
  readonly grantedAtMs: readonly number[];
}

const task: LimiterBenchTask = workerData;
const limiter = attachLimiter(task.memory);
const start = new Int32Array(task.start);

/** `performance.now` is cheap and good enough where time only has to go on. */
function takeAll(takes: number, limits: readonly number[], from: Limiter): number {
  let busy = 0;
  for (let take = 0; take < takes; take += 1) {
    const refusal = from.take(limits, 1e9 + performance.now());
    if (refusal?.limit === noLimit) busy += 1;
  }
  return busy;
}

async function takePaced(endsAtMs: number): Promise<number[]> {
  const grantedAtMs: number[] = [];
  for (let nowMs = systemClock.monotonic(); nowMs < endsAtMs; nowMs = systemClock.monotonic()) {
    const refusal = limiter.take(task.limits, nowMs);
    if (refusal === undefined) grantedAtMs.push(nowMs);
    else await sleep(Math.ceil(refusal.retryAtMs - nowMs));
  }
  return grantedAtMs;
}

takeAll(20_000, [], limiter);
takeAll(Math.min(task.takes, 20_000), task.limits, limiter);
const ready = Atomics.add(start, 0, 1) + 1;
for (let seen = ready; seen >= 0; seen = Atomics.load(start, 0)) Atomics.wait(start, 0, seen, 50);
const before = process.threadCpuUsage();
const busy = takeAll(task.takes, task.limits, limiter);
const { user, system } = process.threadCpuUsage(before);
const grantedAtMs = task.takes === 0 ? await takePaced(systemClock.monotonic() + task.durationMs) : [];
const report: LimiterBenchReport = { cpuNs: (user + system) * 1000, busy, grantedAtMs };
// oxlint-disable-next-line require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage(report);
