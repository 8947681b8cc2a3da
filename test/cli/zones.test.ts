// Send windows on the clocks of each recipient, with the real program: who gets mail now, who waits, and for how long.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { openRelay, sendArgs } from './lists.ts';
import { campaignYaml, Folder, summaryIn } from './posthaste.ts';
import { makeWindow, zonedList, zonedYaml } from './zones.ts';

function takenBy(sandbox: Sandbox): string[] {
  return sandbox
    .messages()
    .map(({ recipients }) => recipients[0]?.replace('@example.com', '') ?? '')
    .sort();
}

test('recipients of an open zone get their mail, those of a closed one wait, over a stop and a kill, until a window is theirs', async (context) => {
  const sandbox = await openRelay(context);
  const { yaml, opensAt } = makeWindow();
  const folder = new Folder(context, { 'campaign.yaml': zonedYaml + yaml, 'list.csv': zonedList });
  const open = ['reader1', 'reader3', 'reader6'];
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
    const running = folder.start(sendArgs(sandbox));
    await running.said(/waits for its time/);
    assert.ok(running.text().includes(opensAt), running.text());
    running.child.kill(signal);
    const ended = await running.ended;
    assert.deepEqual(takenBy(sandbox), open);
    if (signal === 'SIGKILL') continue;
    const { end, accepted, invalid } = summaryIn(ended);
    assert.deepEqual([ended.code, end, accepted, invalid], [75, 'stopped', 3, 1], ended.stderr);
  }
  const status = await folder.run(['status', '--state', 'state', '--json']);
  assert.match(status.stdout, new RegExp(`"state":"waiting".*"pending":2,"nextDueAt":"${opensAt}"`));
  const results = await folder.run(['results', 'campaign.yaml', '--state', 'state']);
  assert.match(
    results.stdout,
    /reader5.*,invalid,.*timezone ""Mars\/Olympus"" is unknown, expected an IANA name/,
  );
  assert.match(results.stdout, /reader2.*,pending,/);

  // Windows are no part of the message: the next run goes by those of its file.
  folder.write('campaign.yaml', `${zonedYaml}sendWindows: [{ from: "00:00", to: "24:00" }]\n`);
  const ended = await folder.run(sendArgs(sandbox));
  assert.deepEqual([ended.code, summaryIn(ended).accepted], [0, 5], ended.stderr);
  assert.deepEqual(takenBy(sandbox), ['reader1', 'reader2', 'reader3', 'reader4', 'reader6']);
  const audit = await folder.run(['audit', 'spring', '--state', 'state']);
  assert.equal(audit.code, 0, audit.stdout);
});

test('rows that are sent again wait for the window of their zone', async (context) => {
  const sandbox = await openRelay(context, { faults: [parseFault('rcpt first: 550 5.1.1 who')] });
  const allDay = 'sendWindows: [{ from: "00:00", to: "24:00" }]\n';
  const folder = new Folder(context, { 'campaign.yaml': zonedYaml + allDay, 'list.csv': zonedList });
  assert.equal(summaryIn(await folder.run(sendArgs(sandbox))).rejected, 5);
  const { yaml, opensAt } = makeWindow();
  folder.write('campaign.yaml', zonedYaml + yaml);
  const running = folder.start(sendArgs(sandbox).with(0, 'retry').toSpliced(2, 1, '--only', 'rejected'));
  await running.said(/waits for its time/);
  assert.ok(running.text().includes(opensAt), running.text());
  running.child.kill('SIGTERM');
  assert.equal((await running.ended).code, 75);
  assert.deepEqual(takenBy(sandbox), ['reader1', 'reader3', 'reader6']);
});

test('a column that is no more named while a list is half read changes neither the list nor who is sent to', async (context) => {
  const sandbox = await openRelay(context);
  const rows = Array.from(
    { length: 30_000 },
    (_, n) => `reader${n}@example.com,N,${n % 3 === 0 ? 'Asia/Tokyo' : ''}`,
  );
  const allDay = 'sendWindows: [{ from: "00:00", to: "24:00" }]\n';
  const folder = new Folder(context, {
    'campaign.yaml': zonedYaml + allDay,
    'list.csv': `email,first_name,tz\n${rows.join('\n')}\n`,
  });
  const running = folder.start(sendArgs(sandbox));
  while (sandbox.messages().length === 0 && running.child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 5));
  running.child.kill('SIGKILL');
  await running.ended;
  // Those of Tokyo are on the campaign’s clocks then, too.
  folder.write('campaign.yaml', campaignYaml + makeWindow().yaml);
  const ended = await folder.run(sendArgs(sandbox));
  assert.deepEqual([ended.code, summaryIn(ended).accepted], [0, 30_000], ended.stderr);
});

test('without windows, or with a column that the list does not have, nothing is stored and the error says what to do', async (context) => {
  const sandbox = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': zonedYaml, 'list.csv': zonedList });
  const noWindows = await folder.run(sendArgs(sandbox));
  assert.equal(noWindows.code, 65);
  assert.match(
    noWindows.stderr,
    /campaign\.yaml:6:\d+: list\.timezone is there without sendWindows; expected sendWindows/,
  );
  folder.write('campaign.yaml', zonedYaml + makeWindow().yaml);
  folder.write('list.csv', zonedList.replace('tz', 'zone'));
  const noColumn = await folder.run(sendArgs(sandbox));
  assert.equal(noColumn.code, 65);
  assert.match(noColumn.stderr, /list\.csv has no column "tz".*its columns are: email, first_name, zone/);
  assert.match(noColumn.stderr, /Name the column with the timezones in list\.timezone/);
  const status = await folder.run(['status', '--state', 'state', '--json']);
  assert.match(status.stdout, /"rows":0,.*"pending":0/);
  assert.deepEqual(takenBy(sandbox), []);
});
