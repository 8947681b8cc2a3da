// The recorder: makes metrics of published events, and of a sample of the present state at each scrape.
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { unreachable } from '../base/invariant.ts';
import type { BatchSettled, OutcomeCount, PosthasteEvent } from '../mail/event.ts';
import { fates, type OutcomeKind, type Tally } from '../mail/outcome.ts';
import { createBucketHistogram, type BucketHistogram } from './bucket_histogram.ts';
import { definitions, type MetricName } from './definitions.ts';
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
}

interface RelaySample {
  readonly relay: string;
  readonly sessionsOpen: number;
  readonly sessionsBusy: number;
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
  readonly sample: () => Promise<Sample>;
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
      return `${await registry.metrics()}\n${metrics.transactionTimes.render()}`;
    },
    close: unsubscribe,
  };
}

type Metrics = ReturnType<typeof createMetrics>;

function createMetrics(registry: Registry, options: RecorderOptions) {
  const counter = (name: MetricName): Counter => new Counter(configurationOf(registry, name));
  const gauge = (name: MetricName): Gauge => new Gauge(configurationOf(registry, name));
  const transactionTimes: BucketHistogram = createBucketHistogram({
    name: 'posthaste_transaction_seconds' satisfies MetricName,
    help: definitions.posthaste_transaction_seconds.help,
    label: definitions.posthaste_transaction_seconds.labels[0],
    bounds: options.transactionBucketsSeconds,
  });
  return {
    buildInfo: gauge('posthaste_build_info'),
    rows: counter('posthaste_rows_total'),
    outcomes: counter('posthaste_outcomes_total'),
    replies: counter('posthaste_replies_total'),
    rejections: counter('posthaste_rejections_total'),
    deferrals: counter('posthaste_deferrals_total'),
    transactionTimes,
    campaignsRunning: gauge('posthaste_campaigns_running'),
    running: new Set<string>(),
    relayUp: gauge('posthaste_relay_up'),
    relayFailures: counter('posthaste_relay_failures_total'),
    pendingRecipients: gauge('posthaste_pending_recipients'),
    pendingBatches: gauge('posthaste_pending_batches'),
    oldestDue: gauge('posthaste_oldest_due_timestamp_seconds'),
    sessions: gauge('posthaste_sessions'),
    permitWait: counter('posthaste_permit_wait_seconds_total'),
    workerThreads: gauge('posthaste_worker_threads'),
    workerActive: counter('posthaste_worker_active_seconds_total'),
    sampleFailures: counter('posthaste_sample_failures_total'),
  };
}

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
  const noCounts = Array.from({ length: transactionBucketsSeconds.length + 1 }, () => 0);
  for (const relay of relays) {
    metrics.relayUp.set({ relay }, 1);
    for (const kind of outcomeKinds) metrics.outcomes.inc({ relay, kind }, 0);
    metrics.transactionTimes.add(relay, noCounts, 0);
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
    case 'configReloaded':
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
  for (const outcome of event.outcomes) recordOutcomes(metrics, event.relay, outcome);
  metrics.transactionTimes.add(event.relay, event.transactionCounts, event.transactionSumSeconds);
}

function recordOutcomes(metrics: Metrics, relay: string, outcome: OutcomeCount): void {
  const { kind, stage, replyClass, count } = outcome;
  const category = outcome.category || 'unclassified';
  metrics.outcomes.inc({ relay, kind }, count);
  if (kind === 'rejected') metrics.rejections.inc({ relay, category }, count);
  if (kind === 'deferred') metrics.deferrals.inc({ relay, category }, count);
  if (replyClass > 0) metrics.replies.inc({ relay, class: `${replyClass}yz`, stage }, count);
}

function recordSample(metrics: Metrics, sample: Sample): void {
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
}

/** `reset` leaves a 0 where there are no labels, `remove` leaves nothing. */
function forgetSample(metrics: Metrics): void {
  metrics.sessions.reset();
  metrics.permitWait.reset();
  for (const unlabelled of [metrics.pendingRecipients, metrics.pendingBatches, metrics.oldestDue])
    unlabelled.remove();
  metrics.workerThreads.remove();
  metrics.workerActive.remove();
}
