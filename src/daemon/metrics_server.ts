// The metrics server of a run: recorder and listener, joined to what the run knows.
import type { AddressInfo } from 'node:net';
import type { Fanout } from '../events/fanout.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import { transactionBucketsSeconds } from '../mail/transaction_times.ts';
import { startListener } from '../metrics/listener.ts';
import type { Sample, ServiceSample } from '../metrics/record_sample.ts';
import { createRecorder } from '../metrics/recorder.ts';
import type { Log } from './log.ts';

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
  readonly version: string;
  readonly relays: readonly string[];
  readonly events: Fanout<PosthasteEvent>;
  /** Whether a lane is configured now. */
  readonly isLane: (lane: string) => boolean;
  readonly sample: () => Promise<Sample>;
  /** Of a daemon; absent for a single run. */
  readonly service?: (() => ServiceSample) | undefined;
  readonly log: Log;
  /** Why the process is not sound; none where it is. */
  readonly troubles: () => readonly string[];
}

export interface MetricsServer {
  /** Where it is, without a path. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves /metrics, /healthz and /readyz. Ready means: no relay is known to be out of reach. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { host, port, version, relays, isLane, events, sample, service, log } = options;
  const onError = (error: unknown): void => log.warn({ err: error }, 'metrics could not be read');
  const recorder = createRecorder({
    version,
    relays,
    isLane,
    transactionBucketsSeconds,
    events,
    sample,
    service,
    onError,
  });
  const troubles = new Map<string, string>();
  events.subscribe((event) => {
    if (event.kind === 'relayFailed')
      troubles.set(event.relay, `relay ${event.relay}: ${event.verdict.text}`);
    if (event.kind === 'relayRecovered') troubles.delete(event.relay);
  });
  const listener = await startListener({
    host,
    port,
    metrics: recorder,
    health: () => conditionOf(options.troubles()),
    ready: () => conditionOf([...options.troubles(), ...troubles.values()]),
    onError,
  });
  return {
    url: urlOf(listener.address),
    close: async () => {
      recorder.close();
      await listener.close();
    },
  };
}

function conditionOf(reasons: readonly string[]): {
  readonly ok: boolean;
  readonly reasons: readonly string[];
} {
  return { ok: reasons.length === 0, reasons };
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
