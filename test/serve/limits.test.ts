// Limits of bytes and of new sessions, changed while a daemon sends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { campaignYaml, makeList } from '../cli/posthaste.ts';
import { assertEachOnce, isFinished, openServing, type Serving } from './serving.ts';

function changeRelay({ folder, sandbox }: Serving, relay: string): void {
  folder.write(
    'posthaste.yaml',
    `state: state\nthreads: 2\nrelays:\n  primary: { host: 127.0.0.1, port: ${sandbox.port}, tls: none, ${relay} }\n`,
  );
}

test('status says which limit of bytes binds; set and taken back, it holds at once', async (context) => {
  const serving = await openServing(context, 600, { sandbox: { keep: 'messages' } });
  changeRelay(serving, 'maxConnections: 5, bytes: 20kB/s');
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(({ binds }) => binds === 'relay primary bytes 20kB/s');
  assert.match((await serving.run(['rate', 'spring', '8kB/s'])).stderr, /spring: sending, bytes 8kB\/s/);
  await serving.until(({ binds }) => binds === 'campaign spring bytes 8kB/s');
  const from = Date.now() + 500;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const bytes = serving.sandbox
    .messages()
    .filter(({ receivedAt }) => receivedAt >= from && receivedAt < from + 950)
    .reduce((sum, { data }) => sum + data.length, 0);
  assert.ok(bytes > 4000 && bytes <= 8000, `${bytes}`);
  assert.equal((await serving.show()).bytes, '8kB/s');
  await serving.ok(['rate', 'spring', 'none']);
  assert.equal((await serving.show()).bytes, undefined);
  changeRelay(serving, 'maxConnections: 5');
  await serving.ok(['reload']);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 600);
  assert.equal((await serving.stop()).code, 0);
});

test('status says when new sessions are what binds; raised, the limit holds no longer', async (context) => {
  const serving = await openServing(context, 300);
  changeRelay(serving, 'maxConnections: 5, maxMessages: 1, connectionRate: 5/s');
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(({ binds }) => binds === 'relay primary connectionRate 5/s');
  changeRelay(serving, 'maxConnections: 5, maxMessages: 1, connectionRate: 1000/s');
  await serving.ok(['reload']);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 300);
  assert.equal((await serving.stop()).code, 0);
});

test('paused while messages wait for bytes, nobody is lost and nobody gets it twice', async (context) => {
  const serving = await openServing(context, 100);
  changeRelay(serving, 'maxConnections: 5, bytes: 20kB/s');
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  for (let turn = 0; turn < 5; turn += 1) {
    await serving.until(({ binds }) => binds === 'relay primary bytes 20kB/s');
    await serving.ok(['pause', 'spring']);
    await serving.ok(['resume', 'spring']);
  }
  assert.equal((await serving.stop()).code, 0);
  changeRelay(serving, 'maxConnections: 5, bytes: 1MB/s');
  await serving.start();
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 100);
  assert.match(await serving.ok(['audit', 'spring']), /it adds up/);
  assert.equal((await serving.stop()).code, 0);
});

test('a From domain is warmed up, over a restart, too, and campaigns from another one are not held', async (context) => {
  const serving = await openServing(context, 200);
  const today = new Date().toISOString().slice(0, 10);
  const config = serving.folder.read('posthaste.yaml');
  const warmUp = (volume: number): string =>
    `${config}fromDomains:\n  mail.example.com: { warmUp: { start: "${today}", volumes: [${volume}, 100000] } }\n`;
  serving.folder.write('posthaste.yaml', warmUp(40));
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(
    ({ binds }) => binds?.startsWith('from mail.example.com warm-up, day 1: 40 until') === true,
  );
  assert.equal(serving.sandbox.stats().taken, 40);
  await serving.submit(
    campaignYaml.replace('spring', 'other').replace('@mail.example.com', '@other.example'),
    makeList(60, 1001),
  );
  await serving.until(isFinished, 'other');
  assert.equal((await serving.stop()).code, 0);
  await serving.start();
  await serving.until(({ binds }) => binds?.startsWith('from mail.example.com warm-up') === true);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(serving.sandbox.stats().taken, 100);
  serving.folder.write('posthaste.yaml', warmUp(5000));
  await serving.ok(['reload']);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 260);
  assert.equal((await serving.stop()).code, 0);
});
