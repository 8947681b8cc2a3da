// A relay that is a script: what it waits for, says and does, byte by byte, without any idea of SMTP.
import { createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/**
 * One step of a session. A RegExp waits for what the client writes and forgets it up to the end of the match; a text is
 * said as it is; a number waits so many ms. 'fin' and 'reset' close, 'deaf' reads no more, drip says a text an octet at a time,
 * sip reads a little every so often, up to the end of data.
 */
export type Step =
  | RegExp
  | string
  | number
  | { readonly drip: string; readonly everyMs: number }
  | { readonly sip: 'content'; readonly everyMs: number };

export interface RawRelay {
  readonly port: number;
  /** What each session has been sent in all, in latin1. */
  readonly received: string[];
  /** Open sockets. */
  open(): number;
}

export const greeted: readonly Step[] = [
  '220 raw ESMTP\r\n',
  /EHLO .*\r\n/,
  '250-raw\r\n250-PIPELINING\r\n250 CHUNKING\r\n',
];

/** The n-th session plays the n-th script, all later ones the last. It ends with the test. */
export async function startRawRelay(
  context: TestContext,
  ...scripts: readonly (readonly Step[])[]
): Promise<RawRelay> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    const number = received.push('') - 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    void play(socket, scripts[Math.min(number, scripts.length - 1)] ?? [], (text) => {
      received[number] += text;
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  context.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { port, received, open: () => sockets.size };
}

async function play(socket: Socket, script: readonly Step[], note: (text: string) => void): Promise<void> {
  let unread = '';
  let wake = doNothing;
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    unread += text;
    note(text);
    wake();
  });
  socket.on('close', () => wake());
  for (const step of script) {
    if (step instanceof RegExp) {
      for (let match = step.exec(unread); ; match = step.exec(unread)) {
        if (match !== null) {
          unread = unread.slice(match.index + match[0].length);
          break;
        }
        if (socket.destroyed) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } else if (typeof step === 'number') await pause(step);
    else if (typeof step === 'object' && 'drip' in step) await drip(socket, step.drip, step.everyMs);
    else if (typeof step === 'object') await sip(socket, step.everyMs, () => unread.endsWith('\r\n.\r\n'));
    else act(socket, step);
  }
}

function doNothing(): void {}

function act(socket: Socket, step: string): void {
  switch (step) {
    case 'fin':
      socket.end();
      return;
    case 'reset':
      socket.resetAndDestroy();
      return;
    case 'deaf':
      socket.pause();
      return;
    default:
      socket.write(step, 'latin1');
  }
}

async function drip(socket: Socket, text: string, everyMs: number): Promise<void> {
  for (const octet of text) {
    if (socket.destroyed) return;
    socket.write(octet, 'latin1');
    await pause(everyMs);
  }
}

/** Reads what there is in one turn, then rests. */
async function sip(socket: Socket, everyMs: number, isEnough: () => boolean): Promise<void> {
  while (!socket.destroyed && !isEnough()) {
    socket.resume();
    await new Promise((resolve) => setImmediate(resolve));
    socket.pause();
    await pause(everyMs);
  }
  socket.resume();
}

function pause(ms: number): Promise<void> {
  // A script's last rest must not outlive its test.
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
