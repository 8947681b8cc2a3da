// What the tests of the dispatcher have in place of threads, relay and limits: one thread whose batches the test plays.
import type { BatchRunner } from '../../src/dispatch/hands.ts';

/** All of a runner but `run`: it takes `capacity` batches at once, of any lane. */
export function playedThreads(capacity: number): Omit<BatchRunner, 'run'> {
  return {
    capacity,
    perLane: capacity,
    threads: 1,
    sessionsOpen: () => 0,
    composing: () => [],
    recall: () => {},
    recallCampaign: () => {},
    allowSessions: () => {},
  };
}

/** What a dispatcher needs for its pacing, where nothing is to be paused. */
export const unguarded = {
  guard: { senderRefusalsInARow: Infinity, senderRefusals: { share: 1, of: 10 } },
} as const;
