// A pipe whose writer says nothing more and does not end: SIGTERM is heard all the same.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { openRelay, sendArgs, takenBy } from './lists.ts';
import { campaignYaml, Folder, makeList, summaryIn, type Running } from './posthaste.ts';

const rows = 5000;

interface Piped {
  readonly relay: Sandbox;
  readonly folder: Folder;
  readonly writer: FileHandle;
}

/** A pipe that has a writer until the test ends. */
async function openPiped(context: TestContext): Promise<Piped> {
  const relay = await openRelay(context);
  const folder = new Folder(context, { 'campaign.yaml': campaignYaml, 'list.csv': makeList(rows) });
  execFileSync('mkfifo', [join(folder.path, 'pipe')]);
  // For both, so that nobody waits for anybody.
  const writer = await open(join(folder.path, 'pipe'), 'r+');
  context.after(() => writer.close());
  return { relay, folder, writer };
}

/** The program takes the place of the shell, so that it is the one that gets the signal. */
function startPiped({ folder, relay }: Piped, list: string): Running {
  return folder.start(sendArgs(relay, list), { under: ['sh', '-c', 'exec "$@" < pipe', 'sh'] });
}

for (const [what, list] of [
  ['standard input', '-'],
  ['a named pipe', 'pipe'],
] as const) {
  test(`a first list from ${what} that has fallen silent is left at SIGTERM, and goes on`, async (context) => {
    const piped = await openPiped(context);
    const { relay, folder, writer } = piped;
    const running = startPiped(piped, list);
    await writer.writeFile(makeList(3000));
    await running.said(/campaign started/);
    running.child.kill('SIGTERM');
    const stopped = await running.ended;
    assert.deepEqual([stopped.code, summaryIn(stopped).end], [75, 'stopped'], stopped.stderr);
    const resumed = summaryIn(await folder.run(sendArgs(relay)));
    assert.deepEqual([resumed.end, resumed.rows, resumed.accepted], ['finished', rows, rows]);
    assert.deepEqual([takenBy(relay).length, new Set(takenBy(relay)).size], [rows, rows]);
  });
}

for (const list of ['-', 'pipe']) {
  test(`a later list from ${list} that has fallen silent is left at SIGTERM, and changes nothing`, async (context) => {
    const piped = await openPiped(context);
    const { relay, folder, writer } = piped;
    folder.write('first.csv', makeList(10));
    assert.equal((await folder.run(sendArgs(relay, 'first.csv'))).code, 0);
    const running = startPiped(piped, list);
    // More than a pipe holds: it is being read once this is written.
    await writer.writeFile(makeList(rows));
    running.child.kill('SIGTERM');
    const stopped = await running.ended;
    assert.equal(stopped.code, 75, stopped.stderr);
    assert.equal(takenBy(relay).length, 10);
    assert.equal((await folder.run(['audit', 'spring', '--state', 'state'])).code, 0);
  });
}

test('a named pipe that nobody has opened for writing is left at SIGTERM', async (context) => {
  const { relay, folder } = await openPiped(context);
  execFileSync('mkfifo', [join(folder.path, 'lonely')]);
  const running = folder.start(sendArgs(relay, 'lonely'));
  await running.said(/campaign started/);
  running.child.kill('SIGTERM');
  const stopped = await running.ended;
  assert.equal(stopped.code, 75, stopped.stderr);
});

test('stopped while a batch fills, summary, status, audit and results count the same rows', async (context) => {
  const { relay, folder, writer } = await openPiped(context);
  const running = folder.start([...sendArgs(relay, 'pipe'), '--results', 'out.csv']);
  // The 2,000th row is within a batch, because of the one that is in none.
  await writer.writeFile(makeList(2100).replace('reader5@', 'reader5 at '));
  await running.said(/campaign started/);
  while (takenBy(relay).length < 1749) await delay(5);
  running.child.kill('SIGTERM');
  const stopped = summaryIn(await running.ended);
  assert.deepEqual([stopped.rows, stopped.accepted + stopped.deferred, stopped.invalid], [1751, 1750, 1]);
  assert.equal(folder.read('out.csv').trimEnd().split('\r\n').length - 1, 1751);
  for (const command of ['audit', 'status']) {
    const { stdout } = await folder.run([command, 'spring', '--state', 'state', '--json']);
    const answer = JSON.parse(stdout);
    assert.equal((answer.campaigns?.[0] ?? answer).rows, 1751, stdout);
  }
});
