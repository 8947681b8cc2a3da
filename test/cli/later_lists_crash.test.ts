// A later list, and what a crash or an older ledger must not change about it: nobody is lost, nobody gets it twice.
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { loadCampaign } from '../../src/config/load_campaign.ts';
import { digestList } from '../../src/intake/source.ts';
import type { CampaignRecord } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { namedInDoubt } from '../crash/mailing.ts';
import { makeFormat1, springList } from '../ledger/format_1.ts';
import { allSent, openRelay, rowsIn, sendArgs, takenBy } from './lists.ts';
import { campaignYaml, Folder, makeList, type Ended } from './posthaste.ts';

const killer = resolve(import.meta.dirname, 'kill_at_commit.ts');

test('kill -9 after any commit of a second intake: the same command goes on, nobody of the first list gets it twice, nobody new is lost', async (context) => {
  const sandbox = await openRelay(context);
  const [before, fresh] = [600, 9000];
  const folder = new Folder(context, {
    'campaign.yaml': campaignYaml,
    'list.csv': makeList(before),
    'second.csv': `${makeList(before + fresh)}not-an-address,X\n`,
    'posthaste.yaml': 'log: { level: info }\n',
  });
  await folder.run(sendArgs(sandbox));
  const args = sendArgs(sandbox, 'second.csv');
  const reported = new Set<string>();
  const seen: string[] = [];
  // Commit 1 opens the file, 2 adds the list, the others store its parts and settle batches. The last sends the rest.
  for (const commit of [2, 3, 2, 3, 4]) {
    const env = { NODE_OPTIONS: `--import=${killer}`, KILL_AT_COMMIT: String(commit) };
    const killed = await folder.run(args, { env });
    assert.equal(killed.signal, 'SIGKILL', killed.stderr);
    noteReported(killed, reported);
    const record = await readCampaign(folder);
    assert.equal(record.intake, 'open');
    seen.push(`${record.rows > before ? 'some' : 'none'} of ${record.lists.length} lists`);
  }
  assert.ok(seen.includes('none of 2 lists') && seen.includes('some of 2 lists'), seen.join('; '));

  folder.write('third.csv', makeList(before + fresh + 1));
  for (const other of ['third.csv', 'list.csv']) {
    const refused = await folder.run(sendArgs(sandbox, other));
    assert.deepEqual([refused.code, /ERR_LIST_CHANGED/.test(refused.stdout)], [65, true]);
    assert.match(refused.stderr, /has taken in a part of a later list.*\n.*give that list again/);
  }

  const none = await folder.run(args.toSpliced(2, 1));
  assert.deepEqual([none.code, /has taken in a part of a later list/.test(none.stderr)], [64, true]);

  const last = await folder.run(args);
  noteReported(last, reported);
  assert.equal(last.code, 0, last.stderr);
  const expected = { known: before, accepted: before + fresh, invalid: 1 };
  assert.deepEqual(rowsIn(last), allSent(before + fresh + 1, expected));
  const times = new Map<string, number>();
  for (const address of takenBy(sandbox)) times.set(address, (times.get(address) ?? 0) + 1);
  assert.equal(times.size, before + fresh);
  const twice = [...times].filter(([, count]) => count > 1).map(([address]) => address);
  assert.deepEqual(
    twice.filter((address) => !reported.has(address) || Number(/\d+/.exec(address)?.[0]) <= before),
    [],
  );
  const audit = await folder.run(['audit', 'spring', '--state', 'state']);
  assert.equal(audit.code, 0, audit.stdout);
});

test('a later list from a pipe is copied where nobody else can read it, and the copy is gone after kill -9', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(5) });
  await folder.run(sendArgs(sandbox));
  const env = { NODE_OPTIONS: `--import=${killer}`, KILL_AT_COMMIT: '2' };
  const killed = await folder.run(sendArgs(sandbox, '-'), { env, stdin: makeList(9) });
  assert.equal(killed.signal, 'SIGKILL', killed.stderr);
  const left = readdirSync(join(folder.path, 'state')).filter((name) => !name.startsWith('ledger.db'));
  assert.deepEqual(
    left.filter((name) => name !== 'journal'),
    [],
  );
  const ended = await folder.run(sendArgs(sandbox, '-'), { stdin: makeList(9) });
  assert.deepEqual(rowsIn(ended), allSent(9, { known: 5 }));
});

test('exit code 0 means that the list is on disk: without it the same campaign is whole', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(2600) });
  assert.equal((await folder.run(sendArgs(sandbox))).code, 0);
  rmSync(join(folder.path, 'list.csv'));
  const args = sendArgs(sandbox).toSpliced(2, 1);
  assert.deepEqual(rowsIn(await folder.run(args)), allSent(2600, { end: 'already' }));
  const results = await folder.run(['results', 'campaign.yaml', '--state', 'state']);
  assert.equal(results.stdout.trimEnd().split('\r\n').length, 2601);
});

test('a campaign begun by the first format is sent to its end by the same command, and takes another list', async (context) => {
  const sandbox = await openRelay(context);
  const campaign = campaignYaml.replaceAll('first_name', 'name');
  const folder = new Folder(context, { 'campaign.yaml': campaign, 'list.csv': springList, 'state/x': '' });
  const { digest } = loadCampaign(join(folder.path, 'campaign.yaml'));
  makeFormat1(join(folder.path, 'state'), digest, await digestOf(springList));
  const ended = await folder.run(sendArgs(sandbox));
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(rowsIn(ended), allSent(5, { accepted: 3, invalid: 1 }));
  assert.deepEqual(takenBy(sandbox), ['c@example.com']);
  folder.write('second.csv', `${springList}e@example.com,Eli\n`);
  const second = await folder.run(sendArgs(sandbox, 'second.csv'));
  assert.deepEqual(rowsIn(second), allSent(6, { known: 5, accepted: 4, invalid: 1 }));
  assert.deepEqual(takenBy(sandbox), ['c@example.com', 'e@example.com']);
  const audit = await folder.run(['audit', 'spring', '--state', 'state']);
  assert.equal(audit.code, 0, audit.stdout);
});

async function digestOf(list: string): Promise<string> {
  return digestList(
    (async function* yieldOnce() {
      yield await Promise.resolve(Buffer.from(list));
    })(),
  );
}

async function readCampaign(folder: Folder): Promise<CampaignRecord> {
  const ledger = await openLedger({ directory: join(folder.path, 'state') });
  try {
    const record = await ledger.findCampaign('spring');
    assert.ok(record);
    return record;
  } finally {
    await ledger.close();
  }
}

/** Everybody who is in doubt is named before it is settled. */
function noteReported({ stderr }: Ended, reported: Set<string>): void {
  for (const { address } of namedInDoubt(stderr)) reported.add(address);
}
