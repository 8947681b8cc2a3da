// The same campaign with another list: only the rows that are new.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { allSent, openRelay, rowsIn, sendArgs, takenBy } from './lists.ts';
import { campaignYaml, Folder, makeList, summaryIn } from './posthaste.ts';

test('another list adds the rows that are new, says how many, and gives them numbers of their own', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(10) });
  await folder.run(sendArgs(sandbox));
  const second = `${makeList(12, 3)}READER4@Example.com,Again\nnew@example.com,New\nnew@example.com,Twice\n`;
  folder.write('second.csv', second);
  const ended = await folder.run([...sendArgs(sandbox, 'second.csv'), '--results', 'out.ndjson']);
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stderr, /^  this list: 15 rows, 9 known from before, 6 new$/m);
  assert.match(ended.stderr, /"list added: 15 rows, 9 known from before, 6 new"/);
  assert.deepEqual(rowsIn(ended), allSent(16, { known: 9, accepted: 15, duplicate: 1 }));
  assert.equal(takenBy(sandbox).length, 15);
  assert.equal(new Set(takenBy(sandbox)).size, 15);
  const results: Record<string, unknown>[] = folder
    .read('out.ndjson')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    results.slice(10).map(({ email, status }) => [email, status]),
    [
      ...[11, 12, 13, 14].map((row) => [`reader${row}@example.com`, 'accepted']),
      ['new@example.com', 'accepted'],
      ['new@example.com', 'duplicate'],
    ],
  );
  const audit = await folder.run(['audit', 'spring', '--state', 'state']);
  assert.equal(audit.code, 0, audit.stdout);
});

test('each list that a campaign has had is known: it says that all is sent, and sends nothing', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(5) });
  folder.write('second.csv', makeList(5, 4));
  await folder.run(sendArgs(sandbox));
  await folder.run(sendArgs(sandbox, 'second.csv'));
  const first = await folder.run(sendArgs(sandbox));
  assert.deepEqual(rowsIn(first), allSent(8, { end: 'already' }));
  const again = await folder.run(sendArgs(sandbox, 'second.csv'));
  assert.deepEqual(rowsIn(again), allSent(8, { end: 'already', known: 2 }));
  const piped = await folder.run(sendArgs(sandbox, '-'), { stdin: makeList(5, 4) });
  assert.deepEqual(rowsIn(piped), allSent(8, { end: 'already', known: 2 }));
  assert.equal(takenBy(sandbox).length, 8);
});

test('a list with nothing new, and an invalid row that was refused before, changes nothing', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml });
  folder.write('list.csv', `${makeList(3)}nobody,X\n`);
  await folder.run(sendArgs(sandbox));
  folder.write('second.csv', `email,first_name\nnobody,X\nreader2@example.com,B\n`);
  const same = await folder.run(sendArgs(sandbox, 'second.csv'));
  assert.deepEqual(rowsIn(same), allSent(4, { end: 'already', known: 2, accepted: 3, invalid: 1 }));
  assert.match(same.stderr, /2 rows, 2 known from before, 0 new/);
  // In other cells it is another row.
  folder.write('third.csv', `email,first_name\nnobody,Y\n`);
  const other = await folder.run(sendArgs(sandbox, 'third.csv'));
  assert.deepEqual(rowsIn(other), allSent(5, { known: 0, accepted: 3, invalid: 2 }));
});

test('a later list may have its columns in another order; the messages are right, and so are the results', async (context) => {
  const sandbox = await openRelay(context, { keep: 'messages' });
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(2) });
  await folder.run(sendArgs(sandbox));
  folder.write('second.csv', 'first_name,email\nZoe,zoe@example.com\n');
  const ended = await folder.run([...sendArgs(sandbox, 'second.csv'), '--results', 'out.csv']);
  assert.equal(ended.code, 0, ended.stderr);
  const message = sandbox.messages().find(({ recipients }) => recipients[0] === 'zoe@example.com');
  assert.match(message?.data.toString() ?? '', /Subject: Zoe, spring is here/);
  assert.match(folder.read('out.csv'), /\r\nzoe@example.com,Zoe,accepted,/);
});

test('a later list with other columns is refused with both headers, and changes nothing', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(2) });
  await folder.run(sendArgs(sandbox));
  for (const header of ['email,name', 'email', 'email,first_name,city']) {
    folder.write('second.csv', `${header}\nzoe@example.com${',x'.repeat(header.split(',').length - 1)}\n`);
    const ended = await folder.run(sendArgs(sandbox, 'second.csv'));
    assert.equal(ended.code, 65, ended.stderr);
    assert.ok(ended.stderr.includes(`has the columns ${header.replaceAll(',', ', ')}, but`), ended.stderr);
    assert.match(ended.stderr, /the campaign's are email, first_name/);
  }
  assert.equal(summaryIn(await folder.run(sendArgs(sandbox))).end, 'already');
});

test('a list is added while earlier rows still wait, and all are sent', async (context) => {
  const sandbox = await openRelay(context, {
    faults: [parseFault('rcpt reader2@example.com first 2: 451 4.7.1 later')],
  });
  const campaign = campaignYaml.replace('first: 200ms', 'first: 3s').replace('max: 1s', 'max: 3s');
  const folder = new Folder(context, { 'campaign.yaml': campaign, 'list.csv': makeList(4) });
  const running = folder.start(sendArgs(sandbox));
  await until(() => takenBy(sandbox).length === 3);
  running.child.kill('SIGTERM');
  assert.equal((await running.ended).code, 75);
  folder.write('second.csv', makeList(3, 4));
  const ended = await folder.run(sendArgs(sandbox, 'second.csv'));
  assert.deepEqual(rowsIn(ended), allSent(6, { known: 1 }));
  assert.equal(new Set(takenBy(sandbox)).size, 6);
  assert.equal(takenBy(sandbox).length, 6);
});

async function until(condition: () => boolean): Promise<void> {
  const deadlineAt = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadlineAt) throw new Error('what the test waits for did not happen within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
