// A tap on a connection in plain text: passes everything on, and knows in which order both sides spoke.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** What one side said until the other one spoke. */
interface Utterance {
  readonly by: 'client' | 'server';
  text: string;
}

export interface Tap {
  readonly port: number;
  /** By connection, so far. */
  readonly connections: readonly (readonly Utterance[])[];
  close(): Promise<void>;
}

/** Taps what comes for a server on loopback. */
export async function startTap(serverPort: number): Promise<Tap> {
  const connections: Utterance[][] = [];
  const sockets = new Set<Socket>();
  const tap = createServer({ noDelay: true }, (client) => {
    const utterances: Utterance[] = [];
    connections.push(utterances);
    const server = connect({ port: serverPort, host: '127.0.0.1', noDelay: true });
    for (const [from, to, by] of [
      [client, server, 'client'],
      [server, client, 'server'],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes: Buffer) => {
        hear(utterances, by, bytes.toString('latin1'));
        to.write(bytes);
      });
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
    }
  });
  await once(tap.listen(0, '127.0.0.1'), 'listening');
  const address = tap.address();
  const close = async (): Promise<void> => {
    const closed = once(tap.close(), 'close');
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return { port: typeof address === 'object' && address !== null ? address.port : 0, connections, close };
}

function hear(utterances: Utterance[], by: Utterance['by'], text: string): void {
  const last = utterances.at(-1);
  if (last?.by === by) last.text += text;
  else utterances.push({ by, text });
}

/** Each command waited for the reply to the one before, and each content for its 354. */
export function assertLockStep(connections: Tap['connections']): void {
  for (const utterances of connections) {
    for (const [position, { by, text }] of utterances.entries()) {
      if (by === 'server') continue;
      const invited = utterances[position - 1]?.text.startsWith('354') ?? false;
      const end = invited ? '\r\n.\r\n' : '\r\n';
      assert.equal(text.indexOf(end), text.length - end.length, `more than one thing at once: ${text}`);
    }
  }
}
