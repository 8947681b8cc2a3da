// A long line in front of a server on loopback: every byte arrives half a round trip after it was sent.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { DelayLine } from './delay_line.ts';
import type { Place } from './receiver.ts';

export interface DelayProxy extends Place {
  /** Cuts what is connected. */
  close(): Promise<void>;
}

/**
 * Starts a proxy in a thread of its own. It opens its own connection one and a half round trips after the client's,
 * as TCP would have been set up by then. No bandwidth is spared and nothing is lost: only the delay of a line is here,
 * neither its width nor TCP's slow start.
 */
export async function startDelayProxy(target: Place, roundTripMs: number): Promise<DelayProxy> {
  const workerData: DelayLine = { target: { host: target.host, port: target.port }, roundTripMs };
  const thread = new Worker(new URL('delay_line.ts', import.meta.url), { workerData });
  const [port]: unknown[] = await once(thread, 'message');
  if (typeof port !== 'number') throw new Error('the delay proxy gave no port');
  const close = async (): Promise<void> => void (await thread.terminate());
  return { host: target.host, port, close };
}
