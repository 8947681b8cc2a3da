// The HTTP listener: paths, methods, conditions, and how it begins and ends.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { text } from 'node:stream/consumers';
import { ExitCode, PosthasteError } from '../../src/base/error.ts';
import { startListener, type ListenerOptions, type MetricsListener } from '../../src/metrics/listener.ts';

const fine = { ok: true, reasons: [] };

function optionsOf(changes: Partial<ListenerOptions> = {}): ListenerOptions {
  return {
    host: '127.0.0.1',
    port: 0,
    metrics: { contentType: 'text/plain; version=0.0.4', render: () => Promise.resolve('up 1 µ\n') },
    health: () => fine,
    ready: () => fine,
    onError: (thrown) => {
      throw thrown;
    },
    ...changes,
  };
}

async function start(context: TestContext, changes: Partial<ListenerOptions> = {}): Promise<MetricsListener> {
  const listener = await startListener(optionsOf(changes));
  context.after(() => listener.close());
  return listener;
}

interface Answer {
  status: number | undefined;
  headers: IncomingMessage['headers'];
  body: string;
}

async function ask(
  { address }: MetricsListener,
  path: string,
  method = 'GET',
  agent?: Agent,
): Promise<Answer> {
  const asked = request({ host: address.address, port: address.port, path, method, agent: agent ?? false });
  asked.end();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    asked.on('response', resolve).on('error', reject);
  });
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

test('/metrics gives what the source renders, with its content type', async (context) => {
  const listener = await start(context);
  const { status, headers, body } = await ask(listener, '/metrics?name[]=up');
  assert.deepEqual([status, body], [200, 'up 1 µ\n']);
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4');
  assert.equal(headers['content-length'], '8');
});

test('/healthz and /readyz say ok, or 503 and one reason a line', async (context) => {
  const ready = { ok: false, reasons: ['relay primary: 535 no', 'the disk is full'] };
  const listener = await start(context, { ready: () => ready });
  const health = await ask(listener, '/healthz');
  assert.deepEqual([health.status, health.body], [200, 'ok\n']);
  const readiness = await ask(listener, '/readyz');
  assert.deepEqual([readiness.status, readiness.body], [503, 'relay primary: 535 no\nthe disk is full\n']);
});

test('HEAD gets the headers of GET and no body', async (context) => {
  const listener = await start(context);
  const { status, headers, body } = await ask(listener, '/metrics', 'HEAD');
  assert.deepEqual([status, headers['content-length'], body], [200, '8', '']);
});

test('other paths are not found, whatever the method, and other methods are not allowed', async (context) => {
  const listener = await start(context);
  for (const path of ['/', '/metrics/', '/constructor', '/__proto__', '*', '//metrics']) {
    assert.equal((await ask(listener, path)).status, 404, path);
  }
  assert.equal((await ask(listener, '/nothing', 'POST')).status, 404);
  const refused = await ask(listener, '/metrics', 'POST');
  assert.deepEqual([refused.status, refused.headers.allow], [405, 'GET, HEAD']);
});

test('what fails inside is a 500 without details, and is reported', async (context) => {
  const reported: unknown[] = [];
  const metrics = { contentType: 'text/plain', render: () => Promise.reject(new Error('secret')) };
  const listener = await start(context, { metrics, onError: (thrown) => reported.push(thrown) });
  const { status, body } = await ask(listener, '/metrics');
  assert.equal(status, 500);
  assert.doesNotMatch(body, /secret/);
  assert.match(String(reported[0]), /secret/);
});

test('an address in use is a configuration error that says what to do', async (context) => {
  const { address } = await start(context);
  await assert.rejects(startListener(optionsOf({ port: address.port })), (thrown) => {
    assert.ok(thrown instanceof PosthasteError);
    assert.equal(thrown.code, 'ERR_METRICS_ADDRESS_IN_USE');
    assert.equal(thrown.exitCode, ExitCode.config);
    assert.match(thrown.message, new RegExp(`127\\.0\\.0\\.1:${address.port}`));
    assert.match(thrown.hint ?? '', /another port/);
    return true;
  });
});

test('an address of another machine is a configuration error', async () => {
  await assert.rejects(startListener(optionsOf({ host: '192.0.2.1' })), {
    code: 'ERR_METRICS_LISTEN',
    exitCode: ExitCode.config,
  });
});

test('close ends connections that are kept alive, and those that never ask', async (context) => {
  const listener = await startListener(optionsOf());
  const agent = new Agent({ keepAlive: true });
  context.after(() => agent.destroy());
  await ask(listener, '/metrics', 'GET', agent);
  const silent = connect(listener.address.port, listener.address.address);
  await once(silent, 'connect');
  silent.write('GET /metr');
  silent.on('error', () => undefined);
  const ended = once(silent, 'close');
  const beganAt = performance.now();
  await listener.close();
  await ended;
  assert.ok(performance.now() - beganAt < 3000);
  await assert.rejects(ask(listener, '/metrics'), { code: 'ECONNREFUSED' });
});

test('close lets an answer that is under way end', async () => {
  const { promise: asked, resolve: tellAsked } = Promise.withResolvers<undefined>();
  const { promise: rendered, resolve: render } = Promise.withResolvers<string>();
  const metrics = {
    contentType: 'text/plain',
    render: () => {
      tellAsked(undefined);
      return rendered;
    },
  };
  const listener = await startListener(optionsOf({ metrics }));
  const answer = ask(listener, '/metrics');
  await asked;
  const closed = listener.close();
  render('up 1\n');
  assert.equal((await answer).body, 'up 1\n');
  await closed;
});
