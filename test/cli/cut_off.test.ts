// Lists that are cut off: never taken as whole from a pipe, and nothing is lost or doubled when the whole list comes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { allSent, openRelay, rowsIn, sendArgs, takenBy } from './lists.ts';
import { campaignYaml, Folder, makeList } from './posthaste.ts';

test('a list from standard input that ends within a row is refused and nothing of the row is sent; the whole list goes on', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml });
  const list = makeList(9000);
  // "reader9000@example.co" is a valid address, and somebody else's.
  const cut = list.slice(0, list.lastIndexOf('m,Name9000'));
  const ended = await folder.run(sendArgs(sandbox, '-'), { stdin: cut });
  assert.equal(ended.code, 65, ended.stderr);
  assert.match(ended.stderr, /standard input seems to be cut off at row 9000: its last line has no line end/);
  assert.match(ended.stderr, /If it is whole, say --partial/);
  assert.match(ended.stdout, /ERR_LIST_CUT_OFF/);
  const audit = await folder.run(['audit', 'spring', '--state', 'state']);
  assert.equal(audit.code, 75, audit.stdout);

  const whole = await folder.run(sendArgs(sandbox, '-'), { stdin: list });
  assert.deepEqual(rowsIn(whole), allSent(9000));
  assert.equal(takenBy(sandbox).length, 9000);
  assert.equal(new Set(takenBy(sandbox)).size, 9000);
  assert.ok(!takenBy(sandbox).includes('reader9000@example.co'));
});

test('with --partial such a list is taken as it is', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml });
  const args = [...sendArgs(sandbox, '-'), '--partial'];
  const ended = await folder.run(args, { stdin: makeList(3).trimEnd() });
  assert.deepEqual(rowsIn(ended), allSent(3));
});

test('a list from standard input that ends within quotes is refused, as is one that ends within its header', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml });
  const quoted = await folder.run(sendArgs(sandbox, '-'), {
    stdin: `${makeList(2)}reader3@example.com,"Name 3\nthe Third\n`,
  });
  assert.deepEqual([quoted.code, /ERR_LIST_CUT_OFF/.test(quoted.stdout)], [65, true]);
  assert.match(quoted.stderr, /a quote of the row on line 4 is never closed/);
  const header = await folder.run(sendArgs(sandbox, '-'), { stdin: 'email,first' });
  assert.deepEqual([header.code, /cut off in its first line/.test(header.stderr)], [65, true]);
  assert.equal(takenBy(sandbox).length, 0);
});

test('a later list that is cut off is refused before any of it is stored', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(3) });
  await folder.run(sendArgs(sandbox));
  const list = makeList(5000);
  const cut = await folder.run(sendArgs(sandbox, '-'), { stdin: list.slice(0, -3) });
  assert.deepEqual([cut.code, /ERR_LIST_CUT_OFF/.test(cut.stdout)], [65, true]);
  assert.equal(takenBy(sandbox).length, 3);
  const audit = await folder.run(['audit', 'spring', '--state', 'state']);
  assert.equal(audit.code, 0, audit.stdout);
  const whole = await folder.run(sendArgs(sandbox, '-'), { stdin: list });
  assert.deepEqual(rowsIn(whole), allSent(5000, { known: 3 }));
});

test('a named pipe is no more trusted than standard input', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml });
  execFileSync('mkfifo', [join(folder.path, 'pipe')]);
  const running = folder.start(sendArgs(sandbox, 'pipe'));
  createWriteStream(join(folder.path, 'pipe')).end(makeList(3).trimEnd());
  const ended = await running.ended;
  assert.deepEqual([ended.code, /ERR_LIST_CUT_OFF/.test(ended.stdout)], [65, true], ended.stderr);
});

test('a file whose last line has no line end is whole, plain and compressed', async (context) => {
  const sandbox = await openRelay(context);
  const list = makeList(3).trimEnd();
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': list });
  assert.deepEqual(rowsIn(await folder.run(sendArgs(sandbox))), allSent(3));
  folder.write('list.gz', gzipSync(`${list}\nnew@example.com,New`));
  assert.deepEqual(rowsIn(await folder.run(sendArgs(sandbox, 'list.gz'))), allSent(4, { known: 3 }));
});

test('--expect-rows refuses a list with fewer rows, wherever it comes from, and the whole list goes on', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(2500) });
  const fewer = await folder.run([...sendArgs(sandbox), '--expect-rows', '2600']);
  assert.deepEqual([fewer.code, /ERR_LIST_CUT_OFF/.test(fewer.stdout)], [65, true]);
  assert.match(fewer.stderr, /has 2500 rows, and at least 2600 were expected/);
  folder.write('list.csv', makeList(2600));
  const whole = await folder.run([...sendArgs(sandbox), '--expect-rows', '2600']);
  assert.deepEqual(rowsIn(whole), allSent(2600));
  assert.equal(takenBy(sandbox).length, 2600);
  const both = await folder.run([...sendArgs(sandbox), '--expect-rows', '2600', '--partial']);
  assert.equal(both.code, 64);
});
