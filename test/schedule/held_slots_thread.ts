// A thread that is to be ended: holds one slot, and takes and gives back another all the time.
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../src/base/clock.ts';
import { attachLimiter, type LimiterMemory } from '../../src/schedule/limiter.ts';

const { memory, limits }: { memory: LimiterMemory; limits: readonly number[] } = workerData;
const limiter = attachLimiter(memory);
limiter.take(limits, systemClock.monotonic());
for (let turn = 0; ; turn += 1) {
  if (limiter.take(limits, systemClock.monotonic()) === undefined) limiter.release(limits);
  // oxlint-disable-next-line require-post-message-target-origin -- a thread's port has no origin
  if (turn === 20_000) parentPort?.postMessage('at work');
}
