// The handshake up to the hand-over, without TLS and AUTH: connection, greeting, EHLO.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { ehloLinesOf, takeSocket } from '../../src/smtp/handover.ts';
import type { RelayOptions } from '../../src/smtp/relay.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { hangUp, mustFail, mustOpen, relayAt, silence, startRelay, type Script } from './scripted_relay.ts';

const plain: Partial<RelayOptions> = { security: 'plain', tls: { rejectUnauthorized: true } };

test('a session that is handed over has no listeners, no timeout and no bytes lost', async (context) => {
  const relay = await startRelay(context, { plain: { EHLO: '250-relay.example\n250 PIPELINING' } });
  const { socket } = await mustOpen(context, relayAt(relay.port, plain));
  for (const event of ['data', 'end', 'close', 'error', 'timeout'])
    assert.equal(socket.listenerCount(event), 0);
  assert.equal(socket.timeout, 0);
  relay.sockets[0]?.write('421 bye\r\n');
  await new Promise((resolve) => setTimeout(resolve, 20));
  const said = await new Promise((resolve) =>
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString())).resume(),
  );
  assert.equal(said, '421 bye\r\n');
});

test('one EHLO is all that is sent, under the name that was given, and its answer is the extensions', async (context) => {
  const relay = await startRelay(context, {
    plain: { EHLO: '250-relay.example\n250-PIPELINING\n250-SIZE 1000\n250-CHUNKING\n250 DSN' },
  });
  const { extensions } = await mustOpen(context, relayAt(relay.port, { ...plain, clientName: 'me.example' }));
  assert.deepEqual(extensions, {
    pipelining: true,
    sizeLimitBytes: 1000,
    eightBitMime: false,
    smtpUtf8: false,
    chunking: true,
    dsn: true,
    requireTls: false,
  });
  assert.deepEqual(
    relay.received.map(({ line }) => line),
    ['EHLO me.example'],
  );
});

test('a local address is the one that the relay sees', async (context) => {
  const relay = await startRelay(context, {});
  await mustOpen(context, relayAt(relay.port, { ...plain, host: '127.0.0.1', localAddress: '127.0.0.2' }));
  assert.equal(relay.sockets[0]?.remoteAddress, '127.0.0.2');
});

test('a delayed greeting is waited for', async (context) => {
  const sandbox = await startSandbox({ faults: [parseFault('greeting: delay 300ms')] });
  context.after(() => sandbox.close());
  await mustOpen(context, relayAt(sandbox.port, plain));
});

test('a greeting that never comes is the relay out of reach, for now', async (context) => {
  const sandbox = await startSandbox({ faults: [parseFault('greeting: silence')] });
  context.after(() => sandbox.close());
  const failure = await mustFail(relayAt(sandbox.port, { ...plain, greetingTimeoutMs: 150 }));
  assert.partialDeepStrictEqual(failure, {
    permanent: false,
    verdict: { scope: 'relay', stage: 'greeting', category: 'network', replyCode: 0, kind: 'unsent' },
  });
  assert.match(failure.verdict.text, /no greeting in time/);
});

test('a relay that drips bytes does not buy itself time', async (context) => {
  const relay = await startRelay(context, { plain: { EHLO: silence } });
  const options = relayAt(relay.port, {
    ...plain,
    connectionTimeoutMs: 150,
    greetingTimeoutMs: 150,
    commandTimeoutMs: 150,
  });
  const drip = setInterval(() => relay.sockets.forEach((socket) => socket.write('250-x\r\n')), 20);
  const startedAt = performance.now();
  const failure = await mustFail(options);
  clearInterval(drip);
  assert.ok(performance.now() - startedAt < 1500);
  assert.deepEqual([failure.verdict.stage, failure.verdict.category], ['ehlo', 'network']);
  assert.match(failure.verdict.text, /no answer in time/);
});

const greetings: readonly (readonly [greeting: string, code: number, category: string, text: RegExp])[] = [
  ['554 5.7.1 you are not welcome', 554, 'relay-down', /takes no sessions: 554 5\.7\.1 you are not welcome/],
  ['521 relay.example accepts no mail', 521, 'relay-down', /521 relay\.example accepts no mail/],
  ['421 4.3.2 shutting down', 421, 'relay-down', /421 4\.3\.2/],
  ['450 later', 450, 'relay-down', /450 later/],
  [
    '421-4.7.0 too many\n421 4.7.0 concurrent connections',
    421,
    'rate-limited',
    /421 4\.7\.0 too many 4\.7\.0 conc/,
  ],
  ['250 hello', 250, 'protocol', /no SMTP relay: 250 hello/],
  ['HTTP/1.1 400 Bad Request\nServer: x\n', 0, 'protocol', /no SMTP relay: HTTP\/1\.1 400 Bad Request$/],
  ['SSH-2.0-OpenSSH_9.2', 0, 'protocol', /no SMTP relay: SSH-2\.0/],
];

for (const [greeting, code, category, text] of greetings) {
  test(`the greeting ${JSON.stringify(greeting)} is ${category}, of the relay and not of a recipient`, async (context) => {
    const relay = await startRelay(context, { greeting });
    const { verdict, permanent } = await mustFail(relayAt(relay.port, plain));
    assert.deepEqual([verdict.scope, verdict.stage, verdict.kind], ['relay', 'greeting', 'unsent']);
    assert.deepEqual([verdict.replyCode, verdict.category, permanent], [code, category, false]);
    assert.match(verdict.text, text);
    assert.equal(relay.verbs().includes('EHLO'), false);
  });
}

const ends: readonly (readonly [what: string, script: Script, stage: string])[] = [
  ['instead of a greeting', { greeting: hangUp }, 'greeting'],
  ['after the greeting', { plain: { EHLO: hangUp } }, 'ehlo'],
  ['within its answer to EHLO', { plain: { EHLO: [Buffer.from('250-relay.example\r\n250-PIPE')] } }, 'ehlo'],
];

for (const [what, script, stage] of ends) {
  test(`a relay that hangs up ${what} is a network failure at ${stage}`, async (context) => {
    const relay = await startRelay(context, script);
    const opening = mustFail(relayAt(relay.port, { ...plain, commandTimeoutMs: 400 }));
    if (stage === 'ehlo') setTimeout(() => relay.sockets[0]?.end(), 100);
    const { verdict, permanent } = await opening;
    assert.deepEqual([verdict.stage, verdict.category, permanent], [stage, 'network', false]);
    assert.match(verdict.text, /closed the connection/);
  });
}

test('a port that nobody listens on, and a name that does not exist, are told apart', async (context) => {
  const relay = await startRelay(context, {});
  const closed = await mustFail(relayAt(relay.port, { ...plain, host: '127.0.0.1', port: 1 }));
  assert.match(closed.verdict.text, /127\.0\.0\.1:1: no connection: connect ECONNREFUSED/);
  const unknown = await mustFail(relayAt(relay.port, { ...plain, host: 'no.such.host.invalid' }));
  assert.match(unknown.verdict.text, /cannot be resolved/);
  assert.deepEqual([unknown.verdict.stage, unknown.permanent], ['connect', false]);
});

test('a relay that knows no EHLO is asked by HELO and has no extensions', async (context) => {
  const relay = await startRelay(context, { plain: { EHLO: '502 what?', HELO: '250 PIPELINING' } });
  const { extensions } = await mustOpen(context, relayAt(relay.port, plain));
  assert.deepEqual(relay.verbs(), ['EHLO', 'HELO']);
  assert.deepEqual([extensions.pipelining, extensions.sizeLimitBytes], [false, undefined]);
});

test('a relay that knows no EHLO is of no use where TLS is wanted', async (context) => {
  const relay = await startRelay(context, { plain: { EHLO: '500 what?', HELO: '250 ok' } });
  const { verdict, hint } = await mustFail(relayAt(relay.port));
  assert.deepEqual([verdict.stage, verdict.replyCode, verdict.category], ['ehlo', 500, 'relay-down']);
  assert.match(hint, /HELO/);
  assert.deepEqual(relay.verbs(), ['EHLO']);
});

test('EHLO keywords may be lower case, empty or there twice', async (context) => {
  const relay = await startRelay(context, {
    plain: { EHLO: '250-relay.example\n250-pipelining\n250-\n250-Size 10\n250-SIZE 20\n250 ' },
  });
  const { extensions } = await mustOpen(context, relayAt(relay.port, plain));
  assert.deepEqual([extensions.pipelining, extensions.sizeLimitBytes], [true, 20]);
});

function makeLines(count: number): string {
  return Array.from({ length: count }, (_, index) => `250-X-LINE-${index}`).join('\n');
}

test('a thousand EHLO lines are read, twenty thousand are not', async (context) => {
  const many = await startRelay(context, { plain: { EHLO: `${makeLines(1000)}\n250 CHUNKING` } });
  assert.equal((await mustOpen(context, relayAt(many.port, plain))).extensions.chunking, true);
  const endless = await startRelay(context, { plain: { EHLO: `${makeLines(20_000)}\n250 CHUNKING` } });
  const { verdict } = await mustFail(relayAt(endless.port, plain));
  assert.deepEqual([verdict.stage, verdict.category], ['ehlo', 'protocol']);
});

test('a reply that nothing asked for ends the handshake', async (context) => {
  const relay = await startRelay(context, { plain: { EHLO: '250 relay.example\n250 and another' } });
  const { verdict } = await mustFail(relayAt(relay.port, plain));
  assert.deepEqual([verdict.stage, verdict.category], ['ehlo', 'protocol']);
  assert.match(verdict.text, /nothing asked for/);
});

test('control characters of a relay reach no text', async (context) => {
  for (const greeting of ['554 \u001b[31mred\u0007\u0000', 'no reply \u001b[31mred\u0007\u0000']) {
    const relay = await startRelay(context, { greeting });
    const { verdict } = await mustFail(relayAt(relay.port, plain));
    assert.match(verdict.text, /red/);
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    assert.doesNotMatch(verdict.text, /[\u0000-\u001f]/);
  }
});

test("nodemailer's private fields are what the hand-over takes them for", async (context) => {
  const relay = await startRelay(context, {
    plain: { EHLO: '250-relay.example\n250-PIPELINING\n250 size 10' },
  });
  const connection = new SMTPConnection({ host: '127.0.0.1', port: relay.port, socketCloseTimeout: 0 });
  context.after(() => connection.close());
  await new Promise<void>((resolve, reject) => {
    connection.on('error', reject);
    connection.connect(() => resolve());
  });
  assert.deepEqual(ehloLinesOf(connection), ['PIPELINING', 'size 10']);
  assert.partialDeepStrictEqual(connection, { _remainder: '', _responseQueue: [], stage: 'connected' });
  takeSocket(connection).destroy();
});

test('fields that are not what they were stop the hand-over', async (context) => {
  const relay = await startRelay(context, {});
  const { socket } = await mustOpen(context, relayAt(relay.port, plain));
  const sound = { _socket: socket, _ehloLines: [], _remainder: '', _responseQueue: [] };
  assert.throws(() => ehloLinesOf({ ...sound, _ehloLines: undefined }), { reason: 'broken' });
  assert.throws(() => ehloLinesOf({ ...sound, _ehloLines: [1] }), { reason: 'broken' });
  assert.throws(() => takeSocket({ ...sound, _remainder: undefined }), { reason: 'broken' });
  assert.throws(() => takeSocket({ ...sound, _responseQueue: undefined }), { reason: 'broken' });
  assert.throws(() => takeSocket({ ...sound, _remainder: '250' }), { reason: 'unasked' });
  assert.throws(() => takeSocket({ ...sound, _responseQueue: ['250 x'] }), { reason: 'unasked' });
  assert.throws(() => takeSocket({ ...sound, _socket: false }), { reason: 'closed' });
  assert.equal(takeSocket(sound), socket);
});
