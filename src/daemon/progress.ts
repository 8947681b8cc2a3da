// What the watchdog is told of a daemon: what its threads have written down, and which campaigns are under way.
import { systemClock } from '../base/clock.ts';
import type { Daemon } from './daemon.ts';
import { isHeld, type Progress } from './watchdog.ts';

/** What is over sooner is a pace, and not the reason of any standstill. */
const longHoldMs = 2000;

export function readProgress({ engineOrNone: engine, campaigns }: Daemon): Progress {
  if (engine === undefined) return { commits: 0, underWay: 0 };
  const { pool, limits } = engine.threads;
  const commits = pool.journalTimes().counts.reduce((sum, count) => sum + count, 0);
  const holds = limits.table.binding(systemClock.monotonic() + longHoldMs).map(({ name }) => name);
  const underWay = [...campaigns.values()].filter(
    ({ name, state }) =>
      state.kind === 'running' && state.run.inHand > 0 && !isHeld(name, state.run.relays, holds),
  );
  return { commits, underWay: underWay.length };
}
