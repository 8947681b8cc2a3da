// Campaigns that the daemon keeps: no list that was accepted is lost, and what is said to one counts, whenever it is said.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExitCode, PosthasteError } from '../../src/base/error.ts';
import { campaignYaml, makeList } from '../cli/posthaste.ts';
import { assertEachOnce } from '../serve/serving.ts';
import {
  blockCompletion,
  blockEarlierRows,
  blockIntake,
  openKeeping,
  stop,
  submit,
  until,
} from './keeping.ts';

test('a later list that is being read when the daemon stops is read by the next one', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  await daemon.start();
  const kept = await submit(daemon, makeList(20));
  await until(() => kept.state.kind === 'finished');
  const reading = blockEarlierRows(daemon.engine.ledger);
  await submit(daemon, makeList(20, 21));
  await reading.met;
  daemon.stop('drain');
  reading.letGo();
  await daemon.over();
  const next = keeping.open();
  await next.start();
  await until(() => keeping.taken().size === 40, 'the later list');
  await until(() => next.campaigns.get('spring')?.state.kind === 'finished');
  assertEachOnce(keeping.taken(), 40);
  assert.equal(next.store.nextList('spring'), undefined);
  await stop(next);
});

test('a later list that is being read when its campaign is paused is read once it goes on', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  await daemon.start();
  const kept = await submit(daemon, makeList(20));
  await until(() => kept.state.kind === 'finished');
  const reading = blockEarlierRows(daemon.engine.ledger);
  await submit(daemon, makeList(20, 21));
  await reading.met;
  await kept.pause('a test');
  reading.letGo();
  await until(() => kept.state.kind === 'paused');
  await kept.resume();
  await until(() => keeping.taken().size === 40, 'the later list');
  assertEachOnce(keeping.taken(), 40);
  await stop(daemon);
});

test('lists that come while one is read are all taken, and each goes once the ledger has it', async (context) => {
  const keeping = await openKeeping(context, 'maxConnections: 5, rate: 200/s');
  const daemon = keeping.open();
  await daemon.start();
  const kept = await submit(daemon, makeList(20));
  await until(() => kept.state.kind === 'finished');
  const reading = blockEarlierRows(daemon.engine.ledger);
  await submit(daemon, makeList(100, 21));
  await reading.met;
  await submit(daemon, makeList(100, 121));
  reading.letGo();
  await until(() => daemon.store.nextList('spring') === undefined, 'the end of the lists');
  assert.equal(kept.state.kind, 'running', 'their files go before their messages');
  await until(() => kept.state.kind === 'finished');
  assertEachOnce(keeping.taken(), 220);
  await stop(daemon);
});

test('a disk that is full while a list is stored fails no campaign: it goes on once there is room', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  await daemon.start();
  const { ledger } = daemon.engine;
  ledger.storeIntake = () =>
    Promise.reject(
      new PosthasteError({
        code: 'ERR_STATE_FULL',
        message: 'the ledger cannot grow',
        hint: 'none',
        exitCode: ExitCode.ioError,
      }),
    );
  const kept = await submit(daemon, makeList(20));
  await until(() => daemon.trouble !== undefined, 'the trouble');
  assert.equal(kept.state.kind, 'stopped');
  await until(() => kept.state.kind === 'finished');
  assert.equal(daemon.trouble, undefined);
  assertEachOnce(keeping.taken(), 20);
  await stop(daemon);
});

test('a list that comes while the one before is stored does not wait until that one is sent', async (context) => {
  const keeping = await openKeeping(context, 'maxConnections: 5, rate: 4/s');
  const daemon = keeping.open();
  await daemon.start();
  const storing = blockCompletion(daemon.engine.ledger);
  const kept = await submit(daemon, makeList(100));
  await storing.met;
  await submit(daemon, makeList(100, 101));
  storing.letGo();
  await until(() => daemon.store.nextList('spring') === undefined, 'the second list');
  assert.ok(keeping.taken().size < 100);
  assert.equal((await daemon.engine.ledger.findCampaign('spring'))?.rows, 200);
  assert.equal(kept.state.kind, 'running');
  await stop(daemon);
});

test('a list that is being read is read on when another one comes', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  await daemon.start();
  const kept = await submit(daemon, makeList(20));
  await until(() => kept.state.kind === 'finished');
  const reading = blockEarlierRows(daemon.engine.ledger);
  await submit(daemon, makeList(20, 21));
  await reading.met;
  await submit(daemon, makeList(20, 41));
  reading.letGo();
  await until(() => keeping.taken().size === 60);
  assertEachOnce(keeping.taken(), 60);
  assert.equal(reading.count, 2, 'each once');
  await stop(daemon);
});

test('paused at whatever moment of its beginning, a campaign sends nothing', async (context) => {
  const keeping = await openKeeping(context, 'maxConnections: 5, rate: 1000/s');
  const daemon = keeping.open();
  await daemon.start();
  // Inlining takes a while in which nothing is begun yet.
  const kept = await submit(daemon, makeList(5000), `${campaignYaml}css: inline\n`);
  await kept.pause('a test');
  for (let turns = 0; turns < 20; turns += 1) {
    await until(() => kept.state.kind === 'paused');
    await kept.resume();
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    await kept.pause('a test');
    await sleep(50);
    const { taken } = keeping.sandbox.stats();
    await sleep(50);
    assert.equal(keeping.sandbox.stats().taken, taken, `paused after ${turns} turns`);
  }
  await stop(daemon);
});

test('retried again before it has begun, a campaign is begun once, and pause reaches it', async (context) => {
  const keeping = await openKeeping(context, 'maxConnections: 5, rate: 50/s');
  const daemon = keeping.open();
  await daemon.start();
  const kept = await submit(daemon, makeList(200), `${campaignYaml}css: inline\n`);
  await until(() => keeping.taken().size > 5);
  await kept.cancel();
  await until(() => kept.state.kind === 'finished');
  const choice = { fates: new Set(['cancelled'] as const), categories: undefined };
  await kept.retry(choice);
  await assert.rejects(kept.retry(choice), { code: 'ERR_CAMPAIGN_STATE' });
  const before = keeping.taken().size;
  await until(() => keeping.taken().size > before);
  await kept.pause('a test');
  await sleep(300);
  const count = keeping.taken().size;
  await sleep(500);
  assert.equal(keeping.taken().size, count);
  assert.equal(kept.state.kind, 'paused');
  await kept.resume();
  await until(() => kept.state.kind === 'finished');
  assertEachOnce(keeping.taken(), 200);
  await stop(daemon);
});

const summer = campaignYaml.replaceAll('it is spring', 'it is summer');

test('replaced while the first of its list is stored, a campaign is refused, or sent anew as a whole', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  await daemon.start();
  const storing = blockIntake(daemon.engine.ledger);
  await submit(daemon, makeList(5000));
  await storing.met;
  const replacing = submit(daemon, makeList(5000), summer).then(
    () => 'summer',
    () => 'spring',
  );
  await sleep(100);
  storing.letGo();
  const expected = await replacing;
  await until(() => keeping.taken().size === 5000);
  assertEachOnce(keeping.taken(), 5000);
  const sent = keeping.sandbox.messages().map(({ data }) => /it is (\w+)/.exec(data.toString())?.[1]);
  assert.deepEqual([...new Set(sent)], [expected]);
  await stop(daemon);
});

test('replaced while it is paused, a campaign loses none of its lists', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  await daemon.start();
  const kept = await submit(daemon, makeList(20), `${campaignYaml}css: inline\n`);
  await kept.pause('a test');
  await submit(daemon, makeList(20, 21), `${summer}css: inline\n`);
  await until(() => kept.state.kind === 'paused');
  await kept.resume();
  await until(() => keeping.taken().size === 40, 'both lists');
  assertEachOnce(keeping.taken(), 40);
  for (const { data } of keeping.sandbox.messages()) assert.ok(data.includes('it is summer'));
  await stop(daemon);
});
