// The threads of an engine, with what they share; started while the rest of the program is still being loaded.
import { systemClock } from '../base/clock.ts';
import type { Pace } from '../base/quantity.ts';
import { openWorkerPool, type WorkerPool } from '../dispatch/worker_pool.ts';
import type { LiveSetup } from '../worker/contract.ts';
import type { LaneGroup, LaneRules } from '../schedule/lanes.ts';
import type { WarmUpPlan } from '../schedule/warm_up.ts';
import type { DkimKey } from '../sign/key.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import { RunJournals } from './journals.ts';
import type { MxResolverOptions } from './mx_resolver.ts';
import { RunLimits, type LaneLimits, type LimitPlan, type WarmedLimits } from './run_limits.ts';

/** A relay with its limits. */
export type SendRelay = RelayOptions & {
  readonly pace: Pace;
  readonly warmUp?: WarmUpPlan | undefined;
};

/** How recipients are cut into lanes, and the limits of those. */
export interface SendLanes {
  readonly groups: readonly (LaneLimits & LaneGroup)[];
  readonly others: LaneRules['others'];
  /** Undefined: no MX is looked up. */
  readonly mx: (MxResolverOptions & { readonly maxLookUps: number }) | undefined;
}

/** What all campaigns of a process share. */
export interface EngineOptions {
  /** Where the ledger is. */
  readonly stateDir: string;
  readonly durability: 'process' | 'power';
  readonly threads: number;
  /** Their numbers in tasks are their places here. */
  readonly relays: readonly SendRelay[];
  /** Those of all domains; a campaign's From says which of them sign. */
  readonly dkim: readonly DkimKey[];
  /** Limits of all that is sent. */
  readonly pace: Pace;
  /** Undefined: all recipients are of one lane. */
  readonly lanes: SendLanes | undefined;
  readonly fromDomains: readonly WarmedLimits[];
  readonly drainTimeoutMs: number;
  /** A relay that is out of reach ends nothing: it is tried for as long as it takes. */
  readonly isPatient: boolean;
  /** Whether what becomes of each recipient is an event, too. */
  readonly tellsRecipients: boolean;
}

export interface EngineThreads {
  readonly pool: WorkerPool;
  readonly limits: RunLimits;
  readonly journals: RunJournals;
}

/** Relays that a daemon may have, those among them that come with a reload or were there before it. */
export const mostRelays = 64;

/** Where each domain is a lane, or campaigns come and go, as many hands as there may be. */
const manyLanes = 1000;

/** Starts the threads. Whoever does not hand them on closes `pool`. */
export function startThreads(options: EngineOptions): EngineThreads {
  const { stateDir, relays, threads, durability, isPatient } = options;
  const limits = new RunLimits(limitPlanOf(options), systemClock);
  const journals = new RunJournals(stateDir, systemClock.now());
  const { directory, run } = journals;
  const most = Math.min(...relays.map(({ maxConnections }) => maxConnections));
  const pool = openWorkerPool(
    {
      ...liveSetupOf(options, limits),
      threads: Math.min(threads, most),
      limiter: limits.table.memory,
      journal: { directory, run, durability },
    },
    handsFor(options),
    isPatient ? mostRelays : relays.length,
  );
  return { pool, limits, journals };
}

/** What threads need of relays: limits are theirs as handles only, so that a changed one leaves their sessions as they are. */
export function liveSetupOf({ relays, dkim }: EngineOptions, limits: RunLimits): LiveSetup {
  const bare = relays.map((relay): RelayOptions => {
    const { pace: _, warmUp: _warmUp, ...rest } = relay;
    return rest;
  });
  const connectionLimits = relays.map(({ name }) => limits.ofConnections(name));
  return { relays: bare, connectionLimits, dkim };
}

/** The limits that an engine has before any campaign. */
export function limitPlanOf({ pace, relays, lanes, fromDomains, threads }: EngineOptions): LimitPlan {
  return { pace, relays, lanes: lanes?.groups ?? [], fromDomains, threads };
}

/** A batch of an interrupted list may be of one more, the lane without a name. */
function handsFor({ lanes, isPatient }: EngineOptions): number {
  if (isPatient || lanes?.others === 'domain') return manyLanes;
  return lanes === undefined ? 1 : lanes.groups.length + 2;
}
