// The daemon in trouble: a disk that is full, a relay that is away, credentials that are wrong, a configuration that is bad.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import * as answers from '../../src/control/answers.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, makeList } from '../cli/posthaste.ts';
import { mountSmall } from '../crash/small_disk.ts';
import { assertEachOnce, isFinished, openServing } from './serving.ts';

async function healthOf(daemon: { text(): string }): Promise<string> {
  const [, url = ''] = /metrics on (\S+)\/metrics/.exec(daemon.text()) ?? [];
  const answer = await fetch(`${url}/healthz`);
  return `${answer.status} ${(await answer.text()).trim()}`;
}

async function untilHealth(daemon: { text(): string }, expected: RegExp): Promise<void> {
  for (let tries = 0; tries < 1500; tries += 1) {
    if (expected.test(await healthOf(daemon))) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`${await healthOf(daemon)}\n${daemon.text()}`);
}

test('on a full disk sending stops, health says why, and on space it goes on by itself', async (context) => {
  const disk = mountSmall(context, 3000);
  if (disk === undefined) return context.skip('this machine does not allow mounting a tmpfs');
  const serving = await openServing(context, 4000, {
    state: join(disk.path, 'state'),
    relay: 'maxConnections: 5, rate: 1000/s',
    config: `metrics: { listen: 0 }\nevents: { directory: ${join(disk.path, 'events')} }\n`,
  });
  const daemon = await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(({ pending, rows }) => rows === 4000 && pending < 3800);
  const ballast = join(disk.path, 'ballast');
  spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k']);
  await untilHealth(daemon, /^503 .*(full|no space)/is);
  const atTrouble = serving.sandbox.stats().taken;
  await assert.rejects(serving.call({ method: 'GET', path: '/v1/campaigns' }), {
    code: 'ERR_DAEMON_TROUBLE',
    exitCode: 75,
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(serving.sandbox.stats().taken, atTrouble, 'nothing is sent that cannot be recorded');
  assert.ok(atTrouble < 4000);
  rmSync(ballast);
  disk.resize(65_536);
  await untilHealth(daemon, /^200/);
  await serving.until(isFinished);
  assert.match(await serving.ok(['audit', 'spring']), /it adds up/);
  const taken = serving.taken();
  assert.equal(taken.size, 4000);
  for (const [address, times] of taken)
    if (times > 1) assert.ok(daemon.text().includes(address), `${address} got it twice and was not named`);
  assert.equal((await serving.stop()).code, 0);
});

test('on a disk that is full before a list is stored its campaign waits, and goes on by itself', async (context) => {
  const disk = mountSmall(context, 3000);
  if (disk === undefined) return context.skip('this machine does not allow mounting a tmpfs');
  const serving = await openServing(context, 20_000, {
    state: join(disk.path, 'state'),
    config: `metrics: { listen: 0 }\nevents: { directory: ${join(disk.path, 'events')} }\n`,
  });
  const daemon = await serving.start();
  await serving.ok(['relays', '--pause', 'primary']);
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await untilHealth(daemon, /^503 .*(full|no space)/is);
  disk.resize(65_536);
  await serving.until(({ rows }) => rows === 20_000);
  await serving.ok(['relays', '--resume', 'primary']);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 20_000);
  assert.equal((await serving.stop()).code, 0);
});

test('a relay that is away is waited for, and a campaign that it cannot carry fails alone and can be mended', async (context) => {
  const serving = await openServing(context, 50);
  const { port } = serving.sandbox;
  await serving.sandbox.close();
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  // More refusals than `send` would take from a relay that it never met.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const { relays } = answers.relays.parse(JSON.parse(await serving.ok(['relays', '--json'])));
  assert.deepEqual([relays[0]?.state, (await serving.show()).state], ['stopped', 'waiting']);
  const sandbox = await startSandbox({ port, keep: 'envelopes' });
  context.after(() => sandbox.close());
  serving.folder.write('campaign.yaml', `${campaignYaml.replace('spring', 'strict')}requireTls: true\n`);
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  const failed = await serving.until(({ state }) => state === 'failed', 'strict');
  assert.match(failed.reason ?? '', /REQUIRETLS/);
  assert.equal(sandbox.stats().taken, 50);
  await serving.ok(['resume', 'strict']);
  await serving.until(({ state }) => state === 'failed', 'strict');
  assert.equal((await serving.stop()).code, 0);
});

test('a relay is paused and resumed, and with another one its batches move on', async (context) => {
  const serving = await openServing(context, 1000);
  const config = serving.folder.read('posthaste.yaml');
  const line = config.split('\n').find((one) => one.includes('primary:')) ?? '';
  serving.folder.write(
    'posthaste.yaml',
    config.replace(line, `${line}\n${line.replace('primary', 'spare')}`),
  );
  const relays = 'relays: [{ name: primary, weight: 3 }, { name: spare, spare: true }]\n';
  serving.folder.write('campaign.yaml', `${campaignYaml}${relays}`);
  await serving.start();
  await serving.ok(['relays', '--pause', 'primary']);
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 1000);
  const byRelay = new Set(
    (await serving.ok(['results', 'spring']))
      .trimEnd()
      .split('\r\n')
      .slice(1)
      .map((row) => /,(primary|spare),/.exec(row)?.[1]),
  );
  assert.deepEqual([...byRelay], ['spare']);
  const { relays: shown } = answers.relays.parse(JSON.parse(await serving.ok(['relays', '--json'])));
  assert.deepEqual(
    shown.map(({ name, state }) => `${name} ${state}`),
    ['primary paused', 'spare up'],
  );
  assert.equal((await serving.stop()).code, 0);
  await serving.start();
  assert.match(await serving.ok(['relays']), /primary +paused/, 'over a restart, too');
  await serving.ok(['relays', '--resume', 'primary']);
  assert.match(await serving.ok(['relays']), /primary +up/);
  assert.equal((await serving.stop()).code, 0);
});

test('reload takes new limits without dropping a session, and a bad file changes nothing and says why', async (context) => {
  const serving = await openServing(context, 3000, {
    relay: 'maxConnections: 3, maxMessages: 100000, rate: 50/s',
  });
  const daemon = await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(({ pending, rows }) => rows === 3000 && pending < 2950);
  const { connections } = serving.sandbox.stats();
  const good = serving.folder.read('posthaste.yaml');
  serving.folder.write('posthaste.yaml', good.replace('rate: 50/s', 'rate: fast'));
  const bad = await serving.run(['reload']);
  assert.equal(bad.code, 78);
  assert.match(bad.stderr, /relays\.primary\.rate .*expected a rate/);
  serving.folder.write('posthaste.yaml', good.replace('rate: 50/s', 'rate: 5000/s'));
  assert.match((await serving.run(['reload', '--dry-run'])).stderr, /would change: relays\.primary/);
  daemon.child.kill('SIGHUP');
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 3000);
  assert.equal(serving.sandbox.stats().connections, connections, 'the same sessions');
  assert.equal((await serving.stop()).code, 0);
});

test('a relay that is changed by a reload finishes what it has, however slow it is, and nobody is in doubt', async (context) => {
  const slow = 'end 5%: delay 4s';
  const serving = await openServing(context, 100, {
    sandbox: { faults: [parseFault(slow)] },
    relay: 'maxConnections: 5, maxMessages: 1000',
  });
  const daemon = await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  while (serving.sandbox.stats().commands < 60) await new Promise((resolve) => setTimeout(resolve, 10));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const config = serving.folder.read('posthaste.yaml');
  serving.folder.write('posthaste.yaml', config.replace('maxMessages: 1000', 'maxMessages: 900'));
  await serving.ok(['reload']);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 100);
  assert.equal((await serving.stop()).code, 0);
  assert.doesNotMatch(daemon.text(), /in doubt/);
});

test('slow campaigns, more of them than there are hands, keep no free one waiting', async (context) => {
  const serving = await openServing(context, 2000);
  await serving.start();
  const slow = Array.from({ length: 70 }, (_, index) => `slow-${index}`);
  for (const name of slow) {
    const campaign = `${campaignYaml.replace('spring', name)}rate: 1/h\n`;
    await serving.submit(campaign, makeList(500, 10_001));
  }
  for (const name of slow) await serving.until(({ tally }) => Object.keys(tally).length > 0, name);
  const begunAt = performance.now();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  assert.ok(performance.now() - begunAt < 20_000, 'a free one waits for no slow one');
  const { binds } = await serving.show('slow-7');
  assert.match(binds ?? '', /campaign slow-7 1\/h/);
  assert.equal((await serving.stop()).code, 0);
});

test('reload takes a DKIM key, a campaign goes on signed, and the log level', async (context) => {
  const serving = await openServing(context, 400, {
    sandbox: { keep: 'messages' },
    relay: 'maxConnections: 2, rate: 100/s',
  });
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  serving.folder.write('dkim.pem', pem.toString());
  const daemon = await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  while (serving.sandbox.stats().taken < 20) await new Promise((again) => setTimeout(again, 10));
  assert.ok(!daemon.text().includes('"msg":"batchSettled"'));
  const more =
    'log: { level: debug }\ndkim: [{ domain: mail.example.com, selector: s1, key: { file: dkim.pem } }]\n';
  serving.folder.write('posthaste.yaml', `${serving.folder.read('posthaste.yaml')}${more}`);
  assert.match((await serving.run(['reload'])).stderr, /changed: logLevel, dkim/);
  await serving.until(isFinished);
  const signed = serving.sandbox.messages().map(({ data }) => data.includes('DKIM-Signature:'));
  assert.deepEqual([signed[0], signed.at(-1)], [false, true]);
  assert.ok(daemon.text().includes('"msg":"batchSettled"'));
  assertEachOnce(serving.taken(), 400);
  assert.equal((await serving.stop()).code, 0);
});

test('a relay that comes with a reload is used, and one that goes is not', async (context) => {
  const serving = await openServing(context, 300);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  const config = serving.folder.read('posthaste.yaml');
  serving.folder.write('posthaste.yaml', config.replace('primary:', 'second:'));
  await serving.ok(['reload']);
  serving.folder.write('campaign.yaml', `${campaignYaml.replace('spring', 'later')}relay: second\n`);
  serving.folder.write('later.csv', makeList(200, 301));
  await serving.ok(['submit', 'campaign.yaml', 'later.csv', '--as', 'later']);
  await serving.until(isFinished, 'later');
  assertEachOnce(serving.taken(), 500);
  assert.match(await serving.ok(['why', 'reader400@example.com']), /by second/);
  assert.equal((await serving.stop()).code, 0);
});

/** Every file below a folder, as one text. */
function readAll(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n');
}

test('no secret is in a log, an answer, a metric, an event, the ledger, a title or a stack', async (context) => {
  const canaries = { PASSWORD: 'canary-password-of-nobody', API_TOKEN: 'canary-token-of-nobody-at-all' };
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const serving = await openServing(context, 30, {
    sandbox: {
      tls: 'starttls',
      auth: { user: 'canary', pass: canaries.PASSWORD },
      // A relay that repeats what it was told.
      faults: [parseFault(`rcpt 30%: 550 5.7.1 not with ${canaries.PASSWORD}`)],
    },
    env: canaries,
  });
  serving.folder.write('ca.pem', serving.sandbox.certificate ?? '');
  serving.folder.write('dkim.pem', pem);
  const relay = `{ host: 127.0.0.1, port: ${serving.sandbox.port}, tls: { ca: { file: ca.pem } }, auth: { user: canary, pass: { env: PASSWORD } } }`;
  serving.folder.write(
    'posthaste.yaml',
    `state: state
relays: { primary: ${relay} }
dkim: [{ domain: mail.example.com, selector: s1, key: { file: dkim.pem } }]
log: { level: trace }
metrics: { listen: 0 }
events: { recipients: true }
control: { listen: 0, token: { env: API_TOKEN } }
`,
  );
  const daemon = await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  assert.ok(serving.sandbox.stats().taken > 0);
  const title = readFileSync(`/proc/${daemon.child.pid}/cmdline`, 'utf8');
  const [, url = ''] = /metrics on (\S+)\/metrics/.exec(daemon.text()) ?? [];
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const shown = [
    title,
    metrics,
    await serving.ok(['status', '--json']),
    await serving.ok(['relays', '--json']),
    await serving.ok(['results', 'spring']),
    await serving.ok(['events']),
    (await serving.run(['reload', '--dry-run', '--json'])).stdout,
  ];
  assert.equal((await serving.stop()).code, 0);
  const texts = [...shown, readAll(join(serving.folder.path, 'state')), daemon.text()];
  const [, keyLine = ''] = pem.split('\n');
  const plain = Buffer.from(`\u0000canary\u0000${canaries.PASSWORD}`).toString('base64');
  for (const secret of [...Object.values(canaries), keyLine, plain])
    for (const [index, text] of texts.entries())
      assert.ok(!text.includes(secret), `text ${index} has ${secret}`);
});
