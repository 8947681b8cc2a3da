// The recorder: makes metrics of published events, and of a sample of the present state at each scrape.
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { PosthasteEvent } from '../mail/event.ts';
import { createInstruments, startSeries, type Instruments } from './instruments.ts';
import { recordEvent, type IsLane } from './record_event.ts';
import {
  forgetSample,
  recordSample,
  recordService,
  type Sample,
  type ServiceSample,
} from './record_sample.ts';
import { createSampler } from './sampler.ts';

/** Where events come from. */
interface EventSource {
  subscribe(listener: (event: PosthasteEvent) => void): () => void;
}

export interface RecorderOptions {
  readonly version: string;
  /** Names of the configured relays: their series begin at 0, so that the first increase is seen. */
  readonly relays: readonly string[];
  /** Upper bounds that go with the transaction counts of settled batches. */
  readonly transactionBucketsSeconds: readonly number[];
  readonly events: EventSource;
  readonly sample: () => Promise<Sample>;
  /** Of a daemon; absent for a single run. */
  readonly service?: (() => ServiceSample) | undefined;
  readonly isLane: IsLane;
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
  const instruments = createInstruments(registry, options.transactionBucketsSeconds);
  startSeries(instruments, options.version, options.relays);
  collectProcessMetrics(registry);
  const sample = createSampler(options.sample, options.sampleTimeoutMs ?? defaultSampleTimeoutMs);
  const unsubscribe = options.events.subscribe((event) => recordEvent(instruments, event, options.isLane));
  return {
    contentType: registry.contentType,
    async render() {
      try {
        recordSample(instruments, await sample());
      } catch (thrown) {
        forgetSample(instruments);
        instruments.sampleFailures.inc();
        options.onError(thrown);
      }
      if (options.service !== undefined) recordService(instruments, options.service());
      return `${await registry.metrics()}\n${renderHistograms(instruments)}`;
    },
    close: unsubscribe,
  };
}

function renderHistograms(instruments: Instruments): string {
  const { transactionTimes, composeTimes, endToEnd, permitWaits, commitTimes } = instruments;
  return [transactionTimes, composeTimes, endToEnd, permitWaits, commitTimes]
    .map((one) => one.render())
    .join('');
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
