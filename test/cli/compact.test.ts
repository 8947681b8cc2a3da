// posthaste compact and keep, by the real program: rows go, records stay.
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { campaignYaml, Folder, makeList, summaryIn } from './posthaste.ts';

const state = ['--state', 'state'];

async function sendSpring(
  context: TestContext,
  rows: number,
): Promise<{ folder: Folder; sandbox: Sandbox; send: string[] }> {
  const sandbox = await startSandbox({ keep: 'envelopes' });
  context.after(() => sandbox.close());
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(rows) });
  const relay = `smtp://127.0.0.1:${sandbox.port}`;
  const send = ['send', 'campaign.yaml', 'list.csv', '--json', ...state, '--relay', relay];
  assert.equal((await folder.run(send)).code, 0);
  return { folder, sandbox, send };
}

test('a compacted campaign is finished before, is proved by its sums, and has no results any more', async (context) => {
  const { folder, sandbox, send } = await sendSpring(context, 300);
  const dry = await folder.run(['compact', '--older-than', '0s', '--dry-run', ...state]);
  assert.match(dry.stdout, /^spring: 300 rows would go/);
  const young = await folder.run(['compact', '--older-than', '30d', '--json', ...state]);
  assert.deepEqual(JSON.parse(young.stdout).campaigns, []);
  const before = await folder.run(['results', 'spring', ...state]);
  assert.equal(before.stdout.split('\r\n').length, 302, 'neither has changed anything');

  const done = await folder.run(['compact', '--older-than', '0s', ...state]);
  assert.deepEqual([done.code, done.stdout.startsWith('spring: 300 rows are gone')], [0, true], done.stderr);
  const again = await folder.run([...send, '--results', 'out.csv']);
  assert.equal(again.code, 66, 'its results were asked for');
  assert.match(again.stdout, /^\{"type":"summary",.*"end":"already","rows":300,"accepted":300,/);
  assert.match(again.stderr, /rows of campaign "spring" are gone since \d{4}-/);
  assert.equal(existsSync(join(folder.path, 'out.csv')), false);
  assert.equal((await folder.run(send)).code, 0);
  const results = await folder.run(['results', 'spring', ...state]);
  assert.deepEqual([results.code, /are gone since \d{4}-/.test(results.stderr)], [66, true]);
  const audit = await folder.run(['audit', 'spring', ...state]);
  assert.deepEqual(
    [audit.code, /only the sums could be checked/.test(audit.stdout)],
    [0, true],
    audit.stdout,
  );
  const retry = await folder.run(['retry', 'campaign.yaml', '--only', 'rejected', ...send.slice(4)]);
  assert.deepEqual([retry.code, /are gone since/.test(retry.stderr)], [66, true], retry.stderr);
  const status = await folder.run(['status', 'spring', ...state]);
  assert.match(status.stdout, /spring +finished, rows gone since \d{4}-\d\d-\d\d +300 +300 +0 /);

  folder.write('list.csv', makeList(301));
  const other = await folder.run([...send, '--results', 'out.csv']);
  assert.deepEqual([other.code, /nobody can tell who had it/.test(other.stderr)], [65, true], other.stderr);
  assert.equal(sandbox.messages().length, 300);
});

test('keep lets the rows of old campaigns go at the end of a send, and no others', async (context) => {
  const { folder, send } = await sendSpring(context, 50);
  const database = new DatabaseSync(join(folder.path, 'state/ledger.db'));
  database.exec('UPDATE campaign SET finished_at = finished_at - 7200000');
  database.close();
  const sent: [string, boolean][] = [];
  // By default nothing goes, however old.
  for (const [name, config] of [
    ['summer', 'log: { level: info }\n'],
    ['autumn', 'keep: 3h\n'],
    ['winter', 'keep: 1h\n'],
  ]) {
    folder.write('posthaste.yaml', config ?? '');
    folder.write('campaign.yaml', campaignYaml.replace('name: spring', `name: ${name}`));
    const ended = await folder.run(send);
    assert.equal(ended.code, 0, ended.stderr);
    const { stdout } = await folder.run(['status', ...state, '--json']);
    const { campaigns }: { campaigns: { name: string; compactedAt: string | null }[] } = JSON.parse(stdout);
    for (const one of campaigns) sent.push([`${name}: ${one.name}`, one.compactedAt !== null]);
    if (name === 'winter')
      assert.match(ended.stderr, /"campaign":"spring","rows":50,"msg":"rows were removed/);
  }
  assert.deepEqual(
    sent.filter(([, isCompacted]) => isCompacted).map(([name]) => name),
    ['winter: spring'],
  );
  folder.write('posthaste.yaml', 'keep: 1m\n');
  const short = await folder.run(send);
  assert.deepEqual([short.code, /forever or a duration from 1h/.test(short.stderr)], [78, true]);
});

test('a compaction that is killed at any instant goes on with the next one', async (context) => {
  const { folder, send } = await sendSpring(context, 12_000);
  const path = join(folder.path, 'state/ledger.db');
  const full = statSync(path).size;
  for (const delayMs of [0, 0, 3, 10]) {
    const before = writtenAt(`${path}-wal`);
    const running = folder.start(['compact', '--older-than', '0s', ...state]);
    // Its first write is the mark, the next ones remove rows.
    while (writtenAt(`${path}-wal`) === before && running.child.exitCode === null) await delay(1);
    await delay(delayMs);
    running.child.kill('SIGKILL');
    await running.ended;
    const audit = await folder.run(['audit', 'spring', ...state]);
    assert.equal(audit.code, 0, audit.stdout + audit.stderr);
  }
  assert.equal(summaryIn(await folder.run(send)).end, 'already');
  const done = await folder.run(['compact', '--older-than', '0s', '--json', ...state]);
  assert.equal(JSON.parse(done.stdout).freeBytes, 0, done.stdout);
  assert.ok(statSync(path).size < full / 5, `${full} octets, then ${statSync(path).size}`);
});

function writtenAt(path: string): number | undefined {
  const { mtimeMs, size } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return size === 0 ? undefined : mtimeMs;
}
