// The threads of a run, with what they share; started while the rest of the program is still being loaded.
import { systemClock } from '../base/clock.ts';
import { openWorkerPool, type WorkerPool } from '../dispatch/worker_pool.ts';
import { RunJournals } from './journals.ts';
import { RunLimits } from './run_limits.ts';
import type { SendRequest } from './send.ts';

export interface RunThreads {
  readonly pool: WorkerPool;
  readonly limits: RunLimits;
  readonly journals: RunJournals;
}

/** Where each domain is a lane, as many hands as there may be. */
const manyLanes = 1000;

/** Starts the threads of a request. Whoever does not hand them on closes `pool`. */
export function startThreads(request: SendRequest): RunThreads {
  const { stateDir, relay, dkim, threads, durability, lanes } = request;
  const limits = new RunLimits(
    {
      pace: request.pace,
      relay,
      campaign: { name: request.campaign.name, pace: request.campaignPace },
      lanes: lanes?.groups ?? [],
    },
    systemClock,
  );
  const journals = new RunJournals(stateDir, systemClock.now());
  const { directory, run } = journals;
  const pool = openWorkerPool(
    {
      relays: [relay],
      dkim,
      threads: Math.min(threads, relay.maxConnections),
      limiter: limits.table.memory,
      journal: { directory, run, durability },
    },
    lanesOf(lanes),
  );
  return { pool, limits, journals };
}

/** A batch of an interrupted list may be of one more, the lane without a name. */
function lanesOf(lanes: SendRequest['lanes']): number {
  if (lanes === undefined) return 1;
  return lanes.others === 'domain' ? manyLanes : lanes.groups.length + 2;
}
