// posthaste sandbox as a command: what it prints, writes and refuses.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Folder } from './posthaste.ts';

test('--certificate writes the certificate to trust; --extensions says what EHLO offers; the counts come last', async (context) => {
  const folder = new Folder(context);
  const args = ['sandbox', '--port', '0', '--tls', 'starttls', '--certificate', 'ca.pem', '--json'];
  const running = folder.start([...args, '--extensions', 'SIZE']);
  await running.said(/"listening".*\n/);
  const { port, certificate } = JSON.parse(running.text());
  assert.equal(folder.read('ca.pem'), certificate);
  assert.equal(new X509Certificate(certificate).checkHost('localhost'), 'localhost');
  const socket = connect(port, '127.0.0.1').setEncoding('latin1');
  context.after(() => socket.destroy());
  socket.write('EHLO c\r\nFROB\r\nQUIT\r\n');
  let said = '';
  socket.on('data', (text: string) => {
    said += text;
  });
  await once(socket, 'close');
  assert.match(said, /\r\n250-SIZE 26214400\r\n250 STARTTLS\r\n/);
  running.child.kill('SIGTERM');
  const { code, stdout } = await running.ended;
  const stats = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  assert.deepEqual([code, stats.type, stats.violations.notOffered], [0, 'stats', 1]);
});

test('without --json the certificate goes to stdout, and the violations are told at the end', async (context) => {
  const running = new Folder(context).start(['sandbox', '--port', '0', '--tls', 'implicit']);
  await running.said(/END CERTIFICATE/);
  running.child.kill('SIGINT');
  const { code, stdout, stderr } = await running.ended;
  assert.equal(code, 0);
  assert.match(stdout, /^-----BEGIN CERTIFICATE-----\n[^]*-----END CERTIFICATE-----\n$/);
  assert.match(stderr, /took 0 messages over 0 connections; violations: none/);
});

const refused: readonly (readonly [readonly string[], number, RegExp])[] = [
  [['--latency', '60001'], 64, /at most 60000/],
  [['--extensions', 'PIPELINE'], 64, /ERR_SANDBOX_EXTENSION|expected some of/],
  [['--certificate', 'ca.pem'], 64, /--tls is none/],
  [['--tls', 'starttls', '--certificate', 'no/such/folder/ca.pem'], 74, /ENOENT/],
  [['--tls', 'starttls', '--certificate-flaw', 'ugly'], 64, /wrong-name or expired/],
  [['--fault', 'rcpt: often'], 64, /lose-rest/],
];

for (const [args, expected, said] of refused) {
  test(`sandbox ${args.join(' ')} ends with ${expected}`, async (context) => {
    const { code, stderr } = await new Folder(context).start(['sandbox', '--port', '0', ...args]).ended;
    assert.equal(code, expected, stderr);
    assert.match(stderr, said);
  });
}
