// The handshake's second time: TLS sessions that are resumed, forgotten, stumbled over, and not kept.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServer as createTlsServer, TLSSocket, type TlsOptions } from 'node:tls';
import type { OpenSession } from '../../src/smtp/handshake.ts';
import type { RelayOptions } from '../../src/smtp/relay.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { mustFail, mustOpen, pair, portOf, relayAt, startRelay, type Script } from './scripted_relay.ts';

function isResumed(session: OpenSession): boolean {
  return session.socket instanceof TLSSocket && session.socket.isSessionReused();
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const security of ['tls', 'starttls'] as const) {
    test(`the second session resumes the first one's TLS (${security}, ${maxVersion})`, async (context) => {
      const relay = await startRelay(context, resumable(security, { maxVersion }));
      const options = relayAt(relay.port, { security });
      assert.equal(isResumed(await mustOpen(context, options)), false);
      assert.equal(isResumed(await mustOpen(context, options)), true);
      assert.equal(isResumed(await mustOpen(context, options)), true);
      // Other options may trust others, so they have nothing in common.
      assert.equal(isResumed(await mustOpen(context, { ...options })), false);
    });
  }
}

function resumable(security: RelayOptions['security'], tls: TlsOptions): Script {
  return {
    implicitTls: security === 'tls',
    plain: { EHLO: '250-relay.example\n250 STARTTLS', STARTTLS: '220 go' },
    tls,
  };
}

for (const security of ['tls', 'starttls'] as const) {
  test(`a relay that has forgotten its TLS sessions gets a whole handshake (${security})`, async (context) => {
    const sandbox = { tls: security === 'tls' ? 'implicit' : 'starttls', certificate: pair } as const;
    const first = await startSandbox(sandbox);
    const options = relayAt(first.port, { security });
    await mustOpen(context, options);
    assert.equal(isResumed(await mustOpen(context, options)), true);
    await first.close();
    // A new context has new ticket keys, as after a restart of the relay.
    const second = await startSandbox({ ...sandbox, port: first.port });
    context.after(() => second.close());
    assert.equal(isResumed(await mustOpen(context, options)), false);
    assert.equal(isResumed(await mustOpen(context, options)), true);
  });
}

test('a relay that stumbles over a resumed session gets a whole handshake at once', async (context) => {
  const known = new Set<string>();
  let stumbled = 0;
  const server = createTlsServer({ ...pair, maxVersion: 'TLSv1.2', secureOptions: 1 << 14 }, (socket) => {
    socket.on('error', () => {});
    socket.write('220 relay.example\r\n');
    socket.on('data', () => socket.write('250 relay.example\r\n'));
  });
  server.on('newSession', (id: Buffer, _data: Buffer, done: () => void) => {
    known.add(id.toString('hex'));
    done();
  });
  server.on('resumeSession', (id: Buffer, done: (error: Error | null, data: null) => void) => {
    const isKnown = known.has(id.toString('hex'));
    if (isKnown) stumbled += 1;
    done(isKnown ? new Error('broken') : null, null);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  const options = relayAt(portOf(server), { security: 'tls' });
  await mustOpen(context, options);
  assert.equal(isResumed(await mustOpen(context, options)), false);
  assert.equal(stumbled, 1);
});

test('a session of a handshake that failed is not kept', async (context) => {
  const sandbox = await startSandbox({
    tls: 'implicit',
    certificate: pair,
    faults: [parseFault('ehlo first: 421 no')],
  });
  context.after(() => sandbox.close());
  const options = relayAt(sandbox.port, { security: 'tls' });
  await mustFail(options);
  assert.equal(isResumed(await mustOpen(context, options)), false);
});
