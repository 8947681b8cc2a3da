// Told to stop: what is in flight is finished within drainTimeout; what is not is cut off, and in doubt by name.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { summaryIn } from '../cli/posthaste.ts';
import { openMailing, until, type Mailing } from './mailing.ts';

/** Row 20 waits long for its reply, the first time. */
const slow = 'end reader20@example.com first: delay 3s';
const silent = 'end reader20@example.com first: silence';

async function open(
  context: Parameters<typeof openMailing>[0],
  fault: string,
  drainTimeout: string,
): Promise<Mailing> {
  const config = `drainTimeout: ${drainTimeout}\n`;
  return openMailing(context, { rows: 40, config, sandbox: { faults: [parseFault(fault)] } });
}

/** Everybody but row 20 and who is behind it in its session was taken: one waits, and nothing else is in flight. */
function isWaiting(mailing: Mailing): boolean {
  const taken = mailing.taken();
  return taken.size >= 38 && !taken.has(20);
}

test('SIGTERM waits for a relay that takes its time; nobody is in doubt and nobody gets it twice', async (context) => {
  const mailing = await open(context, slow, '1h');
  const running = mailing.start();
  // The sandbox has row 20 in hand and sits on its reply; all others are answered.
  await until(() => mailing.taken().size >= 38 && mailing.taken().has(20));
  running.child.kill('SIGTERM');
  const stopped = await running.ended;
  assert.equal(stopped.code === 0 || stopped.code === 75, true, stopped.stderr);
  mailing.assertTruthful(stopped.code === 0 ? stopped : await mailing.run());
  assert.deepEqual([mailing.reported.size, mailing.sentTwice()], [0, []]);
});

test('a relay that never answers is left after drainTimeout, and who waited for it is named', async (context) => {
  const mailing = await open(context, silent, '200ms');
  const running = mailing.start();
  await until(() => isWaiting(mailing));
  running.child.kill('SIGTERM');
  const stopped = await running.ended;
  assert.equal(stopped.code, 75, stopped.stderr);
  assert.equal(summaryIn(stopped).end, 'stopped');
  assert.deepEqual([...mailing.reported], [20]);
  mailing.assertTruthful(await mailing.run());
});

test('a second SIGTERM stops at once, however long drainTimeout is', async (context) => {
  const mailing = await open(context, silent, '1h');
  const running = mailing.start();
  await until(() => isWaiting(mailing));
  running.child.kill('SIGTERM');
  await running.said(/stopping; finishing what is in flight/);
  running.child.kill('SIGTERM');
  const stopped = await running.ended;
  assert.equal(stopped.code, 75, stopped.stderr);
  assert.deepEqual([...mailing.reported], [20]);
  mailing.assertTruthful(await mailing.run());
});

test('a list that turns out to be cut off does not wait for a silent relay longer than drainTimeout', async (context) => {
  const config = 'drainTimeout: 200ms\n';
  const mailing = await openMailing(context, {
    rows: 2500,
    config,
    sandbox: { faults: [parseFault(silent)] },
  });
  const whole = mailing.folder.read('list.csv');
  mailing.list = 'pipe';
  execFileSync('mkfifo', [join(mailing.folder.path, 'pipe')]);
  // For both, so that nobody waits for anybody.
  const writer = await openFile(join(mailing.folder.path, 'pipe'), 'r+');
  const running = mailing.start();
  await writer.writeFile(whole.slice(0, whole.lastIndexOf('reader2300@')));
  // The first 2,000 rows are stored, and sent but for one and who is behind it in its session.
  await until(() => mailing.taken().size >= 1900 && !mailing.taken().has(20));
  await writer.writeFile(whole.slice(whole.lastIndexOf('reader2300@'), -1));
  await writer.close();
  const ended = await running.ended;
  assert.equal(ended.code, 65, ended.stderr);
  assert.match(ended.stderr, /seems to be cut off/);
  assert.ok(mailing.reported.has(20), 'it was cut off, and is named');
  mailing.list = 'list.csv';
  mailing.assertTruthful(await mailing.run());
});
