// A later list that grows while it is read: what was not in it when it was added is not stored as if it had been.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openRelay, sendArgs, takenBy } from './lists.ts';
import { campaignYaml, Folder, makeList, summaryIn } from './posthaste.ts';

const preload = fileURLToPath(new URL('grow_at_commit.ts', import.meta.url));

test('a later list that has grown behind its survey is refused, and can be completed as it was', async (context) => {
  const relay = await openRelay(context);
  const later = makeList(5, 21);
  const files = { 'campaign.yaml': campaignYaml, 'first.csv': makeList(20), 'later.csv': later };
  const folder = new Folder(context, files);
  assert.equal((await folder.run(sendArgs(relay, 'first.csv'))).code, 0);
  // The opening of the ledger is the first commit, the list's addition the second.
  const env = {
    NODE_OPTIONS: `--import ${preload}`,
    GROW_AT: '2',
    GROW_FILE: join(folder.path, 'later.csv'),
    GROW_TEXT: 'late@example.com,L\n',
  };
  const grown = await folder.run(sendArgs(relay, 'later.csv'), { env });
  assert.equal(grown.code, 65, grown.stderr);
  assert.match(grown.stderr, /it has grown while it was read.*\n {2}\S/);
  const whole = folder.read('later.csv');
  assert.notEqual(whole, later);
  folder.write('later.csv', later);
  const completed = summaryIn(await folder.run(sendArgs(relay, 'later.csv')));
  assert.deepEqual([completed.end, completed.rows, completed.accepted], ['finished', 25, 25]);
  folder.write('later.csv', whole);
  const added = summaryIn(await folder.run(sendArgs(relay, 'later.csv')));
  assert.deepEqual([added.end, added.known, added.accepted, takenBy(relay).length], ['finished', 5, 26, 26]);
});
