// The inside of a thread: takes batches as tasks, keeps pools between them, and tells what it is doing.
import { deserialize } from 'node:v8';
import { isDeepStrictEqual } from 'node:util';
import { BroadcastChannel, threadId, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { messageOf, systemCodeOf } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import { compileCampaign } from '../compose/compose.ts';
import { JournalWriter } from '../journal/writer.ts';
import { domainOf } from '../mail/address.ts';
import type { Campaign, CampaignPlan } from '../mail/campaign.ts';
import { makeEnvelope } from '../mail/envelope.ts';
import { packOutcomes } from '../mail/packed_outcomes.ts';
import { emptyTransactionTimes, readTimes, timesLength, writeTimes } from '../mail/transaction_times.ts';
import { judgeLocally, type Verdict } from '../mail/verdict.ts';
import { attachLimiter } from '../schedule/limiter.ts';
import { keysFor } from '../sign/key.ts';
import { createSigner, type Signer } from '../sign/signer.ts';
import { Pool } from '../smtp/pool.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import { BatchRun } from './batch_run.ts';
import {
  campaignRecallSlot,
  campaignRecallSlots,
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
} from './contract.ts';
import { takePlace } from './places.ts';
import { RelayWork, type CompiledCampaign, type Patience, type RowTransaction } from './relay_work.ts';

/** Trusted: `dispatch/worker_pool.ts` is the only one that starts this file. */
const setup: WorkerSetup = workerData;
const control = new Int32Array(setup.control);
const gauges = new Float64Array(setup.gauges);
const limiter = attachLimiter(setup.limiter);
const startNumber = Atomics.add(control, controlSlot.started, 1);
/** Nobody is dead and still in its place: the pool frees it before a successor is there to ask. */
const threadIndex = takePlace(new Int32Array(setup.places), threadId) ?? startNumber % setup.threads;
const commitTimes = emptyTransactionTimes();
const sharedCommitTimes = new Float64Array(setup.commitTimes);
readTimes(sharedCommitTimes, threadIndex * timesLength, commitTimes);
/** A thread that takes the place of a dead one has a journal of its own. */
const journal = new JournalWriter({ ...setup.journal, writer: startNumber }, commitTimes);
/** Set once the journal cannot be written: this thread sends nothing more. */
let journalFailure: BatchReport['journalFailure'];

/** One relay, as this thread sees it. */
interface OpenRelay {
  options: RelayOptions;
  readonly work: RelayWork;
  readonly pool: Pool<RowTransaction>;
  /** What sessions before those of the pool have waited for permits. */
  readonly waitedMs: number;
  /** Sessions of retired pools to the same place, as counted last. */
  leaving: number;
  /** What was last seen in the control memory. */
  recalls: number;
  sessions: number;
}

/** Pools of relays that a reload has changed, as long as somebody is under way in them, with what they were for. */
const retired = new Map<Pool<RowTransaction>, RelayOptions>();
const relays: OpenRelay[] = setup.relays.map((relay, index) => openRelay(relay, waitedBefore(index)));
limitOpening(setup.connectionLimits);
let { dkim } = setup;

function openRelay(options: RelayOptions, waitedMs: number): OpenRelay {
  const leaving = countLeaving(options);
  const work = new RelayWork(limiter, systemClock, (run) => {
    gauges[gaugeBase(0) + gaugeSlot.composing] = run.task.batchId;
    return compiledFor(run);
  });
  const pool = new Pool(options, Math.max(1, shareOf(options.maxConnections)), work, Math.random, {
    noteEnd: ({ run, row }) => journal.noteEnd(run.task, row),
    commit: () => journal.commit(),
    failed: (error) => stopForJournal(error),
  });
  if (leaving > 0) pool.setShare(shareBeside(leaving, options.maxConnections));
  return { options, work, pool, waitedMs, leaving, recalls: 0, sessions: 0 };
}

function limitOpening(limits: WorkerSetup['connectionLimits']): void {
  for (const [index, { work }] of relays.entries()) work.limitOpening(limits[index] ?? []);
}

/** What this place's last thread, if it had one, has waited for a relay's permits. */
function waitedBefore(index: number): number {
  return gauges[gaugeBase(index) + gaugeSlot.permitWaitMs] ?? 0;
}

const compiled = new Map<string, CompiledCampaign & { readonly planBytes: number }>();
/** Plans whose templates stay compiled in a thread, besides those of the batches that it has: a thousand letters, or a hundred pages. */
const compiledKeptBytes = 8 * 1024 * 1024;
let compiledBytes = 0;
/** Campaigns take turns message by message, and there may be more of them than are kept. */
const compiledOfRuns = new WeakMap<BatchRun, CompiledCampaign>();
/** Batches that are not finished. */
let batchesHere = 0;
let stopSeen = 0;
const recallsSeen = new Int32Array(campaignRecallSlots);

/** Runs one batch. Resolves when every recipient has an outcome; rejects only on a bug of ours. */
export function runBatch({ recalls, ...task }: GivenTask): Promise<PackedReport> {
  const relay = relays[task.relay];
  invariant(relay !== undefined, `a batch for relay number ${task.relay}, which does not exist`);
  return new Promise((resolve) => {
    batchesHere += 1;
    const run = new BatchRun(task, journal, (report) => {
      batchesHere -= 1;
      resolve({
        ...report,
        permitWaits: relay.pool.takePermitWaits(),
        outcomes: packOutcomes(report.outcomes),
      });
    });
    // A template that does not compile must fail the task here, not a socket's event later.
    compiledFor(run);
    run.noteJournalFailure(journalFailure);
    const stopped = Atomics.load(control, controlSlot.stop) !== 0 || journalFailure !== undefined;
    if (stopped) return run.giveBack(stopVerdict(), undefined);
    if (recalls !== countRecalls(control, task)) return run.giveBack(calledBack(), undefined);
    relay.work.add(run);
    // Not in this promise: it would reject while the run goes on, and whoever hears that takes the thread for dead.
    setImmediate(() => relay.pool.wake());
  });
}

/** Ends all sessions with QUIT. Runs as a task of its own when the pool closes. */
export async function closeSessions(): Promise<void> {
  clearInterval(ticker);
  await Promise.all([...relays.map(({ pool }) => pool), ...retired.keys()].map((pool) => pool.close()));
  journal.close();
  writeGauges();
}

/** What is not written down is not sent: everything that nobody has taken goes back. */
function stopForJournal(error: unknown): void {
  journalFailure ??= { code: systemCodeOf(error), text: messageOf(error) };
  for (const { work } of relays) {
    work.noteJournalFailure(journalFailure);
    work.giveBack(judgeLocally('stopped', `the journal cannot be written: ${journalFailure.text}`));
  }
}

/** maxConnections is for the relay, over all threads: each has a fixed share of it. */
function shareOf(maxConnections: number): number {
  const base = Math.floor(maxConnections / setup.threads);
  return base + (threadIndex < maxConnections % setup.threads ? 1 : 0);
}

/** Sessions that a reload has retired are the relay's, too, until they end. */
function shareBeside(leaving: number, maxConnections: number): number {
  return Math.max(leaving > 0 ? 0 : 1, shareOf(maxConnections) - leaving);
}

function countLeaving({ host, port }: RelayOptions): number {
  let open = 0;
  for (const [pool, options] of retired) {
    if (pool.isOver) retired.delete(pool);
    else if (options.host === host && options.port === port) open += pool.counts.open;
  }
  return open;
}

function compiledFor(run: BatchRun): CompiledCampaign {
  const own = compiledOfRuns.get(run) ?? compileFor(run);
  compiledOfRuns.set(run, own);
  return own;
}

function compileFor(run: BatchRun): CompiledCampaign {
  const known = compiled.get(run.task.planKey);
  if (known !== undefined) return known;
  const plan: CampaignPlan = deserialize(Buffer.from(run.task.plan));
  const { campaign } = plan;
  const planBytes = run.task.plan.byteLength;
  const fresh = {
    envelope: makeEnvelope(campaign),
    composer: compileCampaign(plan),
    signer: signerFor(campaign),
    planBytes,
  };
  compiled.set(run.task.planKey, fresh);
  compiledBytes += planBytes;
  for (const [key, oldest] of compiled) {
    if (compiledBytes <= compiledKeptBytes || oldest === fresh) break;
    compiled.delete(key);
    compiledBytes -= oldest.planBytes;
  }
  return fresh;
}

function signerFor({ from }: Campaign): Signer | undefined {
  const keys = keysFor(dkim, domainOf(from.address));
  return keys.length === 0 ? undefined : createSigner(keys);
}

/** Changes that came while this thread runs, or before it did and after its setup was made. */
const changes = new BroadcastChannel(setup.channel);
changes.onmessage = ({ data }: { data: unknown }) => {
  if (isLiveSetup(data)) follow(data);
};
changes.unref();
changes.postMessage('hello');

/** Our own writing, or another thread's hello. */
function isLiveSetup(data: unknown): data is LiveSetup {
  return typeof data === 'object' && data !== null && 'relays' in data;
}

function follow({ relays: next, connectionLimits, dkim: keys }: LiveSetup): void {
  dkim = keys;
  // Compiled again with the new keys.
  compiled.clear();
  compiledBytes = 0;
  for (const [index, options] of next.entries()) {
    const open = relays[index];
    if (open === undefined) relays.push(openRelay(options, waitedBefore(index)));
    else if (!isDeepStrictEqual(open.options, options)) relays[index] = changeRelay(open, options);
  }
  limitOpening(connectionLimits);
}

/** Fewer or more sessions are the same sessions; whatever else has changed needs new ones, and the old ones finish what they have. */
function changeRelay(open: OpenRelay, options: RelayOptions): OpenRelay {
  const { maxConnections } = open.options;
  if (isDeepStrictEqual(open.options, { ...options, maxConnections })) {
    open.options = options;
    open.sessions = -1;
    return open;
  }
  open.work.giveBack(calledBack());
  open.pool.retire();
  retired.set(open.pool, open.options);
  return openRelay(options, open.waitedMs + open.pool.counts.permitWaitMs);
}

const tickMs = 50;
/** Of this place's last thread, if it had one. */
const activeBeforeMs = gauges[gaugeBase(0) + gaugeSlot.activeMs] ?? 0;
/** The worst of this and the last stretch of ten seconds. */
let [lagMs, lastLagMs, lagSince, tickedAt] = [0, 0, performance.now(), performance.now()];

function watchLag(): void {
  const now = performance.now();
  lagMs = Math.max(lagMs, now - tickedAt - tickMs);
  tickedAt = now;
  if (now - lagSince < 10_000) return;
  [lastLagMs, lagMs, lagSince] = [lagMs, 0, now];
}

const ticker = setInterval(() => {
  watchLag();
  followStop();
  followRecalls();
  for (const [index, relay] of relays.entries()) followRelay(relay, index);
  giveBackLate();
  writeGauges();
}, tickMs);
ticker.unref();

/** Atomics.wait would stop the event loop, so the order to stop is looked for. */
function followStop(): void {
  const stop = Atomics.load(control, controlSlot.stop);
  if (stop === stopSeen) return;
  stopSeen = stop;
  for (const { work, pool } of relays) {
    if (stop >= 1) work.giveBack(stopVerdict());
    if (stop >= 2) pool.abort();
  }
  if (stop >= 2) for (const pool of retired.keys()) pool.abort();
}

const usual: Patience = { waitMs: Infinity, ageMs: 60_000, most: Infinity };
/** Where most of the hands are full, what waits makes room for what can go: little by little, for each is stored again. */
const scarce: Patience = { waitMs: 5000, ageMs: 10_000, most: 4 };
const lateEveryTicks = 10;
let ticks = 0;

function giveBackLate(): void {
  ticks += 1;
  if (ticks % lateEveryTicks !== 0) return;
  const patience = batchesHere < setup.scarceFrom ? usual : scarce;
  let { most } = patience;
  for (const { work, pool } of relays) {
    const { open, connecting } = pool.counts;
    // Whoever waits for a relay that may be out of reach is who tells that it is.
    const ageMs = open === 0 && connecting > 0 ? Infinity : patience.ageMs;
    most -= work.giveBackLate({ ...patience, ageMs, most });
  }
}

/** Campaigns that are paused, cancelled or out of their time. */
function followRecalls(): void {
  for (let slot = 0; slot < campaignRecallSlots; slot += 1) {
    const recalls = Atomics.load(control, campaignRecallSlot(slot));
    if (recalls === recallsSeen[slot]) continue;
    recallsSeen[slot] = recalls;
    const isRecalled = ({ campaignId }: BatchTask): boolean => campaignId % campaignRecallSlots === slot;
    for (const { work } of relays) work.giveBackSome(isRecalled, calledBack());
  }
}

function calledBack(): Verdict {
  return judgeLocally('stopped', 'called back before this recipient was tried');
}

function followRelay(relay: OpenRelay, index: number): void {
  const base = relayControlBase(index);
  const recalls = Atomics.load(control, base + relayControl.recalls);
  if (recalls !== relay.recalls) {
    relay.recalls = recalls;
    relay.work.giveBack(calledBack());
  }
  const sessions = Atomics.load(control, base + relayControl.sessions);
  const leaving = countLeaving(relay.options);
  if (sessions === relay.sessions && leaving === relay.leaving) return;
  relay.sessions = sessions;
  relay.leaving = leaving;
  const { maxConnections } = relay.options;
  const allowed = sessions === 0 ? maxConnections : Math.min(sessions, maxConnections);
  // Where there are fewer than threads, the dispatcher gives work to so many threads only.
  relay.pool.setShare(shareBeside(leaving, allowed));
}

function stopVerdict(): Verdict {
  return judgeLocally('stopped', 'stopped before this recipient was tried');
}

function writeGauges(): void {
  const activeMs = activeBeforeMs + performance.eventLoopUtilization().active;
  for (const [index, { pool, waitedMs }] of relays.entries()) {
    const { counts } = pool;
    const base = gaugeBase(index);
    gauges[base + gaugeSlot.sessionsConnecting] = counts.connecting;
    gauges[base + gaugeSlot.sessionsOpen] = counts.open;
    gauges[base + gaugeSlot.sessionsBusy] = counts.busy;
    gauges[base + gaugeSlot.inFlight] = counts.inFlight;
    gauges[base + gaugeSlot.window] = counts.window;
    gauges[base + gaugeSlot.permitWaitMs] = waitedMs + counts.permitWaitMs;
    gauges[base + gaugeSlot.activeMs] = activeMs;
    gauges[base + gaugeSlot.roundTripMs] = counts.roundTripMs;
    gauges[base + gaugeSlot.couldGoDeep] = counts.couldGoDeep ? 1 : 0;
    gauges[base + gaugeSlot.loopLagMs] = Math.max(lagMs, lastLagMs);
  }
  writeTimes(sharedCommitTimes, threadIndex * timesLength, commitTimes);
}

/** Where this thread's gauges for a relay begin. */
function gaugeBase(relay: number): number {
  return (threadIndex * setup.relayCapacity + relay) * gaugeCount;
}
