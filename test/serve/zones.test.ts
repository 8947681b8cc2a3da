// A campaign in the daemon whose recipients' windows are closed: what is told of it, and that it can be steered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeWindow, zonedList, zonedYaml } from '../cli/zones.ts';
import { isFinished, openServing } from './serving.ts';

test('it is waiting, and the reason says until when, over a restart, too; cancelled, nobody waits any more', async (context) => {
  const serving = await openServing(context, 1);
  const { yaml, opensAt } = makeWindow();
  serving.folder.write('campaign.yaml', zonedYaml + yaml);
  serving.folder.write('list.csv', zonedList);
  await serving.start();
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  for (const isLast of [false, true]) {
    const shown = await serving.until(({ reason }) => reason !== undefined);
    assert.deepEqual([shown.state, shown.reason], ['waiting', `it may not send before ${opensAt}`]);
    assert.deepEqual([shown.pending, shown.tally.accepted, shown.nextDueAt], [2, 3, opensAt]);
    assert.match(await serving.ok(['status']), /waiting/);
    if (isLast) break;
    assert.equal((await serving.stop()).code, 0);
    await serving.start();
  }
  await serving.ok(['cancel', 'spring']);
  assert.equal((await serving.until(isFinished)).tally.cancelled, 2);
  assert.equal((await serving.stop()).code, 0);
});
