// Due groups: the deferred rows of one batch, put together by when they are due again.
import type { Random } from '../base/random.ts';
import { endOfWait, type RetryTimes, type RetryWait } from './retry.ts';

/** Rows that go on together. */
export interface DueGroup {
  /** Undefined: too late for another attempt. */
  readonly dueAt: number | undefined;
  readonly rows: readonly number[];
}

/**
 * Groups rows whose waits are within a half of one another; all of a group wait as long as its longest does. So a
 * delay that a server named is kept, a full mailbox does not hold up who was greylisted beside it, and replies that each
 * name another second make one or two batches and not 250: from a second to a month there are 37 groups.
 */
export function groupByDue(
  waits: ReadonlyMap<number, RetryWait>,
  jitter: number,
  times: RetryTimes,
  random: Random,
): DueGroup[] {
  const groups = new Map<string, { wait: RetryWait; rows: number[] }>();
  for (const [row, wait] of waits) {
    const key = classOf(wait);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { wait, rows: [row] });
    else {
      group.rows.push(row);
      if (wait.delayMs > group.wait.delayMs) group.wait = wait;
    }
  }
  return [...groups.values()].map(({ wait, rows }) => ({
    dueAt: endOfWait(wait, jitter, times, random),
    rows,
  }));
}

const classRatio = Math.log(1.5);

function classOf({ delayMs, isNamed, giveUpAfterMs }: RetryWait): string {
  const step = Math.floor(Math.log(Math.max(delayMs, 1)) / classRatio);
  return `${step} ${isNamed} ${giveUpAfterMs}`;
}
