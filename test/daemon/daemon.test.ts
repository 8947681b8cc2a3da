// The daemon's own states: told to stop at any moment it stops, and what it was told to hold it holds.
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { openLog } from '../../src/daemon/log.ts';
import { Service } from '../../src/daemon/serve.ts';
import { makeList } from '../cli/posthaste.ts';
import { assertEachOnce } from '../serve/serving.ts';
import { openKeeping, stop, submit, until } from './keeping.ts';

test('told to stop while it opens, the daemon stops', async (context) => {
  const keeping = await openKeeping(context);
  const daemon = keeping.open();
  const starting = daemon.start();
  daemon.stop('drain');
  await starting;
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
