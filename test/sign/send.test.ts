// The whole program signs: keys from the configuration, messages at a sandbox relay, verified there.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import type { SandboxOptions } from '../../src/sandbox/options.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { emptyViolations } from '../../src/sandbox/violations.ts';
import type { DkimKey } from '../../src/sign/key.ts';
import { campaignYaml, Folder, makeList, summaryIn, type Ended } from '../cli/posthaste.ts';
import { skipUnlessDkimpy, verifyByDkimpy } from './dkimpy.ts';
import { makeEd25519Key, makeRsaKey, recordsOf } from './keys.ts';
import { verifyByMailauth } from './mailauth.ts';

const rsa = makeRsaKey('mail.example.com', 's1');
const ed25519 = makeEd25519Key('mail.example.com', 's2');
const records = recordsOf([rsa, ed25519]);

const bothYaml = `log: { level: trace }
dkim:
  - { domain: mail.example.com, selector: s1, key: { file: keys/rsa.pem } }
  - { domain: mail.example.com, selector: s2, key: { credential: dkim-ed25519 } }
`;

function filesOf(config: string): Record<string, string> {
  return {
    'posthaste.yaml': config,
    'campaign.yaml': campaignYaml,
    'list.csv': makeList(40),
    'keys/rsa.pem': rsa.privateKey,
    'credentials/dkim-ed25519': ed25519.privateKey,
  };
}

async function openRelay(context: TestContext, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({ keep: 'messages', inspect: true, ...options });
  context.after(() => sandbox.close());
  return sandbox;
}

function send(folder: Folder, sandbox: Sandbox): Promise<Ended> {
  const relay = `smtp://127.0.0.1:${sandbox.port}?maxConnections=3`;
  const args = ['send', 'campaign.yaml', 'list.csv', '--state', 'state', '--json', '--relay', relay];
  return folder.run([...args, '--results', 'out.csv'], {
    env: { CREDENTIALS_DIRECTORY: join(folder.path, 'credentials') },
  });
}

function messagesAt(sandbox: Sandbox): string[] {
  return sandbox.messages().map(({ data }) => data.toString('latin1'));
}

test('every message is signed by both keys, deferred ones again', async (context) => {
  const faults = [parseFault('rcpt 30% first: 451 4.7.1 busy')];
  const sandbox = await openRelay(context, { faults });
  const folder = new Folder(context, filesOf(bothYaml));
  const ended = await send(folder, sandbox);
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(summaryIn(ended).accepted, 40);
  assert.doesNotMatch(ended.stderr, /warning/);
  const messages = messagesAt(sandbox);
  assert.equal(messages.length, 40);
  for (const message of messages) {
    assert.match(message, /^DKIM-Signature: v=1; a=rsa-sha256;/);
    assert.deepEqual(await verifyByMailauth(message, records), ['pass', 'pass']);
    assert.deepEqual(await verifyByMailauth(message.replace('spring', 'autumn'), records), [
      'fail: bad signature',
      'fail: bad signature',
    ]);
  }
  assert.deepEqual(sandbox.stats().violations, emptyViolations());
});

test('what is sent verifies with dkimpy, too', { skip: skipUnlessDkimpy }, async (context) => {
  const sandbox = await openRelay(context);
  await send(new Folder(context, filesOf(bothYaml)), sandbox);
  const results = verifyByDkimpy(messagesAt(sandbox), records);
  assert.deepEqual(
    results,
    results.map(() => ['pass', 'pass']),
  );
  assert.equal(results.length, 40);
});

test('no part of a key is in what is printed, logged or stored', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, filesOf(bothYaml));
  const ended = await send(folder, sandbox);
  assert.equal(ended.code, 0, ended.stderr);
  const written = readAll(folder.path, (path) => !/^(?:keys|credentials)\//.test(path));
  assert.ok(written.has('state') || [...written.keys()].some((path) => path.startsWith('state/')));
  for (const [where, text] of [...written, ['stdout', ended.stdout], ['stderr', ended.stderr]] as const) {
    for (const part of [...partsOf(rsa), ...partsOf(ed25519)])
      assert.ok(!text.includes(part), `a part of a key is in ${where}`);
  }
});

/** Each line of a PEM, in pieces that nothing else has by chance. */
function partsOf({ privateKey }: DkimKey): string[] {
  const lines = privateKey.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
  return lines.flatMap((line) => line.match(/.{16}/g) ?? []).slice(2);
}

function readAll(folder: string, wanted: (path: string) => boolean): Map<string, string> {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const files = paths.filter((path) => wanted(path) && statSync(join(folder, path)).isFile());
  return new Map(files.map((path) => [path, readFileSync(join(folder, path), 'latin1')]));
}

test('the key of a domain above signs where the domain itself has none', async (context) => {
  const sandbox = await openRelay(context);
  const key = makeEd25519Key('example.com', 's3');
  const folder = new Folder(context, {
    ...filesOf('dkim: [{ domain: example.com, selector: s3, key: { file: keys/ed.pem } }]\n'),
    'keys/ed.pem': key.privateKey,
  });
  await send(folder, sandbox);
  const [message = ''] = messagesAt(sandbox);
  assert.deepEqual(await verifyByMailauth(message, recordsOf([key])), ['pass']);
});

test('a campaign from a domain that no key can align with is refused before anything is sent', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(
    context,
    filesOf('dkim: [{ domain: example.net, selector: s1, key: { file: keys/rsa.pem } }]\n'),
  );
  const ended = await send(folder, sandbox);
  assert.equal(ended.code, 65);
  assert.match(
    ended.stderr,
    /warning: campaign spring: its messages are not signed, for dkim has no key for mail\.example\.com or a domain above it\n/,
  );
  assert.match(ended.stdout, /ERR_CAMPAIGN_LINT/);
  assert.equal(messagesAt(sandbox).length, 0);
});

test('without any keys there is nothing to warn about', async (context) => {
  const sandbox = await openRelay(context);
  const ended = await send(new Folder(context, filesOf('log: { level: info }\n')), sandbox);
  assert.equal(ended.code, 0);
  assert.doesNotMatch(ended.stderr, /warning/);
  for (const message of messagesAt(sandbox)) assert.doesNotMatch(message, /DKIM-Signature/i);
});

test('a key that cannot sign stops the program before it sends anything', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { ...filesOf(bothYaml), 'keys/rsa.pem': 'not a key\n' });
  const ended = await send(folder, sandbox);
  assert.equal(ended.code, 78);
  assert.match(ended.stdout, /ERR_CONFIG_INVALID/);
  assert.match(ended.stderr, /posthaste\.yaml:3:\d+: dkim\[0\]\.key is not PEM; expected the private key/);
  assert.equal(sandbox.stats().connections, 0);
});

test('a weak key is warned about, and signs', async (context) => {
  const sandbox = await openRelay(context);
  const weak = makeRsaKey('mail.example.com', 's1', 1024);
  const folder = new Folder(context, {
    ...filesOf('dkim: [{ domain: mail.example.com, selector: s1, key: { file: keys/rsa.pem } }]\n'),
    'keys/rsa.pem': weak.privateKey,
  });
  const ended = await send(folder, sandbox);
  assert.match(
    ended.stderr,
    /warning: DKIM key s1\._domainkey\.mail\.example\.com: RSA of 1024 bits is weak/,
  );
  const [message = ''] = messagesAt(sandbox);
  assert.deepEqual(await verifyByMailauth(message, recordsOf([weak])), ['pass']);
});

test('the size of a message that the relay is told is that of the signed one', async (context) => {
  const unsigned = await openRelay(context);
  await send(new Folder(context, filesOf('log: { level: info }\n')), unsigned);
  const sizes = messagesAt(unsigned).map(({ length }) => length);
  const sandbox = await openRelay(context, { sizeLimitBytes: Math.max(...sizes) + 10 });
  const folder = new Folder(context, filesOf(bothYaml));
  const ended = await send(folder, sandbox);
  assert.equal(summaryIn(ended).rejected, 40);
  assert.match(folder.read('out.csv'), /the message has \d+ bytes, the relay takes \d+/);
  assert.equal(messagesAt(sandbox).length, 0);
});
