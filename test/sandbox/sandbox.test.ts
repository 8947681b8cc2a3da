// The sandbox on real sockets: TLS, time, ends, limits and counts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { makeCertificate } from '../../src/sandbox/certificate.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { dial, dialTls, startFor } from './wire.ts';

const transaction = 'MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nx\r\n.\r\n';

test('a session on a socket is counted and closed', async (t) => {
  const sandbox = await startFor(t, { keep: 'envelopes' });
  const wire = await dial(t, sandbox);
  await wire.until(/^220 .*\r\n/);
  assert.equal(sandbox.stats().openConnections, 1);
  await wire.ask('EHLO c\r\n');
  wire.socket.write(`${transaction}QUIT\r\n`);
  assert.match(await wire.untilClosed(), /^250 .*\r\n250 .*\r\n354 .*\r\n250 .*\r\n221 .*\r\n$/);
  const { accepted, connections, commands } = sandbox.stats();
  assert.deepEqual([accepted, connections, commands], [1, 1, 5]);
  assert.deepEqual(
    sandbox.messages().map((one) => [one.reversePath, one.data.length]),
    [['a@example.com', 0]],
  );
});

test('what is counted is a copy', async (t) => {
  const sandbox = await startFor(t);
  sandbox.stats().refused.rcpt += 1;
  assert.equal(sandbox.stats().refused.rcpt, 0);
});

test('STARTTLS makes a session that knows nothing of before, and offers AUTH', async (t) => {
  const options = {
    tls: 'starttls',
    auth: { user: 'u', pass: 'p', required: false },
    keep: 'messages',
  } as const;
  const sandbox = await startFor(t, options);
  const plain = await dial(t, sandbox);
  await plain.until(/^220 .*\r\n/);
  assert.match(await plain.ask('EHLO c\r\n'), /250 STARTTLS\r\n$/);
  await plain.ask('MAIL FROM:<early@example.com>\r\n');
  // The plain text that follows must not be obeyed inside TLS (RFC 3207 §6).
  assert.match(await plain.ask('STARTTLS\r\nEHLO injected\r\n'), /^220 /);
  plain.socket.removeAllListeners('data');
  const wire = await dialTls(t, sandbox, { socket: plain.socket });
  assert.match(await wire.ask('RCPT TO:<b@example.net>\r\n'), /^503 MAIL first/);
  assert.match(await wire.ask('MAIL FROM:<a@example.com>\r\n'), /^503 EHLO first/);
  const offer = await wire.ask('EHLO c\r\n');
  assert.match(offer, /AUTH PLAIN LOGIN/);
  assert.doesNotMatch(offer, /STARTTLS/);
  assert.match(await wire.ask(`AUTH PLAIN ${Buffer.from('\0u\0p').toString('base64')}\r\n`), /^235 /);
  wire.socket.write(`${transaction}QUIT\r\n`);
  await wire.untilClosed();
  const [message] = sandbox.messages();
  assert.deepEqual([message?.tls, message?.user, message?.data.toString()], [true, 'u', 'x\r\n']);
});

test('implicit TLS greets inside TLS, and a big message comes through', async (t) => {
  const sandbox = await startFor(t, { tls: 'implicit', keep: 'messages' });
  const wire = await dialTls(t, sandbox);
  await wire.until(/^220 .*\r\n/);
  await wire.ask('EHLO c\r\n');
  const content = `${'y'.repeat(998)}\r\n`.repeat(2000);
  wire.socket.write(`MAIL FROM:<>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n${content}.\r\nQUIT\r\n`);
  await wire.untilClosed();
  assert.equal(sandbox.messages()[0]?.data.toString(), content);
});

test('a client that does not trust the certificate, or finds another name or date on it, fails', async (t) => {
  const sandbox = await startFor(t, { tls: 'implicit' });
  await assert.rejects(dialTls(t, sandbox, { ca: [] }), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  const wrong = await startFor(t, {
    tls: 'implicit',
    certificate: makeCertificate({ names: ['other.example'] }),
  });
  await assert.rejects(dialTls(t, wrong), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  const past = { notBeforeAt: 0, notAfterAt: 86_400_000 };
  const expired = await startFor(t, { tls: 'implicit', certificate: makeCertificate(past) });
  await assert.rejects(dialTls(t, expired), { code: 'CERT_HAS_EXPIRED' });
});

test('a client that speaks plain text where TLS is expected does no harm', async (t) => {
  const sandbox = await startFor(t, { tls: 'implicit' });
  const wire = await dial(t, sandbox);
  wire.socket.write('EHLO c\r\n');
  await wire.untilClosed();
  await dialTls(t, sandbox);
});

test('a drop closes the connection after the replies before it', async (t) => {
  const sandbox = await startFor(t, { faults: [parseFault('end: drop-after-taken')] });
  const wire = await dial(t, sandbox);
  wire.socket.write(`EHLO c\r\n${transaction}`);
  assert.match(await wire.untilClosed(), /\r\n354 .*\r\n$/);
  const { taken, accepted, dropped } = sandbox.stats();
  assert.deepEqual([taken, accepted, dropped], [1, 0, 1]);
});

test('a drop cuts TLS as well', async (t) => {
  const sandbox = await startFor(t, { tls: 'implicit', faults: [parseFault('mail: drop')] });
  const wire = await dialTls(t, sandbox);
  wire.socket.write(`EHLO c\r\n${transaction}`);
  assert.match(await wire.untilClosed(), /250 REQUIRETLS\r\n$/);
});

test('latency delays replies together, not one after another', async (t) => {
  const latencyMs = 60;
  const sandbox = await startFor(t, { latencyMs });
  const startedAt = performance.now();
  const wire = await dial(t, sandbox);
  await wire.until(/^220 .*\r\n/);
  await wire.ask('EHLO c\r\n');
  for (let count = 0; count < 20; count += 1) {
    wire.socket.write(transaction);
    // Separate segments, so that the sandbox sees more than one chunk.
    await new Promise((resolve) => setImmediate(resolve));
  }
  wire.socket.write('QUIT\r\n');
  const replies = await wire.untilClosed();
  const elapsedMs = performance.now() - startedAt;
  assert.equal(replies.match(/^250 2\.0\.0 Taken as 1\.\d+\r$/gm)?.length, 20);
  assert.match(replies, /Taken as 1\.20\r\n221 .*\r\n$/);
  // Three round trips: greeting, EHLO, all the rest. One after another it would be over eighty.
  assert.ok(elapsedMs >= 3 * latencyMs - 3 && elapsedMs < 20 * latencyMs, `${elapsedMs} ms`);
});

test('a delay stalls its session only, and input that comes meanwhile is not lost', async (t) => {
  const sandbox = await startFor(t, { faults: [parseFault('rcpt slow@*: delay 150ms')] });
  const slow = await dial(t, sandbox);
  const quick = await dial(t, sandbox);
  await slow.until(/^220 .*\r\n/);
  const startedAt = performance.now();
  slow.socket.write('EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<slow@example.net>\r\nDATA\r\nx');
  await slow.until(/Sender ok\r\n/);
  slow.socket.write('\r\n.\r\nQUIT\r\n');
  quick.socket.write(`EHLO c\r\n${transaction}`);
  await quick.until(/Taken as 2\.1\r\n/);
  assert.equal(slow.received, '');
  assert.match(await slow.untilClosed(), /^250 .*\r\n354 .*\r\n250 2\.0\.0 Taken as 1\.1\r\n221 .*\r\n$/);
  assert.ok(performance.now() - startedAt >= 149);
});

test('a silenced session stays open and says nothing', async (t) => {
  const sandbox = await startFor(t, { faults: [parseFault('greeting: silence')] });
  const wire = await dial(t, sandbox);
  wire.socket.write('EHLO c\r\n');
  const other = await dial(t, sandbox);
  other.socket.end();
  await other.untilClosed();
  assert.equal(wire.received, '');
  assert.equal(sandbox.stats().openConnections, 1);
});

test('too many connections are refused as long as they are too many', async (t) => {
  const sandbox = await startFor(t, { faults: [parseFault('connect over 1 sessions: 421 4.7.0 too many')] });
  const first = await dial(t, sandbox);
  await first.until(/^220 .*\r\n/);
  const second = await dial(t, sandbox);
  assert.equal(await second.untilClosed(), '421 4.7.0 too many\r\n');
  await first.ask('QUIT\r\n');
  await first.untilClosed();
  while (sandbox.stats().openConnections > 0) await new Promise((resolve) => setImmediate(resolve));
  await (await dial(t, sandbox)).until(/^220 .*\r\n/);
});

test('a client that does not read its replies is not read either', async (t) => {
  const sandbox = await startFor(t);
  const socket = connect({ host: sandbox.host, port: sandbox.port });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  const batches = 60;
  const help = Buffer.from('HELP\r\n'.repeat(20_000));
  for (let count = 0; count < batches; count += 1) {
    socket.write(help);
    await new Promise((resolve) => setImmediate(resolve));
  }
  // What the system's buffers hold of the replies is all that may have been read for.
  const written = batches * help.length;
  assert.ok(
    sandbox.stats().receivedBytes < written / 2,
    `${sandbox.stats().receivedBytes} of ${written} bytes read`,
  );
  socket.resume();
  socket.end('QUIT\r\n');
  await once(socket, 'close');
  assert.equal(sandbox.stats().commands, batches * 20_000 + 1);
});

test('close cuts everything: open sessions, handshakes, delays and latencies', async (t) => {
  const faults = [parseFault('mail: delay 1h')];
  for (const options of [{ faults }, { latencyMs: 60_000 }, { tls: 'implicit' as const }]) {
    const sandbox = await startSandbox(options);
    const wire = await dial(t, sandbox);
    wire.socket.write('EHLO c\r\nMAIL FROM:<>\r\n');
    while (sandbox.stats().openConnections === 0) await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([sandbox.close(), wire.untilClosed()]);
    assert.equal(sandbox.stats().openConnections, 0);
  }
  await new Promise((resolve) => setImmediate(resolve));
  const left = process.getActiveResourcesInfo().filter((one) => /TCP|TLS|Timeout/.test(one));
  assert.deepEqual(left, []);
});

test('an address that cannot be had is an error of ours', async (t) => {
  const sandbox = await startFor(t);
  await assert.rejects(startSandbox({ port: sandbox.port }), {
    code: 'ERR_SANDBOX_LISTEN',
    message: /cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\)/,
    exitCode: 69,
  });
  await assert.rejects(startSandbox({ port: 70_000 }), { code: 'ERR_SANDBOX_LISTEN' });
});

test('a certificate that is none is an error of ours', async () => {
  const certificate = { key: 'x', cert: 'y' };
  await assert.rejects(startSandbox({ tls: 'implicit', certificate }), {
    code: 'ERR_SANDBOX_CERTIFICATE',
    exitCode: 78,
  });
});
