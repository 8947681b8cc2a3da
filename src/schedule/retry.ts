// The retry schedule: when a deferred recipient is due again, and when to give up.
import type { Random } from '../base/random.ts';
import type { Category } from '../mail/verdict.ts';

/** How delays grow, and for how long there are attempts. */
export interface RetryRule {
  readonly firstDelayMs: number;
  /** Each delay is this many times the one before. */
  readonly factor: number;
  readonly maxDelayMs: number;
  /** Counted from the recipient's first attempt, so it is the same for the first row of a list and the last. */
  readonly giveUpAfterMs: number;
}

export interface RetryPolicy extends RetryRule {
  /** 0.2 spreads a delay over ±20 %, so that deferred batches do not come back together. */
  readonly jitter: number;
  /** What differs for one category: greylisting is over soon, a full mailbox is not. */
  readonly byCategory?: Readonly<Partial<Record<Category, Partial<RetryRule>>>> | undefined;
}

/** One attempt that was deferred. */
export interface Deferred {
  /** 1 for the first. */
  readonly attempt: number;
  readonly category: Category;
  /** What the reply asked for (`parseNamedDelayMs`). */
  readonly namedDelayMs?: number | undefined;
}

/** A wait that is the same for all of a batch who were deferred for the same reason. */
export interface RetryWait {
  readonly delayMs: number;
  /** The server named it: it may be made longer, but not shorter. */
  readonly isNamed: boolean;
  readonly giveUpAfterMs: number;
}

const leastNamedDelayMs = 1000;

/** How long to wait after a deferred attempt. */
export function planWait(policy: RetryPolicy, { attempt, category, namedDelayMs }: Deferred): RetryWait {
  const { firstDelayMs, factor, maxDelayMs, giveUpAfterMs } = { ...policy, ...policy.byCategory?.[category] };
  if (namedDelayMs === undefined) {
    const delayMs = Math.min(firstDelayMs * factor ** (attempt - 1), maxDelayMs);
    return { delayMs, isNamed: false, giveUpAfterMs };
  }
  // A server that names a second each time would be asked 172,800 times in two days: it is believed less each time.
  const delayMs = Math.max(namedDelayMs, leastNamedDelayMs * 2 ** (attempt - 1));
  return {
    delayMs: Math.min(delayMs, Math.max(maxDelayMs, leastNamedDelayMs)),
    isNamed: true,
    giveUpAfterMs,
  };
}

/**
 * When a wait that begins at `now` is over; undefined when that is later than `giveUpAfterMs` after the first attempt,
 * or than the deadline. All times in ms since the epoch.
 */
export function endOfWait(
  wait: RetryWait,
  jitter: number,
  { now, firstAttemptAt, deadlineAt = Infinity }: RetryTimes,
  random: Random,
): number | undefined {
  const spread = wait.isNamed ? jitter * random() : jitter * (2 * random() - 1);
  const dueAt = Math.round(now + wait.delayMs * (1 + spread));
  return dueAt - firstAttemptAt > wait.giveUpAfterMs || dueAt >= deadlineAt ? undefined : dueAt;
}

export interface RetryTimes {
  readonly now: number;
  readonly firstAttemptAt: number;
  /** Nothing is sent from then on; absent: never. */
  readonly deadlineAt?: number | undefined;
}

const firstRelayDelayMs = 1000;
const maxRelayDelayMs = 60_000;

/** How long a relay that failed `failures` times in a row (1 or more) is left alone. */
export function relayBackOffMs(failures: number): number {
  return Math.min(firstRelayDelayMs * 2 ** (failures - 1), maxRelayDelayMs);
}
