// The threads: the one place that knows piscina.
import { randomUUID } from 'node:crypto';
import { BroadcastChannel, threadId } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { unpackOutcomes } from '../mail/packed_outcomes.ts';
import {
  emptyTransactionTimes,
  readTimes,
  timesLength,
  type TransactionTimes,
} from '../mail/transaction_times.ts';
import { attachLimiter } from '../schedule/limiter.ts';
import {
  campaignRecallSlot,
  controlLengthOf,
  controlSlot,
  countRecalls,
  gaugeCount,
  gaugeSlot,
  relayControl,
  relayControlBase,
  type BatchReport,
  type BatchTask,
  type GivenTask,
  type LiveSetup,
  type PackedReport,
  type WorkerSetup,
} from '../worker/contract.ts';
import { freePlaces } from '../worker/places.ts';

/** Batches of one lane that a thread has at once: while one is being finished, the other keeps the sessions busy. */
const batchesPerLane = 2;
/** Of all lanes together: a batch is some 100 KiB in a thread. */
const mostBatchesPerThread = 128;
const scarceShare = 0.75;

/** What the threads are doing, summed over them; for one relay. */
export interface RelayGauges {
  readonly sessionsConnecting: number;
  readonly sessionsOpen: number;
  readonly sessionsBusy: number;
  /** Transactions on the wire, and how many there may be on the sessions that are open. */
  readonly inFlight: number;
  readonly window: number;
  readonly permitWaitMs: number;
  readonly activeMs: number;
  /** The shortest of any thread; 0 before there was one. */
  readonly roundTripMs: number;
  /** True when `pipelining: deep` would be possible and is not used. */
  readonly couldGoDeep: boolean;
}

export interface WorkerPool {
  readonly threads: number;
  /** How many batches the threads take at once. */
  readonly capacity: number;
  /** How many of them may be of one lane. */
  readonly perLane: number;
  /** Rejects only when a thread died or on a bug of ours. */
  run(task: BatchTask): Promise<BatchReport>;
  /** Hears of threads that die with no batch in hand, those from before among them. Others take their place. */
  followIdleDeaths(listener: (error: unknown) => void): void;
  /** drain: nothing new, finish what is in flight. now: at once. */
  stop(how: 'drain' | 'now'): void;
  gauges(relay: number): RelayGauges;
  /** Sessions that are open, over all threads. */
  sessionsOpen(relay: number): number;
  /** Everything that no session has taken comes back; what is in flight is finished. */
  recall(relay: number): void;
  /** The same for a campaign; others may come back with it. */
  recallCampaign(campaignId: number): void;
  /** So many sessions the relay may have from now on, over all threads; never more than are configured. */
  allowSessions(relay: number, sessions: number): void;
  /** The batch whose message each thread, or the one before in its place, made last. */
  composing(): number[];
  /** How late each thread's event loop was at worst lately, in ms. */
  loopLagsMs(): number[];
  /** How long commits of the journals took, summed over the threads. */
  journalTimes(): TransactionTimes;
  /** Gives the threads other relays and keys; relays keep their numbers, and at most the capacity there was room for. */
  change(setup: LiveSetup): void;
  /** QUIT on every session, then ends the threads. */
  close(): Promise<void>;
}

/** Starts `setup.threads` threads, with hands for so many lanes. They live until `close`. */
export function openWorkerPool(
  setup: Pick<WorkerSetup, 'relays' | 'connectionLimits' | 'dkim' | 'threads' | 'limiter' | 'journal'>,
  lanes = 1,
  relayCapacity = setup.relays.length,
): WorkerPool {
  const { threads } = setup;
  const control = new SharedArrayBuffer(controlLengthOf(relayCapacity) * Int32Array.BYTES_PER_ELEMENT);
  const gauges = new SharedArrayBuffer(threads * relayCapacity * gaugeCount * Float64Array.BYTES_PER_ELEMENT);
  const commitTimes = new SharedArrayBuffer(threads * timesLength * Float64Array.BYTES_PER_ELEMENT);
  const places = new SharedArrayBuffer(threads * Int32Array.BYTES_PER_ELEMENT);
  const channel = `posthaste-${randomUUID()}`;
  const batchesPerThread = Math.min(lanes * batchesPerLane, mostBatchesPerThread);
  const shared = { channel, control, places, gauges, commitTimes };
  // With fewer, each lane has hands of its own.
  const scarceFrom = batchesPerThread < mostBatchesPerThread ? Infinity : mostBatchesPerThread * scarceShare;
  const workerData: WorkerSetup = { ...setup, ...shared, relayCapacity, scarceFrom };
  // A thread that begins later has the setup of the beginning.
  let live: LiveSetup | undefined;
  const changes = new BroadcastChannel(channel);
  changes.onmessage = () => live !== undefined && changes.postMessage(live);
  changes.unref();
  const limiter = attachLimiter(setup.limiter);
  const piscina = new Piscina({
    filename: new URL(`../worker/entry${extension()}`, import.meta.url).href,
    // 'sync', the default, blocks a thread's event loop between tasks: its sockets would be deaf.
    atomics: 'disabled',
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: batchesPerThread,
    recordTiming: false,
    workerData,
  });
  /** What is the same for all relays stands at the first. */
  const ofEachThread = (slot: number): number[] => {
    const view = new Float64Array(gauges);
    return Array.from(
      { length: threads },
      (_, thread) => view[thread * relayCapacity * gaugeCount + slot] ?? 0,
    );
  };
  let hasRun = false;
  const controlView = new Int32Array(control);
  const isAlive = (id: number): boolean =>
    id === threadId || piscina.threads.some((thread) => thread.threadId === id);
  // A thread that died inside the limiter would keep everybody else out of it, and its place from its successor.
  const releaseDead = (): void => {
    limiter.releaseDead(isAlive);
    freePlaces(new Int32Array(places), isAlive);
  };
  const idleDeaths: unknown[] = [];
  let noteIdleDeath = (error: unknown): void => void idleDeaths.push(error);
  // Without a listener Node ends the whole process. Piscina starts no thread in place of one that died while it was loading:
  // once there is none left, nobody would ever take what waits.
  const bereft = new Set<(error: unknown) => void>();
  piscina.on('error', (error: unknown) => {
    releaseDead();
    noteIdleDeath(error);
    if (piscina.threads.length === 0) for (const reject of bereft) reject(error);
  });
  const runOnThread = (task: GivenTask): Promise<PackedReport> =>
    new Promise((resolve, reject) => {
      if (piscina.threads.length === 0) return reject(idleDeaths.at(-1));
      bereft.add(reject);
      piscina
        .run(task, { name: 'runBatch' })
        .finally(() => bereft.delete(reject))
        .then(resolve, reject);
    });
  return {
    threads,
    capacity: threads * batchesPerThread,
    perLane: threads * batchesPerLane,
    run: async (task) => {
      hasRun = true;
      try {
        const report = await runOnThread({ ...task, recalls: countRecalls(controlView, task) });
        return { ...report, outcomes: unpackOutcomes(report.outcomes) };
      } catch (error) {
        releaseDead();
        throw error;
      }
    },
    followIdleDeaths: (listener) => {
      noteIdleDeath = listener;
      for (const error of idleDeaths) listener(error);
    },
    stop: (how) => void Atomics.store(controlView, controlSlot.stop, how === 'drain' ? 1 : 2),
    sessionsOpen: (relay) => sumGauges(new Float64Array(gauges), threads, relayCapacity, relay).sessionsOpen,
    recall: (relay) => void Atomics.add(controlView, relayControlBase(relay) + relayControl.recalls, 1),
    recallCampaign: (campaignId) => void Atomics.add(controlView, campaignRecallSlot(campaignId), 1),
    allowSessions: (relay, sessions) =>
      void Atomics.store(controlView, relayControlBase(relay) + relayControl.sessions, sessions),
    gauges: (relay) => sumGauges(new Float64Array(gauges), threads, relayCapacity, relay),
    composing: () => ofEachThread(gaugeSlot.composing),
    loopLagsMs: () => ofEachThread(gaugeSlot.loopLagMs),
    journalTimes: () => sumTimes(new Float64Array(commitTimes), threads),
    change: (setup) => {
      live = setup;
      changes.postMessage(setup);
    },
    // Without a task there is no session; a thread may not even be ready yet.
    close: () => {
      changes.close();
      return hasRun && piscina.threads.length > 0
        ? closeThreads(piscina, threads * batchesPerThread)
        : piscina.destroy();
    },
  };
}

/** `.ts` in a clone, `.js` in a build: a worker's URL is not rewritten by the compiler. */
function extension(): string {
  return import.meta.filename.endsWith('.ts') ? '.ts' : '.js';
}

function sumGauges(gauges: Float64Array, threads: number, relays: number, relay: number): RelayGauges {
  const each = (slot: number): number[] =>
    Array.from(
      { length: threads },
      (_, thread) => gauges[(thread * relays + relay) * gaugeCount + slot] ?? 0,
    );
  const sum = (slot: number): number => each(slot).reduce((total, value) => total + value, 0);
  const roundTrips = each(gaugeSlot.roundTripMs).filter((value) => value > 0);
  return {
    sessionsConnecting: sum(gaugeSlot.sessionsConnecting),
    inFlight: sum(gaugeSlot.inFlight),
    window: sum(gaugeSlot.window),
    sessionsOpen: sum(gaugeSlot.sessionsOpen),
    sessionsBusy: sum(gaugeSlot.sessionsBusy),
    permitWaitMs: sum(gaugeSlot.permitWaitMs),
    activeMs: sum(gaugeSlot.activeMs),
    roundTripMs: roundTrips.length === 0 ? 0 : Math.min(...roundTrips),
    couldGoDeep: sum(gaugeSlot.couldGoDeep) > 0,
  };
}

function sumTimes(memory: Float64Array, threads: number): TransactionTimes {
  const total = emptyTransactionTimes();
  for (let thread = 0; thread < threads; thread += 1) readTimes(memory, thread * timesLength, total);
  return total;
}

/** One task a thread says the goodbyes; a thread that is told twice has nothing left to close. */
async function closeThreads(piscina: Piscina, tasks: number): Promise<void> {
  const goodbyes = Array.from({ length: tasks }, () => piscina.run(undefined, { name: 'closeSessions' }));
  await Promise.allSettled(goodbyes);
  await piscina.destroy();
}
