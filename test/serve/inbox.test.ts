// The inbox folder of a real daemon: what is dropped there is taken once, and what is bad comes back with its reason.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findEntries, movedName, type InboxName } from '../../src/daemon/inbox_entry.ts';
import { campaignYaml, makeList } from '../cli/posthaste.ts';
import { mountSmall } from '../crash/small_disk.ts';
import { dropFolder, inboxConfig, inboxOf, namesIn, untilGone } from './inbox_folder.ts';
import { assertEachOnce, isFinished, openServing } from './serving.ts';

test('a folder, and a file with its list beside it, are sent and moved to done', async (context) => {
  const serving = await openServing(context, 1, { config: inboxConfig, sandbox: { keep: 'messages' } });
  await serving.start();
  dropFolder(serving, 'spring', {
    'campaign.yaml': campaignYaml.replace(/text: .*/, 'text: { file: letters/a.txt }'),
    'letters/a.txt': 'a letter for {{ first_name }}\n',
    'people.csv': makeList(30),
  });
  serving.folder.write('staging.csv', makeList(20, 31));
  serving.folder.write('staging.yaml', campaignYaml.replace('name: spring\n', ''));
  renameSync(join(serving.folder.path, 'staging.csv'), join(inboxOf(serving), 'summer.csv'));
  renameSync(join(serving.folder.path, 'staging.yaml'), join(inboxOf(serving), 'summer.yaml'));
  await untilGone(serving, 'spring', 'summer.yaml', 'summer.csv');
  await serving.until(isFinished);
  await serving.until(isFinished, 'summer');
  assertEachOnce(serving.taken(), 50);
  assert.match(serving.sandbox.messages()[0]?.data.toString() ?? '', /a letter for/);
  const done = namesIn(serving, 'done').map((name) => name.replace(/\.\d{4}-.*Z/, ''));
  assert.deepEqual(done, ['spring', 'summer.csv', 'summer.yaml']);
  assert.equal((await serving.stop()).code, 0);
});

test('what is bad goes to rejected with its reason beside it, and the next is taken', async (context) => {
  const serving = await openServing(context, 1, { config: inboxConfig });
  await serving.start();
  dropFolder(serving, 'empty', { 'readme.txt': 'nothing' });
  dropFolder(serving, 'lists', { 'campaign.yaml': campaignYaml, 'a.csv': makeList(1), 'b.csv': makeList(1) });
  serving.folder.write('bad.yaml', 'name: [\n');
  renameSync(join(serving.folder.path, 'bad.yaml'), join(inboxOf(serving), 'bad.yaml'));
  await untilGone(serving, 'empty', 'lists', 'bad.yaml');
  dropFolder(serving, 'good', { 'campaign.yaml': campaignYaml, 'list.csv': makeList(10) });
  await serving.until(isFinished);
  const reasons = namesIn(serving, 'rejected')
    .filter((name) => name.endsWith('.reason.txt'))
    .map((name) => readFileSync(join(inboxOf(serving), 'rejected', name), 'utf8').split(':')[0]);
  assert.deepEqual(
    reasons.toSorted((a = '', b = '') => a.localeCompare(b)),
    ['ERR_CAMPAIGN_INVALID', 'ERR_INBOX_ENTRY', 'ERR_LIST_MISSING'],
  );
  assert.equal((await serving.stop()).code, 0);
});

test('links, pipes and what is still being written are not touched', async (context) => {
  const serving = await openServing(context, 1, { config: inboxConfig });
  await serving.start();
  const inbox = inboxOf(serving);
  symlinkSync(join(serving.folder.path, 'campaign.yaml'), join(inbox, 'link.yaml'));
  symlinkSync(serving.folder.path, join(inbox, 'linked'));
  assert.equal(spawnSync('mkfifo', [join(inbox, 'pipe.yaml')]).status, 0);
  for (const name of ['.hidden.yaml', 'half.yaml.part', 'half.yaml.tmp', 'edited.yaml~'])
    writeFileSync(join(inbox, name), campaignYaml);
  dropFolder(serving, 'good', { 'campaign.yaml': campaignYaml, 'list.csv': makeList(10) });
  await serving.until(isFinished);
  const left = [
    '.hidden.yaml',
    'done',
    'edited.yaml~',
    'half.yaml.part',
    'half.yaml.tmp',
    'link.yaml',
    'linked',
  ];
  assert.deepEqual(readdirSync(inbox).sort(), [...left, 'pipe.yaml', 'rejected']);
  assert.equal((await serving.stop()).code, 0);
});

test('a file that grows waits until it has settled', async (context) => {
  const serving = await openServing(context, 1, { config: 'inbox: { directory: inbox, settle: 700ms }\n' });
  await serving.start();
  const path = join(inboxOf(serving), 'slow.csv');
  writeFileSync(path, 'email,first_name\n');
  writeFileSync(join(inboxOf(serving), 'slow.yaml'), campaignYaml.replace('name: spring\n', ''));
  for (let row = 1; row <= 30; row += 1) {
    writeFileSync(path, `reader${row}@example.com,Name${row}\n`, { flag: 'a' });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await serving.until(isFinished, 'slow');
  assertEachOnce(serving.taken(), 30);
  assert.equal((await serving.stop()).code, 0);
});

test('the same list again, under another name, and after a death between taking over and moving: nobody twice', async (context) => {
  const serving = await openServing(context, 1, { config: inboxConfig });
  const daemon = await serving.start();
  const files = { 'campaign.yaml': campaignYaml, 'list.csv': makeList(40) };
  dropFolder(serving, 'once', files);
  await serving.until(isFinished);
  await untilGone(serving, 'once');
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  // As it is when the process died before the move: taken over, and still there.
  const [moved = ''] = namesIn(serving, 'done');
  renameSync(join(inboxOf(serving), 'done', moved), join(inboxOf(serving), 'once'));
  dropFolder(serving, 'renamed', files);
  await serving.start();
  await untilGone(serving, 'once', 'renamed');
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 40);
  assert.equal(namesIn(serving, 'done').length, 2);
  assert.equal((await serving.stop()).code, 0);
});

test('while the disk is full an entry stays where it is, and is taken once there is room', async (context) => {
  const disk = mountSmall(context, 2000);
  if (disk === undefined) return context.skip('this machine does not allow mounting a tmpfs');
  const serving = await openServing(context, 1, { config: inboxConfig, state: join(disk.path, 'state') });
  await serving.start();
  const ballast = join(disk.path, 'ballast');
  spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k']);
  dropFolder(serving, 'late', { 'campaign.yaml': campaignYaml, 'list.csv': makeList(400) });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.ok(existsSync(join(inboxOf(serving), 'late')));
  spawnSync('rm', [ballast]);
  disk.resize(65_536);
  await untilGone(serving, 'late');
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 400);
  assert.equal((await serving.stop()).code, 0);
});

function file(name: string, changedAt: number): InboxName {
  return { name, kind: 'file', sizeBytes: 1, changedAt };
}

test('entries are found oldest first, and a moved name overwrites nothing', () => {
  const entries = findEntries([
    file('b.yaml', 2),
    file('b.csv.gz', 9),
    file('a.yml', 5),
    file('lonely.csv', 1),
    { name: 'folder', kind: 'folder', sizeBytes: 0, changedAt: 4 },
    { name: 'done', kind: 'folder', sizeBytes: 0, changedAt: 0 },
    { name: 'lost+found', kind: 'folder', sizeBytes: 0, changedAt: 0 },
    { name: 'link.yaml', kind: 'other', sizeBytes: 0, changedAt: 0 },
  ]);
  assert.deepEqual(
    entries.map(({ names }) => names),
    [['folder'], ['a.yml'], ['b.yaml', 'b.csv.gz']],
  );
  const taken = new Set<string>();
  const names = Array.from({ length: 3 }, () => {
    const path = movedName('done', 'b.csv', 0, (one) => taken.has(one));
    taken.add(path);
    return path;
  });
  assert.equal(new Set(names).size, 3);
  assert.match(names[0] ?? '', /^done\/b\.1970-01-01T00-00-00-000Z\.csv$/);
});
