// The control API's listener: how long who may wait for whom, how many may follow, and targets that are no paths.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, openRaw, start, type Started } from './start.ts';

async function follow(context: TestContext, { socketPath }: Started): Promise<IncomingMessage> {
  const asked = request({ socketPath, path: '/v1/events', agent: false });
  asked.end();
  context.after(() => asked.destroy());
  const [response] = await once(asked, 'response');
  return response;
}

/** Events that never come, until nobody waits for them any more. */
function silence(signal: AbortSignal): AsyncIterable<never> {
  const done = new Promise<IteratorReturnResult<undefined>>((resolve) => {
    signal.addEventListener('abort', () => resolve({ done: true, value: undefined }));
  });
  return { [Symbol.asyncIterator]: () => ({ next: () => done }) };
}

test('what the daemon itself takes long for is answered, however long no byte goes', async (context) => {
  const started = await start(
    context,
    {
      listRelays: async () => {
        await delay(400);
        return [];
      },
      putList: async (_submission, _name, body) => {
        for await (const _ of body) await delay(400);
      },
    },
    { idleTimeoutMs: 100 },
  );
  assert.equal((await ask(started, '/v1/relays')).status, 200);
  const { socket, closed } = openRaw(started);
  const head =
    'PUT /v1/submissions/a/list/b HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\n';
  socket.write(`${head}abc`);
  assert.match(await closed, /^HTTP\/1\.1 204 /);
});

test('a client that stops in the middle of a header or a body is given up', async (context) => {
  const started = await start(
    context,
    { putList: async (_s, _n, body) => void (await Array.fromAsync(body)) },
    { idleTimeoutMs: 100 },
  );
  const header = openRaw(started);
  header.socket.write('GET /v1/version HTTP/1.1\r\nhost: a\r\nx: ');
  const body = openRaw(started);
  body.socket.write('PUT /v1/submissions/a/list/b HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc');
  const json = openRaw(started);
  json.socket.write(
    'PATCH /v1/relays/a HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
  );
  await Promise.all([header.closed, body.closed, json.closed]);
  assert.deepEqual(started.errors, []);
});

test('a follower that does not read is given up', async (context) => {
  const ended = Promise.withResolvers<number>();
  let told = 0;
  const started = await start(
    context,
    {
      async *followEvents() {
        try {
          for (; ; told += 1) {
            yield {
              id: told,
              at: new Date(0).toISOString(),
              kind: 'campaignStarted',
              text: 'x'.repeat(10_000),
            };
          }
        } finally {
          ended.resolve(told);
        }
      },
    },
    { idleTimeoutMs: 200, heartbeatEveryMs: 20 },
  );
  const stream = await follow(context, started);
  stream.pause();
  assert.ok((await ended.promise) < 2000, 'no more was held for it than the pipe takes');
});

test('a follower to whom nothing happens stays', async (context) => {
  const started = await start(
    context,
    { followEvents: ({ signal }) => silence(signal) },
    { idleTimeoutMs: 100, heartbeatEveryMs: 20 },
  );
  const stream = await follow(context, started);
  let beats = 0;
  for await (const _ of stream) {
    beats += 1;
    if (beats === 20) break;
  }
  assert.equal(beats, 20, 'four times as long as any silence may last');
});

test('as many follow as may, and the others are still answered; who goes makes room', async (context) => {
  const started = await start(
    context,
    { followEvents: ({ signal }) => silence(signal) },
    { mostFollowers: 2 },
  );
  const first = await follow(context, started);
  await follow(context, started);
  const third = await ask(started, '/v1/events');
  assert.deepEqual([third.status, third.body.includes('ERR_TOO_MANY_FOLLOWERS')], [429, true]);
  assert.equal((await ask(started, '/v1/version')).status, 200);
  first.destroy();
  let next: IncomingMessage;
  do next = await follow(context, started);
  while (next.statusCode === 429);
  assert.equal(next.statusCode, 200);
});

test('a target is taken as it came, and what is no path is refused without a trace in the log', async (context) => {
  const started = await start(context);
  const cases: [target: string, status: number][] = [
    ['/v1/version', 200],
    ['/v1/version?', 200],
    ['//', 404],
    ['//v1/version', 404],
    ['//x/v1/version', 404],
    ['/x/../v1/version', 404],
    ['/x/%2e%2e/v1/version', 404],
    ['/v1\\version', 404],
    ['http://evil.example/v1/version', 400],
    ['*', 400],
  ];
  for (const [target, status] of cases) {
    const { socket, closed } = openRaw(started);
    socket.write(`GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
    assert.match(await closed, new RegExp(`^HTTP/1\\.1 ${status} `), target);
  }
  for (const id of ['x', '-1', '1.5', '']) {
    const { status } = await ask(started, '/v1/events', { headers: { 'last-event-id': id } });
    assert.equal(status, 400, `Last-Event-ID ${id}`);
  }
  assert.deepEqual(started.errors, []);
});

test('a socket that a dead daemon left is taken over; one that is answered, even by what does not speak, is not', async (context) => {
  const { socketPath } = await start(context);
  const { startControl } = await import('../../src/control/server.ts');
  const begin = (path: string) =>
    startControl({
      socketPath: path,
      socketMode: 0o660,
      tcp: undefined,
      version: '0.1.0',
      operations: JSON.parse('{}'),
      onError: () => {},
    });
  await assert.rejects(begin(socketPath), { code: 'ERR_CONTROL_IN_USE', exitCode: 75 });
  const left = join(socketPath, '../left.sock');
  const script = `require('node:net').createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', script]), 'exit');
  await (await begin(left)).close();
  const silent = join(socketPath, '../silent.sock');
  const mute = createServer();
  mute.listen(silent);
  await once(mute, 'listening');
  await assert.rejects(begin(silent), { code: 'ERR_CONTROL_IN_USE' });
  mute.close();
});
