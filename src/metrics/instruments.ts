// The instruments of a recorder: one for each metric of the table, with the series that are there from the beginning.
import { Counter, Gauge, type Registry } from 'prom-client';
import { fates, type OutcomeKind } from '../mail/outcome.ts';
import { categories } from '../mail/verdict.ts';
import { createBucketHistogram, type BucketHistogram } from './bucket_histogram.ts';
import { definitions, type MetricName } from './definitions.ts';

export type Instruments = ReturnType<typeof createInstruments>;

/** Threads count transactions into buckets of these upper bounds. */
export function createInstruments(registry: Registry, bucketsSeconds: readonly number[]) {
  const counter = (name: MetricName): Counter => new Counter(configurationOf(registry, name));
  const gauge = (name: MetricName): Gauge => new Gauge(configurationOf(registry, name));
  return {
    bucketCount: bucketsSeconds.length + 1,
    /** Relays whose series have begun. */
    relays: new Set<string>(),
    /** Names of the campaigns that run. */
    running: new Set<string>(),
    buildInfo: gauge('posthaste_build_info'),
    rows: counter('posthaste_rows_total'),
    outcomes: counter('posthaste_outcomes_total'),
    replies: counter('posthaste_replies_total'),
    rejections: counter('posthaste_rejections_total'),
    deferrals: counter('posthaste_deferrals_total'),
    transactionTimes: histogram('posthaste_transaction_seconds', bucketsSeconds),
    composeTimes: histogram('posthaste_compose_seconds', bucketsSeconds),
    endToEnd: histogram('posthaste_end_to_end_seconds', endToEndBucketsSeconds),
    permitWaits: histogram('posthaste_permit_wait_seconds', bucketsSeconds),
    commitTimes: histogram('posthaste_commit_seconds', bucketsSeconds),
    laneOutcomes: counter('posthaste_lane_outcomes_total'),
    laneRejections: counter('posthaste_lane_rejections_total'),
    stateBytes: gauge('posthaste_state_bytes'),
    relayState: gauge('posthaste_relay_state'),
    rateFactor: gauge('posthaste_relay_rate_factor'),
    sessionsAllowed: gauge('posthaste_relay_sessions_allowed'),
    limitGrants: counter('posthaste_limit_grants_total'),
    limitWaits: counter('posthaste_limit_waits_total'),
    limitHold: gauge('posthaste_limit_hold_seconds'),
    mxLookUps: counter('posthaste_mx_look_ups_total'),
    batchesInHand: gauge('posthaste_batches_in_hand'),
    campaigns: gauge('posthaste_campaigns'),
    loopLag: gauge('posthaste_loop_lag_seconds'),
    reloadGood: gauge('posthaste_config_last_reload_successful'),
    reloadedAt: gauge('posthaste_config_last_reload_success_timestamp_seconds'),
    eventsLost: counter('posthaste_events_lost_total'),
    eventLogSound: gauge('posthaste_event_log_sound'),
    campaignsRunning: gauge('posthaste_campaigns_running'),
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

/** A counter that appears at 5 has, for Prometheus, not increased, and no alert on it fires: known series begin at 0. */
export function startSeries(instruments: Instruments, version: string, relays: readonly string[]): void {
  instruments.buildInfo.set({ version, node: process.versions.node }, 1);
  for (const fate of fates) instruments.rows.inc({ fate }, 0);
  // Without labels it would be 0 by itself, and an alert.
  instruments.eventLogSound.remove();
  instruments.reloadGood.set(1);
  instruments.reloadedAt.set(Date.now() / 1000);
  for (const relay of relays) startRelay(instruments, relay);
}

/** The series of a relay that is configured, or was added by a reload. */
export function startRelay(instruments: Instruments, relay: string): void {
  if (instruments.relays.has(relay)) return;
  instruments.relays.add(relay);
  instruments.relayUp.set({ relay }, 1);
  for (const kind of outcomeKinds) instruments.outcomes.inc({ relay, kind }, 0);
  for (const category of categories)
    for (const counter of [instruments.rejections, instruments.deferrals, instruments.relayFailures])
      counter.inc({ relay, category }, 0);
  const none = Array.from({ length: instruments.bucketCount }, () => 0);
  instruments.transactionTimes.add([relay, 'end'], none, 0);
  instruments.composeTimes.add([relay], none, 0);
  instruments.permitWaits.add([relay], none, 0);
  instruments.endToEnd.observe([relay], 0, 0);
}

/** Recipients wait for limits, windows and retries: from a second to the days after which they are given up. */
const endToEndBucketsSeconds: readonly number[] = [
  1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 172_800, 432_000,
];

const outcomeKinds: readonly OutcomeKind[] = [
  'accepted',
  'rejected',
  'deferred',
  'inDoubt',
  'unsent',
  'invalid',
];

function histogram(name: HistogramName, bounds: readonly number[]): BucketHistogram {
  const { help, labels } = definitions[name];
  return createBucketHistogram({ name, help, labels, bounds });
}

type HistogramName = {
  [Name in MetricName]: (typeof definitions)[Name]['type'] extends 'histogram' ? Name : never;
}[MetricName];

function configurationOf(registry: Registry, name: MetricName) {
  const { help, labels } = definitions[name];
  return { name, help, labelNames: labels, registers: [registry] };
}
