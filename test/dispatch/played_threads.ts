// What the tests of the dispatcher have in place of threads, relay and limits: one thread whose batches the test plays.
import type { BatchRunner } from '../../src/dispatch/hands.ts';

/** All of a runner but `run`: it takes `capacity` batches at once, of any lane. */
export function playedThreads(capacity: number): Omit<BatchRunner, 'run'> {
  return {
    capacity,
    perLane: capacity,
    threads: 1,
    sessionsOpen: () => 0,
    recall: () => {},
    allowSessions: () => {},
  };
}

/** What a dispatcher needs for its pacing, where nothing is to be paused or slowed down. */
export const unguarded = {
  maxSessions: 10,
  guard: { senderRefusalsInARow: Infinity, senderRefusals: { share: 1, of: 10 } },
  slowDown: () => {},
} as const;
