// Clients that are not ours: nodemailer, and Postfix's smtp-source.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import type { SandboxSecurity } from '../../src/sandbox/options.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import { startFor } from './wire.ts';

const auth = { user: 'ünser', pass: 'pass word' };
const mail = {
  from: 'a@example.com',
  to: ['b@example.net', 'c@example.org'],
  subject: 'Grüße',
  text: 'x\n.\n..y\n',
};

for (const tls of ['none', 'starttls', 'implicit'] satisfies SandboxSecurity[]) {
  for (const method of ['PLAIN', 'LOGIN'] as const) {
    test(`nodemailer delivers with TLS ${tls} and AUTH ${method}`, async (t) => {
      const sandbox = await startFor(t, { tls, auth: { ...auth, methods: [method] }, keep: 'messages' });
      const transport = createTransport({
        host: 'localhost',
        port: sandbox.port,
        secure: tls === 'implicit',
        requireTLS: tls === 'starttls',
        auth,
        ...(sandbox.certificate === undefined ? {} : { tls: { ca: sandbox.certificate } }),
      });
      t.after(() => transport.close());
      const sent = await transport.sendMail(mail);
      assert.deepEqual(sent.rejected, []);
      const [message] = sandbox.messages();
      assert.deepEqual(message?.recipients, mail.to);
      assert.deepEqual([message?.user, message?.tls], [auth.user, tls !== 'none']);
      assert.match(message?.data.toString() ?? '', /^Subject: =\?UTF-8\?[^]*\r\n\r\nx\r\n\.\r\n\.\.y\r\n$/m);
    });
  }
}

test('nodemailer understands refusals', async (t) => {
  const faults = [parseFault('rcpt c@*: 550 5.1.1 no such user'), parseFault('end every 2: 451 4.3.0 later')];
  const sandbox = await startFor(t, { faults });
  const transport = createTransport({ host: 'localhost', port: sandbox.port });
  t.after(() => transport.close());
  const sent = await transport.sendMail(mail);
  assert.deepEqual([sent.accepted, sent.rejected], [['b@example.net'], ['c@example.org']]);
  await assert.rejects(transport.sendMail(mail), { responseCode: 451 });
  const { accepted, refused } = sandbox.stats();
  assert.deepEqual([accepted, refused.rcpt, refused.end], [1, 2, 1]);
});

test('nodemailer is told of wrong credentials', async (t) => {
  const sandbox = await startFor(t, { auth });
  const transport = createTransport({
    host: 'localhost',
    port: sandbox.port,
    auth: { user: 'u', pass: 'p' },
  });
  t.after(() => transport.close());
  await assert.rejects(transport.verify(), { code: 'EAUTH', responseCode: 535 });
});

const skip = skipUnlessInstalled('smtp-source');

test('2,000 messages of smtp-source are counted right', { skip, timeout: 60_000 }, async (t) => {
  const sandbox = await startFor(t);
  const options = ['-d', '-s', '20', '-m', '2000', '-l', '2000', '-r', '2', `127.0.0.1:${sandbox.port}`];
  // Debian keeps it where the PATH of a plain user does not look.
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` };
  await promisify(execFile)('smtp-source', options, { env });
  const { accepted, taken, recipients, connections, openConnections } = sandbox.stats();
  assert.deepEqual([accepted, taken, recipients], [2000, 2000, 4000]);
  assert.ok(connections <= 20 && openConnections <= connections);
});
