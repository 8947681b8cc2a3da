// Two of the same: a second process on one state directory, and the same list under another name.
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { summaryIn } from '../cli/posthaste.ts';
import { openMailing, until } from './mailing.ts';

test('a second process on the same state is refused at once, and the first goes on unharmed', async (context) => {
  const mailing = await openMailing(context, { rows: 400, sandbox: { latencyMs: 25 } });
  const first = mailing.start();
  await until(() => mailing.sandbox.stats().taken > 10);
  first.child.kill('SIGSTOP'); // However slow the second is, the first has not ended before it.
  for (const command of [
    ['audit', 'spring'],
    ['send', 'campaign.yaml', 'list.csv', '--relay', 'smtp://127.0.0.1:9'],
  ]) {
    const second = await mailing.folder.run([...command, '--state', mailing.state]);
    assert.equal(second.code, 75, second.stderr);
    assert.match(second.stderr, /is in use by another process.*\n {2}Wait for the other posthaste/s);
  }
  first.child.kill('SIGCONT');
  mailing.assertTruthful(await first.ended);
  assert.deepEqual(mailing.sentTwice(), []);
});

test('a process that was killed leaves no lock behind', async (context) => {
  const mailing = await openMailing(context, { rows: 400, sandbox: { latencyMs: 10 } });
  const first = mailing.start();
  await until(() => mailing.sandbox.stats().taken > 10);
  first.child.kill('SIGKILL');
  await first.ended;
  mailing.assertTruthful(await mailing.run());
});

test('the same list under another name goes on where it was, and once finished sends nothing', async (context) => {
  const mailing = await openMailing(context, { rows: 400, sandbox: { latencyMs: 10 } });
  const first = mailing.start();
  await until(() => mailing.sandbox.stats().taken > 10);
  first.child.kill('SIGTERM');
  assert.equal((await first.ended).code, 75);
  renameSync(join(mailing.folder.path, 'list.csv'), join(mailing.folder.path, 'renamed.csv'));
  mailing.list = 'renamed.csv';
  mailing.assertTruthful(await mailing.run());
  renameSync(join(mailing.folder.path, 'renamed.csv'), join(mailing.folder.path, 'again.csv'));
  mailing.list = 'again.csv';
  const last = await mailing.run();
  assert.equal(summaryIn(last).end, 'already');
  assert.equal(mailing.sandbox.messages().length, 400);
});
