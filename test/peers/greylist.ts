// A policy service for Postfix and Exim that puts each recipient off once, as greylisting does (RFC 6647 §2).
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

export interface Greylist {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Speaks Postfix's policy delegation protocol: lines `name=value` and an empty one, answered by `action=…` and an empty
 * one. Recipients whose address begins with `prefix` get 450 the first time; all others are none of its business.
 */
export async function startGreylist(prefix: string): Promise<Greylist> {
  const seen = new Set<string>();
  const sockets = new Set<Socket>();
  const judge = (request: string): string => {
    const recipient = /^recipient=(.*)$/m.exec(request)?.[1] ?? '';
    if (!recipient.startsWith(prefix) || seen.has(recipient)) return 'DUNNO';
    seen.add(recipient);
    return '450 4.2.0 Greylisted, see RFC 6647; try again in a moment';
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    let pending = '';
    socket.setEncoding('utf8').on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (text: string) => {
      const requests = `${pending}${text}`.split('\n\n');
      pending = requests.pop() ?? '';
      for (const request of requests) socket.write(`action=${judge(request)}\n\n`);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const close = async (): Promise<void> => {
    const closed = once(server.close(), 'close');
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return { port: typeof address === 'object' && address !== null ? address.port : 0, close };
}
