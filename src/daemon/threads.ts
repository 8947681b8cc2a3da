// The threads of a run, with what they share; started while the rest of the program is still being loaded.
import { systemClock } from '../base/clock.ts';
import { formatRate } from '../base/quantity.ts';
import { openWorkerPool, type WorkerPool } from '../dispatch/worker_pool.ts';
import { createLimiter, type Limit } from '../schedule/limiter.ts';
import { RunJournals } from './journals.ts';
import type { SendRequest } from './send.ts';

export interface RunThreads {
  readonly pool: WorkerPool;
  /** In the order of the limiter's table. */
  readonly limits: readonly Limit[];
  readonly journals: RunJournals;
}

/** Starts the threads of a request. Whoever does not hand them on closes `pool`. */
export function startThreads(request: SendRequest): RunThreads {
  const { stateDir, relay, dkim, threads, durability } = request;
  const limits = limitsOf(request);
  const journals = new RunJournals(stateDir, systemClock.now());
  const { directory, run } = journals;
  const pool = openWorkerPool({
    relays: [relay],
    dkim,
    threads: Math.min(threads, relay.maxConnections),
    limiter: createLimiter(limits),
    journal: { directory, run, durability },
  });
  return { pool, limits, journals };
}

function limitsOf({ relay, rate, campaign }: SendRequest): Limit[] {
  const limits: Limit[] = [];
  if (relay.rate !== undefined)
    limits.push({ kind: 'rate', name: `relay ${relay.name} ${formatRate(relay.rate)}`, rate: relay.rate });
  if (rate !== undefined)
    limits.push({ kind: 'rate', name: `campaign ${campaign.name} ${formatRate(rate)}`, rate });
  return limits;
}
