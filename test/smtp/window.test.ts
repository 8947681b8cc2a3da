import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import { ConnectionLimit } from '../../src/smtp/connection_limit.ts';
import { parseExtensions } from '../../src/smtp/extensions.ts';
import { Session } from '../../src/smtp/session.ts';
import { Window } from '../../src/smtp/window.ts';

/** A session over a line of `roundTripMs` to a relay that takes `serviceMs` a message. Returns the window it ends with. */
function settleWindow(most: number, roundTripMs: number, serviceMs: number): number {
  const window = new Window(most);
  for (let count = 0; count < 500; count += 1) {
    const inFlight = window.size;
    // All but the first wait at the relay, unless the line is what takes the time.
    window.note(Math.max(roundTripMs + serviceMs, inFlight * serviceMs), true);
  }
  return window.size;
}

test('a long line is filled up to the most', () => assert.equal(settleWindow(16, 50, 1), 16));
test('a short line to a slow relay stays nearly empty', () => assert.ok(settleWindow(16, 0.2, 10) <= 3));
test('the window fits the line: 20 ms and 2 ms a message need about 20', () => {
  const size = settleWindow(64, 20, 2);
  assert.ok(size >= 11 && size <= 24, String(size));
});

test('a window that was not full does not grow', () => {
  const window = new Window(8);
  window.note(10, true);
  assert.equal(window.size, 2);
  for (let count = 0; count < 20; count += 1) window.note(10, false);
  assert.equal(window.size, 2);
});

test('a relay that becomes slow makes the window shrink, never below 1', () => {
  const window = new Window(8);
  for (let count = 0; count < 10; count += 1) window.note(10, true);
  assert.equal(window.size, 8);
  for (let count = 0; count < 20; count += 1) window.note(100, true);
  assert.equal(window.size, 1);
});

test('one stall halves the window once, however many transactions were on the wire', () => {
  const window = new Window(32);
  for (let count = 0; count < 31; count += 1) window.note(10, true);
  assert.equal(window.size, 32);
  for (let count = 0; count < 32; count += 1) window.note(100, true);
  assert.equal(window.size, 16);
  window.note(100, true);
  assert.equal(window.size, 8);
});

/** Sends so many messages over a session to a relay that answers all it has read at once. Returns how many it read each time. */
async function countTogether(context: TestContext, messages: number): Promise<number[]> {
  const together: number[] = [];
  const server = createServer((socket) => {
    socket.setEncoding('latin1').on('data', (text: string) => {
      together.push(text.match(/^BDAT/gm)?.length ?? 0);
      const commands = text.match(/^(?:RSET|MAIL|RCPT|BDAT)/gm) ?? [];
      const replies = commands.map((command) => `250 ${command} ok\r\n`).join('');
      // The window follows latency: the line is to be longer than what a busy machine adds.
      setTimeout(() => socket.write(replies), 50);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const socket = connect({ port: address.port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  context.after(() => {
    socket.destroy();
    server.close();
  });
  const timeouts = { commandTimeoutMs: 5000, endOfDataTimeoutMs: 5000, idleTimeoutMs: 5000 };
  const options = {
    mode: 'deep',
    maxMessages: messages,
    inFlight: 256,
    refusalsInDeep: Infinity,
    ...timeouts,
  } as const;
  const transaction = {
    mail: 'MAIL FROM:<a@b.example>\r\n',
    rcpt: 'RCPT TO:<c@d.example>\r\n',
    content: 'x\r\n',
  };
  const done = Promise.withResolvers<void>();
  let settled = 0;
  const owner = {
    next: () => transaction,
    settle: () => {
      settled += 1;
      if (settled === messages) done.resolve();
    },
    closed: () => done.reject(new Error('the session ended')),
    ending: () => {},
    hasOutput: (session: Session<typeof transaction>) => {
      session.announce();
      session.write();
    },
  };
  new Session(
    socket,
    parseExtensions(['PIPELINING', 'CHUNKING'], false),
    options,
    owner,
    performance.now(),
  ).pump();
  await done.promise;
  return together;
}

test('answers that come together double the window, as they do one by one', async (context) => {
  const together = await countTogether(context, 7);
  assert.deepEqual(together.slice(0, 3), [1, 2, 4]);
});

test('a refused session shrinks the limit to what is open, and time brings it back one by one', () => {
  const limit = new ConnectionLimit(10);
  assert.equal(limit.allowed(0), 10);
  limit.refused(4, 1000);
  assert.equal(limit.allowed(1000), 4);
  assert.equal(limit.allowed(30_999), 4);
  assert.equal(limit.allowed(31_000), 5);
  assert.equal(limit.allowed(91_000), 7);
  assert.equal(limit.allowed(1_000_000), 10);
});

test('the limit never falls below one session', () => {
  const limit = new ConnectionLimit(10);
  limit.refused(0, 0);
  assert.equal(limit.allowed(0), 1);
});
