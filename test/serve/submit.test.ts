// Campaigns through the daemon: handed over by the command line, sent, and asked about.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as answers from '../../src/control/answers.ts';
import { campaignYaml, makeList } from '../cli/posthaste.ts';
import { assertEachOnce, isFinished, openServing } from './serving.ts';

test('a campaign with a file and one from a pipe are sent at one time, and each knows what became of it', async (context) => {
  const serving = await openServing(context, 300);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.ok(['submit', 'campaign.yaml', '-', '--as', 'piped'], { stdin: makeList(200, 301) });
  await serving.until(isFinished);
  await serving.until(isFinished, 'piped');
  assertEachOnce(serving.taken(), 500);
  const status: { campaigns: { name: string; state: string; accepted: number }[] } = JSON.parse(
    await serving.ok(['status', '--json']),
  );
  assert.deepEqual(
    status.campaigns.map(({ name, state, accepted }) => [name, state, accepted]),
    [
      ['spring', 'finished', 300],
      ['piped', 'finished', 200],
    ],
  );
  assert.match(await serving.ok(['audit', 'spring']), /it adds up/);
  assert.match(
    await serving.ok(['why', 'READER7@example.com']),
    /^spring, line 8: accepted after 1 attempts by primary/,
  );
  const results = await serving.ok(['results', 'piped']);
  assert.equal(results.trimEnd().split('\r\n').length, 201);
  assert.match(results, /^email,first_name,status,/);
  assert.match(await serving.ok(['top']), /^2 campaigns, 0 recipients pending/);
  const ended = await serving.stop();
  assert.equal(ended.code, 0, ended.stderr);
});

test('the same list again sends nothing, another one sends what is new, another template is refused', async (context) => {
  const serving = await openServing(context, 100);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  serving.folder.write('more.csv', makeList(150));
  await serving.ok(['submit', 'campaign.yaml', 'more.csv']);
  await serving.until(({ state, rows }) => state === 'finished' && rows === 150);
  assertEachOnce(serving.taken(), 150);
  serving.folder.write('campaign.yaml', campaignYaml.replace('it is spring', 'it is summer'));
  const refused = await serving.run(['submit', 'campaign.yaml', 'more.csv']);
  assert.equal(refused.code, 65);
  assert.match(refused.stderr, /was begun with another template/);
  assert.equal((await serving.stop()).code, 0);
});

test('files that a campaign names go with it; one without a list and one that is cut off are refused', async (context) => {
  const serving = await openServing(context, 10, { sandbox: { keep: 'messages' } });
  await serving.start();
  serving.folder.write('mail/letter.txt', 'Dear {{ first_name }}, {% render "parts/sign.liquid" %}');
  serving.folder.write('mail/parts/sign.liquid', 'yours, the shop');
  serving.folder.write(
    'mail/campaign.yaml',
    'name: letter\nfrom: hello@mail.example.com\nsubject: Hi\ntext: { file: letter.txt }\n',
  );
  const without = await serving.run(['submit', 'mail/campaign.yaml']);
  assert.equal(without.code, 64, without.stderr);
  assert.match(without.stderr, /came without a list/);
  await serving.ok(['submit', 'mail/campaign.yaml', 'list.csv']);
  await serving.until(isFinished, 'letter');
  assert.match(serving.sandbox.messages()[0]?.data.toString() ?? '', /yours, the shop/);
  const short = await serving.run(['submit', 'campaign.yaml', 'list.csv', '--expect-rows', '11']);
  assert.equal(short.code, 0, 'it is on disk; what is in it is seen as it is read');
  const failed = await serving.until(({ state }) => state === 'failed');
  assert.match(failed.reason ?? '', /10 rows/);
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  assert.equal((await serving.stop()).code, 0);
});

test('an upload that breaks off is never taken for whole, until it comes whole, and leaves nothing', async (context) => {
  const serving = await openServing(context, 10);
  await serving.start();
  const { submission } = answers.begun.parse(await serving.call({ method: 'POST', path: '/v1/submissions' }));
  const at = `/v1/submissions/${submission}`;
  const put = (path: string, text: string): Promise<unknown> =>
    serving.call({ method: 'PUT', path: `${at}/${path}`, body: Readable.from([Buffer.from(text)]) });
  const commit = (): Promise<unknown> => serving.call({ method: 'POST', path: `${at}/commit`, json: {} });
  await put('files/campaign.yaml', campaignYaml);
  const state = join(serving.folder.path, 'state');
  const lists = join(state, 'incoming', submission, 'lists');
  const half = makeList(10).slice(0, 100);
  for (const [head, part] of [
    ['content-length: 1000', half],
    ['transfer-encoding: chunked', `${half.length.toString(16)}\r\n${half}\r\n`],
  ]) {
    const socket = connect(join(state, 'control.sock'));
    socket.write(`PUT ${at}/list/l.csv HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n${part}`);
    while (readdirSync(lists).length === 0) await nextTurn();
    await assert.rejects(commit(), { code: 'ERR_SUBMISSION_INCOMPLETE' }, 'it is on its way');
    socket.destroy();
    while (readdirSync(lists).length > 0) await nextTurn();
    await assert.rejects(commit(), { code: 'ERR_SUBMISSION_INCOMPLETE', exitCode: 75 }, 'it was cut off');
  }
  assert.deepEqual(readdirSync(join(state, 'campaigns')), []);
  await put('list/l.csv', makeList(10));
  await commit();
  await serving.until(isFinished);
  assertEachOnce(serving.taken(), 10);
  await serving.call({ method: 'POST', path: '/v1/submissions' });
  assert.equal((await serving.stop()).code, 0);
  await serving.start();
  assert.deepEqual(readdirSync(join(state, 'incoming')), [], 'what was not committed ends with the daemon');
  assert.equal((await serving.stop()).code, 0);
});

test('events are told as they happen, with each recipient where that is wished, and go on from an id', async (context) => {
  const serving = await openServing(context, 5, { config: 'events: { recipients: true }\n' });
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  const lines = (await serving.ok(['events'])).trimEnd().split('\n');
  const events: { id: number; kind: string; address?: string; reply?: string }[] = lines.map((line) =>
    JSON.parse(line),
  );
  assert.deepEqual(
    events.map(({ id }) => id),
    events.map((_, index) => index + 1),
  );
  const kinds = new Set(events.map(({ kind }) => kind));
  for (const kind of ['campaignAccepted', 'campaignStarted', 'batchSettled', 'campaignFinished'])
    assert.ok(kinds.has(kind), kind);
  const settled = events.filter(({ kind }) => kind === 'recipientSettled');
  assert.equal(settled.length, 5);
  assert.match(settled[0]?.reply ?? '', /^250 /);
  const later = (await serving.ok(['events', '--since', String(events.length - 1)])).trimEnd().split('\n');
  assert.equal(later.length, 1);
  const following = serving.folder.start(['events', '--follow', '--since', String(events.length)]);
  await serving.ok(['submit', 'campaign.yaml', 'list.csv', '--as', 'again']);
  await following.said(/"kind":"campaignFinished","campaign":"again"/);
  following.child.kill('SIGINT');
  assert.equal((await following.ended).code, 0);
  assert.equal((await serving.stop()).code, 0);
});
