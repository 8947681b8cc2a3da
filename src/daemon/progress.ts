// What the watchdog is told of a daemon: what its threads have written down, and which campaigns are under way.
import type { Daemon } from './daemon.ts';
import type { Progress } from './watchdog.ts';

export function readProgress({ engineOrNone: engine, campaigns }: Daemon): Progress {
  if (engine === undefined) return { commits: 0, underWay: 0 };
  const commits = engine.threads.pool.journalTimes().counts.reduce((sum, count) => sum + count, 0);
  const underWay = [...campaigns.values()].filter(
    ({ state }) => state.kind === 'running' && state.run.inHand > 0,
  );
  return { commits, underWay: underWay.length };
}
