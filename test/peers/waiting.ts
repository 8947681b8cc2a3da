// Waits for what has no event.
import { setTimeout as delay } from 'node:timers/promises';

const pollEveryMs = 50;

/** Throws with what did not come true: `describe` says what was to be. */
export async function waitUntil(
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs: number,
  describe: () => string,
): Promise<void> {
  const endsAt = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > endsAt) throw new Error(`not true within ${timeoutMs / 1000} s: ${describe()}`);
    await delay(pollEveryMs);
  }
}
