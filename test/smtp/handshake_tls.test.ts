// The handshake's TLS: STARTTLS that is refused, stripped or tampered with, certificates, versions.
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createServer as createTlsServer, TLSSocket, type TlsOptions } from 'node:tls';
import { makeCertificate } from '../../src/sandbox/certificate.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import {
  hangUp,
  mustFail,
  mustOpen,
  pair,
  portOf,
  relayAt,
  startRelay,
  type Answer,
} from './scripted_relay.ts';

const offering = '250-relay.example\n250-STARTTLS\n250-AUTH PLAIN\n250 CHUNKING';
const auth = { user: 'u', pass: 'secret' };

test('capabilities are those of the secured session alone, and there is no EHLO after AUTH', async (context) => {
  const relay = await startRelay(context, {
    plain: { EHLO: offering, STARTTLS: '220 go' },
    secured: { EHLO: '250-relay.example\n250-AUTH PLAIN\n250 PIPELINING', AUTH: '235 ok' },
  });
  const { extensions, socket } = await mustOpen(context, relayAt(relay.port, { auth }));
  assert.deepEqual([extensions.chunking, extensions.pipelining], [false, true]);
  assert.ok(socket instanceof TLSSocket);
  assert.deepEqual(relay.verbs(), ['EHLO', 'STARTTLS', 'EHLO', 'AUTH']);
});

test('AUTH that was offered before TLS only is not used', async (context) => {
  const relay = await startRelay(context, {
    plain: { EHLO: offering, STARTTLS: '220 go' },
    secured: { EHLO: '250-relay.example\n250 PIPELINING' },
  });
  const { permanent, verdict } = await mustFail(relayAt(relay.port, { auth }));
  assert.deepEqual([permanent, verdict.category, verdict.stage], [true, 'relay-auth', 'auth']);
  assert.deepEqual(relay.verbs(), ['EHLO', 'STARTTLS', 'EHLO']);
});

const refusals: readonly (readonly [reply: string, permanent: boolean, text: RegExp])[] = [
  ['454 4.7.0 TLS not available', false, /cannot do STARTTLS now: 454 4\.7\.0/],
  ['501 5.5.4 no parameters allowed', true, /refuses STARTTLS: 501/],
  ['502 5.5.1 not implemented', true, /refuses STARTTLS: 502/],
];

for (const [reply, isPermanent, text] of refusals) {
  test(`STARTTLS that gets "${reply}" ends the session, and nothing is sent in the open`, async (context) => {
    const relay = await startRelay(context, { plain: { EHLO: offering, STARTTLS: reply } });
    const { permanent, verdict } = await mustFail(relayAt(relay.port, { auth }));
    assert.deepEqual([permanent, verdict.category, verdict.stage], [isPermanent, 'relay-down', 'starttls']);
    assert.match(verdict.text, text);
    assert.deepEqual(relay.verbs(), ['EHLO', 'STARTTLS']);
  });
}

test('STARTTLS that was stripped from EHLO is missed, and nothing is sent in the open', async (context) => {
  const relay = await startRelay(context, {
    plain: { EHLO: '250-relay.example\n250 AUTH PLAIN', STARTTLS: '500 what?' },
  });
  const { permanent, verdict, hint } = await mustFail(relayAt(relay.port, { auth }));
  assert.deepEqual([permanent, verdict.category, verdict.stage], [true, 'relay-down', 'starttls']);
  assert.match(verdict.text, /does not offer STARTTLS/);
  assert.match(hint, /stripping/);
  assert.equal(relay.verbs().includes('AUTH'), false);
});

const injections: readonly (readonly [what: string, bytes: string])[] = [
  ['a whole reply', '220 go\r\n250 AUTH PLAIN\r\n'],
  ['the beginning of a reply', '220 go\r\n250-AUTH PLAIN\r\n'],
  ['the beginning of a line', '220 go\r\n250-AU'],
  ['what is no reply', '220 go\r\nhello\r\n'],
  ['a multiline reply behind one', '220-go\r\n220 go\r\n250-a\r\n250 b\r\n'],
];

for (const [what, bytes] of injections) {
  test(`${what} in plain text behind the answer to STARTTLS ends the session`, async (context) => {
    const relay = await startRelay(context, { plain: { EHLO: offering, STARTTLS: Buffer.from(bytes) } });
    const startedAt = performance.now();
    const { permanent, verdict, hint } = await mustFail(relayAt(relay.port, { auth }));
    assert.ok(performance.now() - startedAt < 1500, 'at once, not by a timeout');
    assert.deepEqual([permanent, verdict.category, verdict.stage], [false, 'protocol', 'starttls']);
    assert.match(verdict.text, /plain text came together with the answer to STARTTLS/);
    assert.match(hint, /tampering/);
    assert.deepEqual(relay.verbs(), ['EHLO', 'STARTTLS']);
  });
}

test('the answer to STARTTLS in many pieces is no injection', async (context) => {
  const relay = await startTrickler(context);
  await mustOpen(context, relayAt(relay));
});

/** A proxy before a good relay that passes its plain text on byte by byte. */
async function startTrickler(context: TestContext): Promise<number> {
  const relay = await startRelay(context, { plain: { EHLO: offering, STARTTLS: '220-go\n220 on' } });
  const server = createServer((socket) => {
    const onward = connect(relay.port, '127.0.0.1');
    let isPlain = true;
    socket.on('data', (chunk) => onward.write(chunk)).on('error', () => {});
    onward.on('error', () => {}).on('close', () => socket.destroy());
    onward.on('data', (chunk: Buffer) => {
      if (isPlain) for (const byte of chunk) socket.write(Buffer.of(byte));
      else socket.write(chunk);
      if (chunk.includes('220 on')) isPlain = false;
    });
    socket.on('close', () => onward.destroy());
    socket.setNoDelay(true);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  return portOf(server);
}

test('plain text that comes after the answer to STARTTLS, instead of TLS, ends the session', async (context) => {
  const relay = await startRelay(context, { plain: { EHLO: offering, STARTTLS: '221 not really' } });
  // 221 is a positive reply, so TLS begins here; the script's relay stays in the open and answers to it.
  const failing = mustFail(relayAt(relay.port, { auth, commandTimeoutMs: 500 }));
  setTimeout(() => relay.sockets[0]?.write('250 AUTH PLAIN\r\n'), 50);
  const { permanent, verdict } = await failing;
  assert.deepEqual([permanent, verdict.category, verdict.stage], [false, 'protocol', 'starttls']);
  assert.match(verdict.text, /what came after STARTTLS is no TLS/);
});

const hourMs = 3_600_000;
const expired = makeCertificate({ notBeforeAt: Date.now() - 3 * hourMs, notAfterAt: Date.now() - hourMs });
const future = makeCertificate({ notBeforeAt: Date.now() + hourMs, notAfterAt: Date.now() + 2 * hourMs });
const other = makeCertificate({ names: ['other.example'] });

const certificates: readonly (readonly [
  what: string,
  pair: { key: string; cert: string },
  ca: string | undefined,
  text: RegExp,
  hint: RegExp,
])[] = [
  [
    'for another name',
    other,
    other.cert,
    /for another name: .*other\.example/,
    /host name .*tls\.servername/,
  ],
  ['that has expired', expired, expired.cert, /certificate has expired$/, /renew/],
  ['that is not valid yet', future, future.cert, /not valid yet$/, /clock/],
  ['that is self-signed', pair, undefined, /self-signed certificate$/, /tls\.ca/],
];

for (const [what, shown, ca, text, hint] of certificates) {
  for (const security of ['tls', 'starttls'] as const) {
    test(`a certificate ${what} ends the session before AUTH (${security})`, async (context) => {
      const tls = security === 'tls' ? 'implicit' : 'starttls';
      const sandbox = await startSandbox({ tls, certificate: shown, auth });
      context.after(() => sandbox.close());
      const failure = await mustFail(
        relayAt(sandbox.port, { security, auth, tls: { rejectUnauthorized: true, ca } }),
      );
      assert.deepEqual([failure.permanent, failure.verdict.category], [true, 'relay-down']);
      assert.match(failure.verdict.text, text);
      assert.match(failure.hint, hint);
    });
  }
}

test('a name in tls.servername is the one that is checked', async (context) => {
  const sandbox = await startSandbox({ tls: 'implicit', certificate: other });
  context.after(() => sandbox.close());
  const tls = { rejectUnauthorized: true, ca: other.cert, servername: 'other.example' };
  await mustOpen(context, relayAt(sandbox.port, { security: 'tls', tls }));
});

const versions: readonly (readonly [what: string, server: TlsOptions, min: 'TLSv1.2' | 'TLSv1.3'])[] = [
  ['TLS 1.0 only', { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' }, 'TLSv1.2'],
  ['TLS 1.1 only', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' }, 'TLSv1.2'],
  ['TLS 1.2 only, where 1.3 is asked for', { maxVersion: 'TLSv1.2' }, 'TLSv1.3'],
];

for (const [what, server, minVersion] of versions) {
  for (const implicitTls of [true, false]) {
    test(`a relay that speaks ${what} is refused as such (${implicitTls ? 'tls' : 'starttls'})`, async (context) => {
      const relay = await startRelay(context, {
        implicitTls,
        plain: { EHLO: offering, STARTTLS: '220 go' },
        tls: server,
      });
      const tls = { rejectUnauthorized: true, ca: pair.cert, minVersion };
      const security = implicitTls ? 'tls' : 'starttls';
      const { permanent, verdict, hint } = await mustFail(relayAt(relay.port, { security, tls }));
      assert.deepEqual([permanent, verdict.category], [true, 'relay-down']);
      assert.match(verdict.text, /no version of TLS that both accept/);
      assert.match(hint, /TLS 1\.2 or later/);
    });
  }
}

test('a port that greets in the open is no port for TLS from the start', async (context) => {
  const relay = await startRelay(context, {});
  const { permanent, verdict, hint } = await mustFail(relayAt(relay.port, { security: 'tls' }));
  assert.equal(permanent, true);
  assert.match(verdict.text, /does not speak TLS from the start/);
  assert.match(hint, /leave secure out/);
});

test('a port that waits for TLS is told by its silence', async (context) => {
  const relay = await startRelay(context, { implicitTls: true });
  const { hint, verdict } = await mustFail(relayAt(relay.port, { greetingTimeoutMs: 150 }));
  assert.equal(verdict.stage, 'greeting');
  assert.match(hint, /secure: true/);
});

test('a relay that hangs up within the TLS handshake is tried again later', async (context) => {
  const relay = await startRelay(context, {
    plain: { EHLO: offering, STARTTLS: Buffer.from('220 go\r\n') },
    tls: { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' },
  });
  const { permanent, verdict } = await mustFail(relayAt(relay.port));
  assert.deepEqual([permanent, verdict.stage], [false, 'starttls']);
  assert.match(verdict.text, /TLS handshake failed/);
});

test('a relay that hangs up after TLS is a network failure', async (context) => {
  const relay = await startRelay(context, { implicitTls: true, greeting: hangUp });
  const { permanent, verdict } = await mustFail(relayAt(relay.port, { security: 'tls' }));
  assert.deepEqual([permanent, verdict.category], [false, 'network']);
});

test('a client certificate is shown; a relay that misses one is told apart', async (context) => {
  const mine = makeCertificate({ names: ['client.example'] });
  const seen: (string | undefined)[] = [];
  const answer: (line: string) => Answer = () => {
    const socket = relay.sockets.at(-1);
    if (socket instanceof TLSSocket) seen.push(socket.getPeerX509Certificate()?.toString());
    return '250 relay.example';
  };
  const relay = await startRelay(context, {
    implicitTls: true,
    plain: { EHLO: answer },
    tls: { requestCert: true, rejectUnauthorized: false },
  });
  const tls = { rejectUnauthorized: true, ca: pair.cert };
  await mustOpen(
    context,
    relayAt(relay.port, { security: 'tls', tls: { ...tls, cert: mine.cert, key: mine.key } }),
  );
  assert.deepEqual(seen, [mine.cert]);

  const strict = createTlsServer({ ...pair, requestCert: true, rejectUnauthorized: true });
  await new Promise<void>((resolve) => strict.listen(0, '127.0.0.1', resolve));
  context.after(() => strict.close());
  const failure = await mustFail(relayAt(portOf(strict), { security: 'tls' }));
  assert.match(failure.verdict.text, /client certificate/);
  assert.match(failure.hint, /tls\.cert/);
});

test('REQUIRETLS counts where the certificate was verified, in a resumed session, too', async (context) => {
  const sandbox = await startSandbox({ tls: 'starttls' });
  context.after(() => sandbox.close());
  const verifying = relayAt(sandbox.port, { tls: { ca: sandbox.certificate, rejectUnauthorized: true } });
  for (const _ of [1, 2]) assert.equal((await mustOpen(context, verifying)).extensions.requireTls, true);
  const trusting = relayAt(sandbox.port, { tls: { rejectUnauthorized: false } });
  assert.equal((await mustOpen(context, trusting)).extensions.requireTls, false);
});
