// posthaste status, and results by name: what can be known of campaigns, by the real program.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, Folder, makeList } from './posthaste.ts';

const state = ['--state', 'state'];

test('status shows every campaign with its sums, and makes no state directory', async (context) => {
  const sandbox = await startSandbox();
  context.after(() => sandbox.close());
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(30) });
  const send = ['send', 'campaign.yaml', 'list.csv', ...state, '--relay', `smtp://127.0.0.1:${sandbox.port}`];
  await folder.run(send);
  folder.write('campaign.yaml', campaignYaml.replace('name: spring', 'name: summer'));
  folder.write('list.csv', `${makeList(10)}nobody,X\n`);
  await folder.run(send);
  const table = await folder.run(['status', ...state]);
  assert.equal(table.code, 0, table.stderr);
  const [header = '', spring = '', summer = ''] = table.stdout.split('\n');
  assert.match(header, /^campaign +state +rows +accepted +invalid +pending +next due +started +finished$/);
  assert.match(spring, /^spring +finished +30 +30 +0 +0 +- +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +\d{4}-/);
  assert.match(summer, /^summer +finished +11 +10 +1 +0 +- /);
  const one = await folder.run(['status', 'campaign.yaml', '--json', ...state]);
  const { campaigns } = JSON.parse(one.stdout);
  assert.equal(campaigns.length, 1);
  const { startedAt, finishedAt, ...rest } = campaigns[0];
  assert.ok(Date.parse(startedAt) <= Date.parse(finishedAt));
  assert.deepEqual(
    [
      rest.name,
      rest.state,
      rest.running,
      rest.rows,
      rest.accepted,
      rest.invalid,
      rest.pending,
      rest.nextDueAt,
    ],
    ['summer', 'finished', false, 11, 10, 1, 0, null],
  );
  const unknown = await folder.run(['status', 'autumn', ...state]);
  assert.deepEqual([unknown.code, /It has: spring, summer/.test(unknown.stderr)], [66, true]);
  const nothing = await folder.run(['status', '--state', 'elsewhere']);
  assert.deepEqual([nothing.code, existsSync(join(folder.path, 'elsewhere'))], [0, false]);
  assert.match(nothing.stdout, /^no campaign in .*elsewhere yet/);
});

test('while a send has the state directory, status, compact and retry say so and end with 75', async (context) => {
  const sandbox = await startSandbox({ keep: 'envelopes', latencyMs: 200 });
  context.after(() => sandbox.close());
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(5000) });
  const relay = ['--relay', `smtp://127.0.0.1:${sandbox.port}?maxConnections=1`];
  const running = folder.start(['send', 'campaign.yaml', 'list.csv', ...state, ...relay]);
  while (sandbox.messages().length === 0 && running.child.exitCode === null) await delay(5);
  for (const args of [['status'], ['compact'], ['retry', 'campaign.yaml', '--only', 'rejected', ...relay]]) {
    const ended = await folder.run([...args, ...state]);
    assert.deepEqual([ended.code, /ledger\.db is in use/.test(ended.stderr)], [75, true], ended.stderr);
  }
  assert.equal(running.child.exitCode, null, 'nobody took the lock away');
  running.child.kill('SIGKILL');
  await running.ended;
});

test('results by name have what the ledger knows; by the file they have message IDs and variants, too', async (context) => {
  const sandbox = await startSandbox();
  context.after(() => sandbox.close());
  const variants = 'variants:\n  - { name: a, share: 1 }\n  - { name: b, share: 1, subject: B }\n';
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml + variants, 'list.csv': makeList(6) });
  const relay = `smtp://127.0.0.1:${sandbox.port}`;
  await folder.run(['send', 'campaign.yaml', 'list.csv', ...state, '--relay', relay]);
  const header = async (named: string): Promise<string> =>
    (await folder.run(['results', named, ...state])).stdout.split('\r\n')[0] ?? '';
  const known = 'email,first_name,status,reply_code,enhanced_status,reply,classification,relay,attempts';
  assert.equal(await header('spring'), `${known},finished_at`);
  assert.equal(await header('campaign.yaml'), `${known},message_id,finished_at,variant`);
  const rows = (await folder.run(['results', 'campaign.yaml', ...state])).stdout;
  assert.match(rows, /^reader1@example\.com,.*,<[^>]+@mail\.example\.com>,.*,[ab]\r$/m);
  await folder.run(['results', 'spring', '--output', 'out.ndjson', ...state]);
  const [line = ''] = folder.read('out.ndjson').split('\n');
  assert.deepEqual(
    Object.keys(JSON.parse(line)).filter((key) => /message_id|variant/.test(key)),
    [],
  );
});

test('looking for a campaign where there is no ledger ends with 66, and makes no state directory', async (context) => {
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml });
  const relay = ['--relay', 'smtp://127.0.0.1:9'];
  const retry = ['retry', 'campaign.yaml', '--only', 'rejected'];
  const looks = [
    ['audit', 'spring'],
    ['results', 'spring'],
    ['status', 'spring'],
    ['compact'],
    [...retry, '--dry-run'],
    [...retry, ...relay],
  ];
  for (const args of looks) {
    const ended = await folder.run([...args, '--state', 'elsewhere']);
    assert.deepEqual([ended.code, existsSync(join(folder.path, 'elsewhere'))], [66, false], ended.stderr);
    assert.match(ended.stderr, /there is no ledger in .*elsewhere\n {2}\S/);
  }
});

test('what no path can be is looked for as a name', async (context) => {
  const folder = new Folder(context);
  folder.write('state/ledger.db', '');
  const ended = await folder.run(['audit', 'a'.repeat(300), ...state]);
  assert.equal(ended.code, 66, ended.stderr);
});
