import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { mountSmall } from '../crash/small_disk.ts';
import { campaignYaml, Folder, makeList, summaryIn } from './posthaste.ts';

test('a full disk ends with 74 and says so; on space the same command goes on, and nobody is lost', async (context) => {
  const sandbox = await startSandbox({ keep: 'envelopes' });
  context.after(() => sandbox.close());
  const rows = 20_000;
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(rows) });
  const disk = mountSmall(context, 1500);
  if (disk === undefined) return context.skip('this machine does not allow mounting a tmpfs');
  const args = [
    'send',
    'campaign.yaml',
    'list.csv',
    '--state',
    disk.path,
    '--json',
    '--relay',
    `smtp://127.0.0.1:${sandbox.port}`,
  ];
  const full = await folder.run(args);
  assert.equal(full.code, 74, full.stderr);
  assert.match(full.stderr, /no space|full/i);
  assert.match(full.stderr, /\n {2}\S/, 'what to do');
  disk.resize(65_536);
  const resumed = summaryIn(await folder.run(args));
  assert.deepEqual([resumed.end, resumed.rows, resumed.accepted], ['finished', rows, rows]);
  const recipients = sandbox.messages().flatMap((message) => message.recipients);
  assert.equal(new Set(recipients).size, rows);
  // What is not written down is not sent, and what was answered is in the journal: at most one for each session is in doubt.
  assert.ok(recipients.length - rows <= 5, `${recipients.length - rows} were sent twice`);
});
