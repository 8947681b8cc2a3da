// The daemon's own states: told to stop at any moment it stops, and what it was told to hold it holds.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { ExitCode, PosthasteError } from '../../src/base/error.ts';
import { openLog } from '../../src/daemon/log.ts';
import { createReloader } from '../../src/daemon/reload.ts';
import { Service } from '../../src/daemon/serve.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { makeList } from '../cli/posthaste.ts';
import { assertEachOnce } from '../serve/serving.ts';
import { openKeeping, silentLog, stop, submit, until } from './keeping.ts';

test('told to stop while it opens, the daemon stops', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  const starting = daemon.start();
  daemon.stop('drain');
  await starting;
  await daemon.over();
  assert.equal(daemon.engineOrNone, undefined);
});

test('told to stop while it opens again after trouble, the daemon stops', async (context) => {
  const keeping = await openKeeping(context);
  const config = keeping.load();
  let isOpenedAgain = false;
  const daemon = keeping.open({
    ...config,
    // It looks here first.
    get threads() {
      if (isOpenedAgain) daemon.stop('drain');
      return config.threads;
    },
  });
  await daemon.start();
  isOpenedAgain = true;
  daemon.engine.fail(
    new PosthasteError({ code: 'ERR_STATE_IO', message: 'a test', hint: 'none', exitCode: ExitCode.ioError }),
  );
  await daemon.over();
  assert.equal(daemon.engineOrNone, undefined);
});

test('told to stop while it opens, the service never says that it is ready', async (context) => {
  const keeping = await openKeeping(context);
  let text = '';
  const stream = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk);
      done();
    },
  });
  const log = openLog({ level: 'info', style: 'json', hide: undefined }, stream);
  const service = new Service({
    config: keeping.load(),
    load: keeping.load,
    log,
    hide: undefined,
    version: '0',
  });
  const starting = service.start();
  service.stop('drain');
  await starting;
  await service.over();
  assert.doesNotMatch(text, /"msg":"ready"/);
});

test('a stored campaign that cannot be loaded any more is mended by submitting it again', async (context) => {
  const keeping = await openKeeping(context);
  keeping.folder.write('state/campaigns/spring/plan/campaign.yaml', 'name: spring\nfrom: nobody\n');
  keeping.folder.write('state/campaigns/spring/lists/000001-w-list.csv', makeList(20));
  const daemon = keeping.open();
  await daemon.start();
  assert.equal(daemon.campaigns.size, 0);
  await submit(daemon, makeList(20, 21));
  await until(() => keeping.taken().size === 40, 'both lists');
  assertEachOnce(keeping.taken(), 40);
  await stop(daemon);
});

test('an engine that cannot begin leaves the ledger to the next one', async (context) => {
  const keeping = await openKeeping(context, 'maxConnections: 5, rate: 100/h');
  await (await openLedger({ directory: keeping.stateDir })).close();
  const database = new DatabaseSync(join(keeping.stateDir, 'ledger.db'));
  database.exec("CREATE TRIGGER refuse BEFORE INSERT ON quota BEGIN SELECT RAISE(ABORT, 'refused'); END");
  database.close();
  await assert.rejects(keeping.open().start(), /refused/);
  await (await openLedger({ directory: keeping.stateDir })).close();
});

test('what only a restart can change stays as it is, and each reload says so', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  await daemon.start();
  const reloader = createReloader(daemon, silentLog(), keeping.load);
  const config = keeping.folder.read('posthaste.yaml').replace('state: state', 'state: elsewhere');
  keeping.folder.write('posthaste.yaml', config.replace('maxConnections: 5', 'maxConnections: 4'));
  const first = await reloader.reload();
  assert.ok(first.needsRestart.includes('stateDir'));
  assert.deepEqual(first.applied, ['relays.primary']);
  const second = await reloader.reload();
  assert.deepEqual(second.needsRestart, first.needsRestart);
  assert.deepEqual(second.applied, []);
  for (const { stateDir } of [daemon.config, daemon.engine.options]) assert.equal(stateDir, keeping.stateDir);
  assert.equal(daemon.engine.relay('primary')?.maxConnections, 4);
  await stop(daemon);
});

test('a paused relay that goes with one reload and comes with the next is paused', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  await daemon.start();
  const reloader = createReloader(daemon, silentLog(), keeping.load);
  daemon.holdRelay('primary', true);
  const config = keeping.folder.read('posthaste.yaml');
  for (const text of [config.replace('primary', 'second'), config]) {
    keeping.folder.write('posthaste.yaml', text);
    assert.equal((await reloader.reload()).ok, true);
  }
  assert.equal(daemon.engine.dispatcher.relays.find('primary')?.isHeld, true);
  await stop(daemon);
});
