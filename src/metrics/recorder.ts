// The recorder: makes metrics of published events, and of a sample of the present state at each scrape.
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { unreachable } from '../base/invariant.ts';
import type { BatchSettled, OutcomeCount, PosthasteEvent } from '../mail/event.ts';
import { fates, type OutcomeKind, type Tally } from '../mail/outcome.ts';
import { createBucketHistogram, type BucketHistogram } from './bucket_histogram.ts';
import type { TransactionTimes } from '../mail/transaction_times.ts';
import { definitions, relayStates, type MetricName } from './definitions.ts';
import { createSampler } from './sampler.ts';

/** Where events come from. */
interface EventSource {
  subscribe(listener: (event: PosthasteEvent) => void): () => void;
}

/** The state that no event tells. Times are totals since the process began. */
export interface Sample {
  readonly pendingRecipients: number;
  readonly pendingBatches: number;
  /** In ms since the epoch; absent while nothing is pending. */
  readonly oldestDueAt?: number | undefined;
  readonly workerThreads: number;
  /** Summed over the threads. */
  readonly workerActiveMs: number;
  readonly relays: readonly RelaySample[];
  readonly limits: readonly { readonly limit: string; readonly granted: number; readonly refusals: number }[];
  readonly batchesInHand: number;
  /** How late the event loops were at worst lately; of the main thread first. */
  readonly loopLagsMs: readonly number[];
  readonly commitTimes: TransactionTimes;
  readonly ledgerBytes: number;
  readonly journalBytes: number;
}

/** What a daemon knows besides. */
export interface ServiceSample {
  readonly campaigns: Readonly<Record<string, number>>;
  readonly eventsLost: number;
}

interface RelaySample {
  readonly relay: string;
  readonly state: (typeof relayStates)[number];
  readonly rateFactor: number;
  readonly sessionsAllowed: number;
  readonly sessionsOpen: number;
  readonly sessionsBusy: number;
  /** Transactions under way, and how many the sessions might have. */
  readonly inFlight: number;
  readonly window: number;
  /** Summed over the sessions. */
  readonly permitWaitMs: number;
}

export interface RecorderOptions {
  readonly version: string;
  /** Names of the configured relays: their series begin at 0, so that the first increase is seen. */
  readonly relays: readonly string[];
  /** Upper bounds that go with the transaction counts of settled batches. */
  readonly transactionBucketsSeconds: readonly number[];
  readonly events: EventSource;
  readonly sample: () => Promise<Sample & Partial<ServiceSample>>;
  /** Names of the configured lanes; all others are told as one. */
  readonly lanes: readonly string[];
  /** Longest wait for a sample. */
  readonly sampleTimeoutMs?: number | undefined;
  /** Hears why a sample failed. */
  readonly onError: (thrown: unknown) => void;
}

export interface Recorder {
  /** Of what `render` gives. */
  readonly contentType: string;
  /**
   * All metrics in the text format of Prometheus. Where no sample can be had, the sampled ones are left out rather
   * than told as they were.
   */
  render(): Promise<string>;
  /** Ends the subscription. */
  close(): void;
}

/** Prometheus itself gives up after 10 s. */
const defaultSampleTimeoutMs = 5000;

/** Starts to record, in a registry of its own. */
export function createRecorder(options: RecorderOptions): Recorder {
  const registry = new Registry();
  const metrics = createMetrics(registry, options);
  startSeries(metrics, options);
  collectProcessMetrics(registry);
  const sample = createSampler(options.sample, options.sampleTimeoutMs ?? defaultSampleTimeoutMs);
  const unsubscribe = options.events.subscribe((event) => recordEvent(metrics, event));
  return {
    contentType: registry.contentType,
    async render() {
      try {
        recordSample(metrics, await sample());
      } catch (thrown) {
        forgetSample(metrics);
        metrics.sampleFailures.inc();
        options.onError(thrown);
      }
      const { transactionTimes, composeTimes, endToEnd, permitWaits, commitTimes } = metrics;
      const histograms = [transactionTimes, composeTimes, endToEnd, permitWaits, commitTimes];
      return `${await registry.metrics()}\n${histograms.map((one) => one.render()).join('')}`;
    },
    close: unsubscribe,
  };
}

type Metrics = ReturnType<typeof createMetrics>;

function createMetrics(registry: Registry, options: RecorderOptions) {
  const counter = (name: MetricName): Counter => new Counter(configurationOf(registry, name));
  const gauge = (name: MetricName): Gauge => new Gauge(configurationOf(registry, name));
  const histogram = (name: HistogramName): BucketHistogram =>
    createBucketHistogram({
      name,
      help: definitions[name].help,
      labels: definitions[name].labels,
      bounds: options.transactionBucketsSeconds,
    });
  return {
    buildInfo: gauge('posthaste_build_info'),
    rows: counter('posthaste_rows_total'),
    outcomes: counter('posthaste_outcomes_total'),
    replies: counter('posthaste_replies_total'),
    rejections: counter('posthaste_rejections_total'),
    deferrals: counter('posthaste_deferrals_total'),
    transactionTimes: histogram('posthaste_transaction_seconds'),
    composeTimes: histogram('posthaste_compose_seconds'),
    endToEnd: histogram('posthaste_end_to_end_seconds'),
    permitWaits: histogram('posthaste_permit_wait_seconds'),
    commitTimes: histogram('posthaste_commit_seconds'),
    bounds: options.transactionBucketsSeconds,
    lanes: new Set(options.lanes),
    laneOutcomes: counter('posthaste_lane_outcomes_total'),
    laneRejections: counter('posthaste_lane_rejections_total'),
    stateBytes: gauge('posthaste_state_bytes'),
    relayState: gauge('posthaste_relay_state'),
    rateFactor: gauge('posthaste_relay_rate_factor'),
    sessionsAllowed: gauge('posthaste_relay_sessions_allowed'),
    limitGrants: counter('posthaste_limit_grants_total'),
    limitWaits: counter('posthaste_limit_waits_total'),
    batchesInHand: gauge('posthaste_batches_in_hand'),
    campaigns: gauge('posthaste_campaigns'),
    loopLag: gauge('posthaste_loop_lag_seconds'),
    reloadGood: gauge('posthaste_config_last_reload_successful'),
    reloadedAt: gauge('posthaste_config_last_reload_success_timestamp_seconds'),
    eventsLost: counter('posthaste_events_lost_total'),
    campaignsRunning: gauge('posthaste_campaigns_running'),
    running: new Set<string>(),
    relayUp: gauge('posthaste_relay_up'),
    relayFailures: counter('posthaste_relay_failures_total'),
    pendingRecipients: gauge('posthaste_pending_recipients'),
    pendingBatches: gauge('posthaste_pending_batches'),
    oldestDue: gauge('posthaste_oldest_due_timestamp_seconds'),
    sessions: gauge('posthaste_sessions'),
    inFlight: gauge('posthaste_transactions_in_flight'),
    window: gauge('posthaste_transaction_window'),
    permitWait: counter('posthaste_permit_wait_seconds_total'),
    workerThreads: gauge('posthaste_worker_threads'),
    workerActive: counter('posthaste_worker_active_seconds_total'),
    sampleFailures: counter('posthaste_sample_failures_total'),
  };
}

type HistogramName =
  | 'posthaste_transaction_seconds'
  | 'posthaste_compose_seconds'
  | 'posthaste_end_to_end_seconds'
  | 'posthaste_permit_wait_seconds'
  | 'posthaste_commit_seconds';

function configurationOf(registry: Registry, name: MetricName) {
  const { help, labels } = definitions[name];
  return { name, help, labelNames: labels, registers: [registry] };
}

const outcomeKinds: readonly OutcomeKind[] = [
  'accepted',
  'rejected',
  'deferred',
  'inDoubt',
  'unsent',
  'invalid',
];

/** A counter that appears at 5 has, for Prometheus, not increased: known series begin at 0. */
function startSeries(
  metrics: Metrics,
  { version, relays, transactionBucketsSeconds }: RecorderOptions,
): void {
  metrics.buildInfo.set({ version, node: process.versions.node }, 1);
  for (const fate of fates) metrics.rows.inc({ fate }, 0);
  metrics.reloadGood.set(1);
  metrics.reloadedAt.set(Date.now() / 1000);
  const noCounts = Array.from({ length: transactionBucketsSeconds.length + 1 }, () => 0);
  for (const relay of relays) {
    metrics.relayUp.set({ relay }, 1);
    for (const kind of outcomeKinds) metrics.outcomes.inc({ relay, kind }, 0);
    metrics.transactionTimes.add([relay, 'end'], noCounts, 0);
    for (const one of [metrics.composeTimes, metrics.endToEnd, metrics.permitWaits])
      one.add([relay], noCounts, 0);
  }
}

/**
 * prom-client's own metrics of the process: memory, processor, event loop of the main thread, garbage collection.
 * It has no way to stop their observers, which hold nothing that would keep the process alive.
 */
function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  // Gauges that are named like counters, which promtool refuses; the ones without _total stay.
  for (const what of ['handles', 'requests', 'resources'])
    registry.removeSingleMetric(`nodejs_active_${what}_total`);
}

function recordEvent(metrics: Metrics, event: PosthasteEvent): void {
  switch (event.kind) {
    case 'campaignStarted':
      metrics.running.add(event.campaign);
      return metrics.campaignsRunning.set(metrics.running.size);
    case 'campaignFinished':
      metrics.running.delete(event.campaign);
      return metrics.campaignsRunning.set(metrics.running.size);
    case 'listAdded':
      return undefined;
    case 'intakeProgressed':
      return recordFates(metrics, { invalid: event.invalid, duplicate: event.duplicate });
    case 'batchSettled':
      return recordBatch(metrics, event);
    case 'rowsEnded':
    case 'campaignRecovered':
      return recordFates(metrics, event.fates);
    // The outcomes come with the settle.
    case 'threadDied':
    case 'doubtFound':
      return undefined;
    case 'relayFailed':
      metrics.relayUp.set({ relay: event.relay }, 0);
      return metrics.relayFailures.inc({
        relay: event.relay,
        category: event.verdict.category || 'unclassified',
      });
    case 'relayRecovered':
      return metrics.relayUp.set({ relay: event.relay }, 1);
    case 'campaignWaits':
    case 'recipientsSettled':
    case 'campaignAccepted':
    case 'campaignSteered':
    case 'campaignFailed':
    case 'relaySteered':
      return undefined;
    case 'configReloaded':
      metrics.reloadGood.set(event.problems.length === 0 ? 1 : 0);
      if (event.problems.length === 0) metrics.reloadedAt.set(Date.now() / 1000);
      return undefined;
    default:
      return unreachable(event);
  }
}

function recordFates(metrics: Metrics, tally: Readonly<Partial<Tally>>): void {
  for (const fate of fates) metrics.rows.inc({ fate }, tally[fate] ?? 0);
}

function recordBatch(metrics: Metrics, event: BatchSettled): void {
  recordFates(metrics, event.fates);
  const lane = metrics.lanes.has(event.lane) ? event.lane : 'other';
  for (const outcome of event.outcomes) {
    recordOutcomes(metrics, event.relay, outcome);
    metrics.laneOutcomes.inc({ lane, kind: outcome.kind }, outcome.count);
    const category = outcome.category || 'unclassified';
    if (outcome.kind === 'rejected') metrics.laneRejections.inc({ lane, category }, outcome.count);
  }
  const { relay, transactionTimes, composeTimes, permitWaits } = event;
  for (const [stage, { counts, sumSeconds }] of Object.entries(transactionTimes))
    metrics.transactionTimes.add([relay, stage], counts, sumSeconds);
  metrics.composeTimes.add([relay], composeTimes.counts, composeTimes.sumSeconds);
  metrics.permitWaits.add([relay], permitWaits.counts, permitWaits.sumSeconds);
  recordAges(metrics, event);
}

/** All of a batch are of one age, to the length of the batch. */
function recordAges(metrics: Metrics, { relay, outcomes, ageSeconds }: BatchSettled): void {
  let accepted = 0;
  for (const { kind, count } of outcomes) if (kind === 'accepted') accepted += count;
  if (accepted === 0) return;
  const bucket = metrics.bounds.findIndex((bound) => ageSeconds <= bound);
  const place = bucket === -1 ? metrics.bounds.length : bucket;
  const counts = Array.from({ length: metrics.bounds.length + 1 }, (_, index) =>
    index === place ? accepted : 0,
  );
  metrics.endToEnd.add([relay], counts, ageSeconds * accepted);
}

function recordOutcomes(metrics: Metrics, relay: string, outcome: OutcomeCount): void {
  const { kind, stage, replyClass, count } = outcome;
  const category = outcome.category || 'unclassified';
  metrics.outcomes.inc({ relay, kind }, count);
  if (kind === 'rejected') metrics.rejections.inc({ relay, category }, count);
  if (kind === 'deferred') metrics.deferrals.inc({ relay, category }, count);
  if (replyClass > 0) metrics.replies.inc({ relay, class: `${replyClass}yz`, stage }, count);
}

function recordSample(metrics: Metrics, sample: Sample & Partial<ServiceSample>): void {
  forgetSample(metrics);
  metrics.pendingRecipients.set(sample.pendingRecipients);
  metrics.pendingBatches.set(sample.pendingBatches);
  if (sample.oldestDueAt !== undefined) metrics.oldestDue.set(sample.oldestDueAt / 1000);
  metrics.workerThreads.set(sample.workerThreads);
  metrics.workerActive.inc(sample.workerActiveMs / 1000);
  for (const { relay, sessionsOpen, sessionsBusy, permitWaitMs } of sample.relays) {
    metrics.sessions.set({ relay, state: 'open' }, sessionsOpen);
    metrics.sessions.set({ relay, state: 'busy' }, sessionsBusy);
    metrics.permitWait.inc({ relay }, permitWaitMs / 1000);
  }
  for (const one of sample.relays) recordRelay(metrics, one);
  for (const { limit, granted, refusals } of sample.limits) {
    metrics.limitGrants.inc({ limit }, granted);
    metrics.limitWaits.inc({ limit }, refusals);
  }
  metrics.batchesInHand.set(sample.batchesInHand);
  for (const [index, lagMs] of sample.loopLagsMs.entries())
    metrics.loopLag.set({ thread: index === 0 ? 'main' : String(index) }, lagMs / 1000);
  metrics.commitTimes.set(['ledger'], sample.commitTimes.counts, sample.commitTimes.sumSeconds);
  metrics.stateBytes.set({ store: 'ledger' }, sample.ledgerBytes);
  metrics.stateBytes.set({ store: 'journal' }, sample.journalBytes);
  for (const [state, count] of Object.entries(sample.campaigns ?? {}))
    metrics.campaigns.set({ state }, count);
  if (sample.eventsLost !== undefined) metrics.eventsLost.inc(sample.eventsLost);
}

function recordRelay(
  metrics: Metrics,
  { relay, state, rateFactor, sessionsAllowed, inFlight, window }: Sample['relays'][number],
): void {
  for (const one of relayStates) metrics.relayState.set({ relay, state: one }, one === state ? 1 : 0);
  metrics.inFlight.set({ relay }, inFlight);
  metrics.window.set({ relay }, window);
  metrics.rateFactor.set({ relay }, rateFactor);
  metrics.sessionsAllowed.set({ relay }, sessionsAllowed);
}

/** `reset` leaves a 0 where there are no labels, `remove` leaves nothing. */
function forgetSample(metrics: Metrics): void {
  metrics.sessions.reset();
  metrics.permitWait.reset();
  for (const one of [
    metrics.relayState,
    metrics.inFlight,
    metrics.window,
    metrics.rateFactor,
    metrics.sessionsAllowed,
    metrics.loopLag,
    metrics.stateBytes,
    metrics.campaigns,
  ])
    one.reset();
  for (const one of [metrics.limitGrants, metrics.limitWaits, metrics.eventsLost]) one.reset();
  metrics.batchesInHand.remove();
  for (const unlabelled of [metrics.pendingRecipients, metrics.pendingBatches, metrics.oldestDue])
    unlabelled.remove();
  metrics.workerThreads.remove();
  metrics.workerActive.remove();
}
