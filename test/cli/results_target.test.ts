// Where results go: what cannot be written is an error with 74, and what is no file stays what it is.
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { openRelay, sendArgs } from './lists.ts';
import { campaignYaml, Folder, makeList } from './posthaste.ts';

async function openSent(context: TestContext): Promise<Folder> {
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(3) });
  const sent = await folder.run(sendArgs(await openRelay(context)));
  assert.equal(sent.code, 0, sent.stderr);
  return folder;
}

test('results that cannot be written end a send with 74; the campaign is finished', async (context) => {
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(1200) });
  const relay = await openRelay(context);
  const sent = await folder.run([...sendArgs(relay), '--results', 'missing/out.csv']);
  assert.equal(sent.code, 74, sent.stderr);
  assert.match(sent.stderr, /cannot write the results to missing\/out\.csv.*\n {2}\S/);
  assert.equal((await folder.run(['audit', 'spring', '--state', 'state'])).code, 0);
});

test('a folder in the place of the results is refused, and nothing is left beside it', async (context) => {
  const folder = await openSent(context);
  folder.write('out/keep', '');
  const ended = await folder.run(['results', 'spring', '--state', 'state', '--output', 'out']);
  assert.equal(ended.code, 74, ended.stderr);
  assert.ok(!existsSync(`${folder.path}/out.partial`));
});

test('a pipe that is named for the results gets them, and stays a pipe', async (context) => {
  const folder = await openSent(context);
  // Open for both, so that nobody waits for anybody.
  const script = `mkfifo pipe; exec 3<>pipe; "$@"; code=$?; test -p pipe && head -n 4 <&3 > copy; exit $code`;
  const ended = await folder.run(['results', 'spring', '--state', 'state', '--output', 'pipe'], {
    under: ['sh', '-c', script, 'sh'],
  });
  assert.equal(ended.code, 0, ended.stderr);
  assert.ok(statSync(`${folder.path}/pipe`).isFIFO());
  assert.equal(folder.read('copy').trimEnd().split('\r\n').length, 4);
});

test('standard output that takes nothing ends with 74 and says so', async (context) => {
  if (!existsSync('/dev/full')) return context.skip('this machine has no /dev/full');
  const folder = await openSent(context);
  for (const args of [['audit', 'spring'], ['status'], ['results', 'spring']]) {
    const ended = await folder.run([...args, '--state', 'state'], {
      under: ['sh', '-c', '"$@" > /dev/full', 'sh'],
    });
    assert.equal(ended.code, 74, ended.stderr);
    assert.match(ended.stderr, /^posthaste: .*ENOSPC.*\n {2}\S.*\n$/);
  }
});
