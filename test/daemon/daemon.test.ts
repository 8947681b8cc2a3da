// The daemon's own states: told to stop at any moment it stops, and what it was told to hold it holds.
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { openLog } from '../../src/daemon/log.ts';
import { Service } from '../../src/daemon/serve.ts';
import { openKeeping } from './keeping.ts';

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
