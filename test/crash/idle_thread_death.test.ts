// Threads that die with nothing to do, or before they are there: the run goes on, or ends as the contract says.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { openMailing } from './mailing.ts';

const preload = fileURLToPath(new URL('break_idle.ts', import.meta.url));

test('a thread that dies while all that is pending is due later is replaced; nobody is in doubt', async (context) => {
  const faults = [parseFault('rcpt reader7@example.com first: 450 4.2.1 busy')];
  const mailing = await openMailing(context, { rows: 20, sandbox: { faults } });
  // Row 7 is due in a second at the soonest, and the thread has nothing until then.
  mailing.folder.write(
    'campaign.yaml',
    mailing.folder.read('campaign.yaml').replace('first: 200ms', 'first: 2s').replace('max: 1s', 'max: 2s'),
  );
  const file = join(mailing.folder.path, 'break');
  const env = { NODE_OPTIONS: `--import ${preload}`, BREAK_WHEN: 'idle', BREAK_FILE: file };
  const running = mailing.start({ env });
  const waits = setInterval(() => {
    if (mailing.taken().size === 19) mailing.folder.write('break', '');
  }, 5);
  context.after(() => clearInterval(waits));
  const ended = await running.ended;
  clearInterval(waits);
  assert.match(ended.stderr, /"a bug that nobody foresaw".*"a sending thread died"/);
  mailing.assertTruthful(ended);
  assert.deepEqual([mailing.reported.size, mailing.sentTwice()], [0, []]);
});

test('threads that cannot be loaded end the run with 70; the same command goes on', async (context) => {
  const mailing = await openMailing(context, { rows: 20 });
  const env = { NODE_OPTIONS: `--import ${preload}`, BREAK_WHEN: 'loading' };
  const ended = await mailing.run({ env });
  assert.equal(ended.code, 70, ended.stderr);
  assert.match(ended.stderr, /sending threads died one after the other.*\n {2}\S/);
  mailing.assertTruthful(await mailing.run());
});
