// Links and pipes inside of what is dropped into the inbox: rejected, never followed and never waited for.
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { campaignYaml, makeList } from '../cli/posthaste.ts';
import { dropFolder, inboxConfig, inboxOf, makePipe, namesIn, reasonOf, untilGone } from './inbox_folder.ts';
import { assertEachOnce, isFinished, openServing } from './serving.ts';

const good = { 'campaign.yaml': campaignYaml, 'list.csv': makeList(10) };

function named(name: string, lines = ''): string {
  return campaignYaml.replace('name: spring', `name: ${name}`) + lines;
}

test('a campaign file or a list that is a pipe is rejected, and the next is taken', async (context) => {
  const serving = await openServing(context, 1, { config: inboxConfig });
  await serving.start();
  dropFolder(serving, 'plan', { 'list.csv': makeList(1) }, (folder) =>
    makePipe(join(folder, 'campaign.yaml')),
  );
  dropFolder(serving, 'list', { 'campaign.yaml': named('list') }, (folder) =>
    makePipe(join(folder, 'list.csv')),
  );
  const listed = named('listed').replace('address: email', 'address: email, file: in/people.csv');
  dropFolder(serving, 'listed', { 'campaign.yaml': listed }, (folder) => {
    mkdirSync(join(folder, 'in'));
    makePipe(join(folder, 'in/people.csv'));
  });
  makePipe(join(inboxOf(serving), 'pipe.csv'));
  serving.folder.write('alone.yaml', named('alone').replace('address: email', 'file: pipe.csv'));
  renameSync(join(serving.folder.path, 'alone.yaml'), join(inboxOf(serving), 'alone.yaml'));
  await untilGone(serving, 'plan', 'list', 'listed', 'alone.yaml');
  dropFolder(serving, 'good', good);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 10);
  assert.match(reasonOf(serving, 'plan'), /^ERR_CAMPAIGN_READ: .*campaign\.yaml: it is a pipe/);
  for (const entry of ['list', 'listed', 'alone'])
    assert.match(reasonOf(serving, entry), /^ERR_FILE_READ: .*\.csv: it is a pipe/);
  assert.equal((await serving.stop()).code, 0);
});

test('a campaign file, a list or a body that is a link is rejected, and nobody is sent what it leads to', async (context) => {
  const serving = await openServing(context, 1, { config: inboxConfig, sandbox: { keep: 'messages' } });
  await serving.start();
  const outside = (name: string) => join(serving.folder.path, name);
  dropFolder(serving, 'plan', { 'list.csv': makeList(5) }, (folder) =>
    symlinkSync(outside('campaign.yaml'), join(folder, 'campaign.yaml')),
  );
  dropFolder(serving, 'list', { 'campaign.yaml': named('list') }, (folder) =>
    symlinkSync(outside('list.csv'), join(folder, 'list.csv')),
  );
  // Whichever of two lists was meant, it is not for us to choose.
  dropFolder(serving, 'lists', { 'campaign.yaml': named('lists'), 'b.csv': makeList(5) }, (folder) =>
    symlinkSync(outside('list.csv'), join(folder, 'a.csv')),
  );
  const body = (name: string) => named(name).replace(/text: .*/, 'text: { file: letter.txt }');
  dropFolder(
    serving,
    'body',
    { 'campaign.yaml': body('body'), 'a.txt': 'a', 'l.csv': makeList(5) },
    (folder) => symlinkSync('a.txt', join(folder, 'letter.txt')),
  );
  writeFileSync(join(inboxOf(serving), 'a.txt'), 'a');
  symlinkSync('a.txt', join(inboxOf(serving), 'letter.txt'));
  writeFileSync(join(inboxOf(serving), 'alone.csv'), makeList(5));
  serving.folder.write('alone.yaml', body('alone'));
  renameSync(outside('alone.yaml'), join(inboxOf(serving), 'alone.yaml'));
  await untilGone(serving, 'plan', 'list', 'lists', 'body', 'alone.yaml');
  dropFolder(serving, 'good', good);
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 10);
  assert.match(reasonOf(serving, 'plan'), /^ERR_CAMPAIGN_READ: .*campaign\.yaml: it is a link/);
  assert.match(reasonOf(serving, 'list'), /^ERR_FILE_READ: .*list\.csv: it is a link/);
  assert.match(reasonOf(serving, 'lists'), /^ERR_LIST_MISSING/);
  for (const entry of ['body', 'alone'])
    assert.match(reasonOf(serving, entry), /^ERR_FILE_READ: .*letter\.txt: it is a link/);
  const list = namesIn(serving, 'rejected').find((name) => /^list\..*Z$/.test(name)) ?? '';
  assert.ok(lstatSync(join(inboxOf(serving), 'rejected', list, 'list.csv')).isSymbolicLink());
  assert.equal((await serving.stop()).code, 0);
});

test('links and pipes that a campaign does not name are passed over', async (context) => {
  const serving = await openServing(context, 1, { config: inboxConfig });
  await serving.start();
  dropFolder(serving, 'spring', good, (folder) => {
    symlinkSync('/etc', join(folder, 'etc'));
    symlinkSync('nowhere', join(folder, 'dangling'));
    makePipe(join(folder, 'pipe'));
  });
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 10);
  assert.equal((await serving.stop()).code, 0);
});

test('a list that is not there rejects its own campaign, and what came later is taken', async (context) => {
  const serving = await openServing(context, 1, { config: inboxConfig });
  await serving.start();
  const listed = named('listed').replace('address: email', 'file: missing.csv');
  dropFolder(serving, 'listed', { 'campaign.yaml': listed });
  dropFolder(serving, 'good', good);
  await serving.until(isFinished);
  await untilGone(serving, 'listed', 'good');
  assertEachOnce(serving.taken(), 10);
  assert.match(reasonOf(serving, 'listed'), /^ERR_FILE_READ: .*missing\.csv: it does not exist/);
  assert.equal((await serving.stop()).code, 0);
});
