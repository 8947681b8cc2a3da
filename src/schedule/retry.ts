// The retry schedule: when a deferred recipient is due again, and when to give up.
import type { Random } from '../base/random.ts';

export interface RetryPolicy {
  readonly firstDelayMs: number;
  /** Each delay is this many times the one before. */
  readonly factor: number;
  readonly maxDelayMs: number;
  /** Counted from the recipient's first due time. */
  readonly giveUpAfterMs: number;
  /** 0.2 spreads a delay over ±20 %, so that deferred batches do not come back together. */
  readonly jitter: number;
}

/**
 * When attempt number `attempt` (1-based), which failed at `now`, is followed by the next one; undefined when it
 * would be later than `giveUpAfterMs` after `bornAt`. All times in ms since the epoch.
 */
export function nextAttemptAt(
  policy: RetryPolicy,
  attempt: number,
  bornAt: number,
  now: number,
  random: Random,
): number | undefined {
  const delayMs = Math.min(policy.firstDelayMs * policy.factor ** (attempt - 1), policy.maxDelayMs);
  const dueAt = Math.round(now + delayMs * (1 + policy.jitter * (2 * random() - 1)));
  return dueAt - bornAt > policy.giveUpAfterMs ? undefined : dueAt;
}

const firstRelayDelayMs = 1000;
const maxRelayDelayMs = 60_000;

/** How long a relay that failed `failures` times in a row (1 or more) is left alone. */
export function relayBackOffMs(failures: number): number {
  return Math.min(firstRelayDelayMs * 2 ** (failures - 1), maxRelayDelayMs);
}
