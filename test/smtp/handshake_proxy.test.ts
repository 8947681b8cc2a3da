// The way to a relay through a proxy: HTTP CONNECT and SOCKS5, and how proxies fail.
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { TLSSocket } from 'node:tls';
import type { RelayOptions, RelayProxy } from '../../src/smtp/relay.ts';
import { openSocksTunnel } from '../../src/smtp/socks.ts';
import { mustFail, mustOpen, portOf, relayAt, startRelay } from './scripted_relay.ts';

const offering = '250-relay.example\n250-STARTTLS\n250 AUTH PLAIN';
const credentials = { user: 'me', pass: 'pr0xy:p@ss' };

interface TestProxy {
  readonly port: number;
  /** What it was asked for: "host:port", and by whom. */
  readonly asked: string[];
}

/** An HTTP proxy that connects to this machine whatever the host, or answers with a status. */
async function startHttpProxy(context: TestContext, status: string | undefined): Promise<TestProxy> {
  const asked: string[] = [];
  const server = createHttpServer();
  const sockets = new Set<Socket>();
  server.on('connect', (request, socket: Socket) => {
    sockets.add(socket);
    asked.push(`${request.url ?? ''} ${request.headers['proxy-authorization'] ?? ''}`.trim());
    socket.on('error', () => {});
    if (status !== undefined) return socket.end(`HTTP/1.1 ${status}\r\n\r\n`);
    const onward = connect(Number(request.url?.split(':').at(-1)), '127.0.0.1');
    sockets.add(onward);
    onward.on('error', () => socket.destroy());
    onward.once('connect', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    return undefined;
  });
  await listen(context, server, sockets);
  return { port: portOf(server), asked };
}

interface SocksScript {
  readonly method?: number | undefined;
  readonly loginStatus?: number | undefined;
  readonly code?: number | undefined;
  readonly boundAddress?: readonly number[] | undefined;
  readonly isMute?: boolean | undefined;
}

/** A SOCKS5 proxy that connects to this machine whatever the host; it holds its reply until the relay has greeted. */
async function startSocksProxy(context: TestContext, script: SocksScript = {}): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let step: 'methods' | 'login' | 'request' | 'tunnel' = 'methods';
    socket.on('data', (chunk: Buffer) => {
      if (script.isMute === true || step === 'tunnel') return;
      if (step === 'methods') {
        step = script.method === 2 ? 'login' : 'request';
        socket.write(Buffer.from([5, script.method ?? 0]));
      } else if (step === 'login') {
        step = 'request';
        asked.push(chunk.subarray(2).toString('latin1'));
        socket.write(Buffer.from([1, script.loginStatus ?? 0]));
      } else {
        step = 'tunnel';
        asked.push(chunk.subarray(3).toString('hex'));
        forward(socket, chunk.readUInt16BE(chunk.length - 2));
      }
    });
  });
  const forward = (socket: Socket, port: number): void => {
    const reply = Buffer.from([5, script.code ?? 0, 0, ...(script.boundAddress ?? [1, 127, 0, 0, 1]), 0, 25]);
    if (script.code !== undefined) return void socket.end(reply);
    const onward = connect(port, '127.0.0.1');
    sockets.add(onward);
    onward.on('error', () => socket.destroy());
    // The greeting comes in one segment with the reply: not a byte of it may be lost.
    onward.once('data', (greeting: Buffer) => {
      socket.write(Buffer.concat([reply, greeting]));
      socket.pipe(onward).pipe(socket);
    });
  };
  await listen(context, server, sockets);
  return { port: portOf(server), asked };
}

async function listen(
  context: TestContext,
  server: ReturnType<typeof createServer>,
  sockets: ReadonlySet<Socket>,
): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
}

function through(
  kind: RelayProxy['kind'],
  port: number,
  more: Partial<RelayProxy> = {},
): Partial<RelayOptions> {
  return { proxy: { kind, host: '127.0.0.1', port, ...more } };
}

for (const [security, implicitTls] of [
  ['starttls', false],
  ['tls', true],
] as const) {
  test(`an HTTP proxy leads to a relay, whose certificate is checked by its own name (${security})`, async (context) => {
    const relay = await startRelay(context, { implicitTls, plain: { EHLO: offering, STARTTLS: '220 go' } });
    const proxy = await startHttpProxy(context, undefined);
    const options = relayAt(relay.port, { security, ...through('http', proxy.port) });
    const { socket } = await mustOpen(context, options);
    assert.ok(socket instanceof TLSSocket);
    assert.deepEqual(proxy.asked, [`localhost:${relay.port}`]);
    const misnamed = await mustFail({ ...options, host: 'elsewhere.example' });
    assert.match(misnamed.verdict.text, /for another name/);
  });
}

test('an HTTP proxy gets the credentials that it is to have', async (context) => {
  const relay = await startRelay(context, {});
  const proxy = await startHttpProxy(context, undefined);
  await mustOpen(
    context,
    relayAt(relay.port, { security: 'plain', ...through('http', proxy.port, credentials) }),
  );
  const basic = Buffer.from('me:pr0xy:p@ss').toString('base64');
  assert.deepEqual(proxy.asked, [`localhost:${relay.port} Basic ${basic}`]);
});

for (const [status, permanent, text] of [
  ['407 Proxy Authentication Required', true, /the proxy does not let us in: .*407/],
  ['403 Forbidden', false, /the proxy opens no connection: .*403/],
  ['502 Bad Gateway', false, /the proxy opens no connection: .*502/],
] as const) {
  test(`an HTTP proxy that says ${status} is ${permanent ? '' : 'not '}a permanent failure`, async (context) => {
    const proxy = await startHttpProxy(context, status);
    const failure = await mustFail(relayAt(25, through('http', proxy.port, credentials)));
    assert.deepEqual(
      [failure.permanent, failure.verdict.category, failure.verdict.stage],
      [permanent, 'network', 'connect'],
    );
    assert.match(failure.verdict.text, text);
    assert.match(failure.hint, /proxy/);
    assert.equal(JSON.stringify(failure).includes('pr0xy'), false);
  });
}

for (const kind of ['http', 'https', 'socks5'] as const) {
  test(`a ${kind} proxy that is not there is told apart from a relay that is not`, async () => {
    const failure = await mustFail(relayAt(25, through(kind, 1)));
    assert.deepEqual([failure.permanent, failure.verdict.category], [false, 'network']);
    assert.match(failure.verdict.text, /the proxy opens no connection: connect ECONNREFUSED/);
  });

  test(`a ${kind} proxy that says nothing is given up in time`, async (context) => {
    const proxy = await startSocksProxy(context, { isMute: true });
    const startedAt = performance.now();
    const failure = await mustFail(relayAt(25, { ...through(kind, proxy.port), connectionTimeoutMs: 200 }));
    assert.ok(performance.now() - startedAt < 2000);
    assert.match(failure.verdict.text, /the proxy opens no connection/);
  });
}

for (const [host, address] of [
  ['localhost', `03 09 ${Buffer.from('localhost').toString('hex')}`],
  ['127.0.0.1', '01 7f000001'],
  ['::1', `04 ${'00'.repeat(15)}01`],
  ['2001:db8:0:0:1::7', '04 20010db8000000000001000000000007'],
  ['::ffff:192.0.2.1', '04 00000000000000000000ffffc0000201'],
] as const) {
  test(`SOCKS5 asks for ${host} in its own form`, async (context) => {
    const relay = await startRelay(context, {});
    const proxy = await startSocksProxy(context);
    await mustOpen(
      context,
      relayAt(relay.port, { host, security: 'plain', ...through('socks5', proxy.port) }),
    );
    const port = relay.port.toString(16).padStart(4, '0');
    assert.deepEqual(proxy.asked, [`${address.replaceAll(' ', '')}${port}`]);
  });
}

for (const [what, boundAddress] of [
  ['an IPv4 address', [1, 127, 0, 0, 1]],
  ['an IPv6 address', [4, ...Array.from({ length: 16 }, () => 0)]],
  ['a name', [3, 2, 120, 121]],
] as const) {
  test(`SOCKS5 may have connected from ${what}; the greeting behind it is read whole`, async (context) => {
    const relay = await startRelay(context, { plain: { EHLO: offering, STARTTLS: '220 go' } });
    const proxy = await startSocksProxy(context, { boundAddress });
    const { socket } = await mustOpen(context, relayAt(relay.port, through('socks5', proxy.port)));
    assert.ok(socket instanceof TLSSocket);
  });
}

test('SOCKS5 logs in by RFC 1929', async (context) => {
  const relay = await startRelay(context, {});
  const proxy = await startSocksProxy(context, { method: 2 });
  await mustOpen(
    context,
    relayAt(relay.port, { security: 'plain', ...through('socks5', proxy.port, credentials) }),
  );
  assert.equal(proxy.asked[0], 'me\u000apr0xy:p@ss');
});

const refusals: readonly (readonly [what: string, script: SocksScript, permanent: boolean, text: RegExp])[] =
  [
    ['refuses the password', { method: 2, loginStatus: 1 }, true, /does not let us in: it refuses the user/],
    ['wants another way to log in', { method: 255 }, true, /does not let us in: it accepts none/],
    ['may not connect', { code: 2 }, false, /opens no connection: its rules do not allow/],
    ['is refused by the relay', { code: 5 }, false, /opens no connection: the connection was refused/],
    ['has a code of its own', { code: 99 }, false, /refuses with code 99/],
  ];

for (const [what, script, permanent, text] of refusals) {
  test(`a SOCKS5 proxy that ${what} is ${permanent ? '' : 'not '}a permanent failure`, async (context) => {
    const proxy = await startSocksProxy(context, script);
    const failure = await mustFail(relayAt(25, through('socks5', proxy.port, credentials)));
    assert.deepEqual([failure.permanent, failure.verdict.category], [permanent, 'network']);
    assert.match(failure.verdict.text, text);
    assert.equal(JSON.stringify(failure).includes('pr0xy'), false);
  });
}

test('what answers like a relay or a web server is no SOCKS5 proxy', async (context) => {
  const relay = await startRelay(context, {});
  const failure = await mustFail(relayAt(25, through('socks5', relay.port)));
  assert.match(failure.verdict.text, /this is no SOCKS5 proxy/);
});

test('SOCKS5 connects from the local address, and takes no name that is too long', async (context) => {
  const relay = await startRelay(context, {});
  const proxy = await startSocksProxy(context);
  const request = { proxy: { host: '127.0.0.1', port: proxy.port }, port: relay.port, timeoutMs: 1000 };
  const socket = await openSocksTunnel({ ...request, host: 'localhost', localAddress: '127.0.0.3' });
  assert.equal(socket.localAddress, '127.0.0.3');
  socket.destroy();
  await assert.rejects(openSocksTunnel({ ...request, host: 'x'.repeat(256) }), /255 octets/);
});
