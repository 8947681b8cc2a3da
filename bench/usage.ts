// Preloaded into a process that is measured: as it ends, it writes down what it has used.
import { readFileSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** What a whole process used, all its threads together. */
export interface Usage {
  /** User and system time. */
  readonly cpuUs: number;
  /** The most memory that was resident at once. */
  readonly peakBytes: number;
}

/** Names the file that the usage is written to. */
export const usageVariable = 'POSTHASTE_BENCH_USAGE';

const path = process.env[usageVariable];
// Threads inherit --import: only one of them writes.
if (path !== undefined && isMainThread) {
  process.on('exit', () => {
    const { userCPUTime, systemCPUTime } = process.resourceUsage();
    const usage: Usage = { cpuUs: userCPUTime + systemCPUTime, peakBytes: readPeakBytes() };
    writeFileSync(path, JSON.stringify(usage));
  });
}

/**
 * VmHWM and not the maxRSS of getrusage: Linux carries that over from the parent when a program is started, so a
 * large benchmark would make its children look large.
 */
export function readPeakBytes(pid: number | 'self' = 'self'): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024;
  const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  return Number(peak?.[1]) * 1024;
}
