// A receiver: what takes the messages of a run, where it listens, and that it counts them.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const listensWithinMs = 10_000;

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** What takes the messages of one run. */
export interface Receiver extends Place {
  /** PEM file of what its certificate is trusted by; STARTTLS is used then, and no TLS without. */
  readonly caFile?: string | undefined;
  /** Ends it. Throws unless it took exactly this many messages. */
  stop(expectedMessages: number): Promise<void>;
}

/** A port that was free a moment ago. */
export async function findFreePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the system gave no port');
  return address.port;
}

/** Waits until `child` takes connections. Throws with `describe()` when it ends, or takes too long. */
export async function waitUntilListening(
  child: ChildProcess,
  place: Place,
  describe: () => string,
): Promise<void> {
  const until = performance.now() + listensWithinMs;
  while (!(await canConnect(place))) {
    if (child.exitCode !== null || performance.now() > until) throw new Error(describe());
    await delay(20);
  }
}

async function canConnect({ host, port }: Place): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
