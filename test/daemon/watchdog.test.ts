// The watchdog: what counts as progress, and what may rightly stand still.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readProgress } from '../../src/daemon/progress.ts';
import { Watchdog, type Progress } from '../../src/daemon/watchdog.ts';
import { campaignYaml, makeList } from '../cli/posthaste.ts';
import { openKeeping, submit, until } from './keeping.ts';

test('it is fed while something is written down or nothing is to be done, and not when sending stands still', () => {
  const minute = 60_000;
  const cases: [string, (look: number) => Progress, boolean][] = [
    ['idle', () => ({ commits: 0, underWay: 0 }), true],
    ['busy', (look) => ({ commits: look, underWay: 3 }), true],
    ['held by limits', () => ({ commits: 5, underWay: 0 }), true],
    ['stuck', () => ({ commits: 5, underWay: 3 }), false],
    ['opened again, and stuck', (look) => ({ commits: look < 5 ? 9 : 0, underWay: 1 }), false],
  ];
  for (const [name, progressAt, expected] of cases) {
    const watchdog = new Watchdog();
    let isSound = true;
    for (let look = 0; look < 30; look += 1) isSound = watchdog.isSound(progressAt(look), look * minute);
    assert.equal(isSound, expected, name);
  }
});

test('a batch that takes long makes progress, and a campaign that is held hides no other one', async (context) => {
  const keeping = await openKeeping(context, 'maxConnections: 5, rate: 5/s');
  const daemon = keeping.open();
  await daemon.start();
  assert.deepEqual(readProgress(daemon), { commits: 0, underWay: 0 });
  await submit(daemon, makeList(250), `${campaignYaml.replace('spring', 'hourly')}rate: 1/h\n`);
  await until(() => keeping.taken().size === 1, 'the first of the hour');
  await until(() => readProgress(daemon).underWay === 0, 'the hold');
  await submit(daemon, makeList(250, 251));
  await until(() => keeping.taken().size > 3);
  const { commits, underWay } = readProgress(daemon);
  assert.equal(underWay, 1);
  await sleep(1000);
  assert.ok(readProgress(daemon).commits > commits);
  daemon.stop('now');
  await daemon.over();
});
