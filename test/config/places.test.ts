// Where state and socket are, for those who only look or ask: two keys, whatever the rest of the file is.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load_config.ts';
import { findPlaces } from '../../src/config/places.ts';
import { errorOf, makeFolder } from './problems.ts';

test('they are where the whole configuration has them', (t) => {
  const yaml = 'state: st\ncontrol: { socket: "${RUN}/c.sock" }\n';
  const folder = makeFolder(t, { 'p.yaml': yaml, 'bare.yaml': 'threads: 1\n' });
  for (const [file, env] of [
    ['p.yaml', { RUN: 'run' }],
    ['bare.yaml', {}],
    ['bare.yaml', { STATE_DIRECTORY: '/s:/t', RUNTIME_DIRECTORY: '/r:/q' }],
  ] as const) {
    const { stateDir, control } = loadConfig(join(folder, file), env);
    assert.deepEqual(findPlaces(join(folder, file), env), { stateDir, socketPath: control.socketPath });
  }
  assert.equal(findPlaces(join(folder, 'p.yaml'), { RUN: '/r' }, { state: '/o' }).stateDir, '/o');
});

test('neither the secrets of others nor what is wrong elsewhere in the file is in the way', (t) => {
  const yaml =
    'state: st\nthread: 1\nrelays: { a: { host: "${NOT_SET}", auth: { pass: { credential: x } } } }\n';
  const folder = makeFolder(t, { 'p.yaml': yaml, 'q.yaml': 'state: "${NOT_SET}"\n', 'r.yaml': 'state: [\n' });
  assert.equal(findPlaces(join(folder, 'p.yaml'), {}).socketPath, join(folder, 'st/control.sock'));
  assert.match(
    errorOf(() => findPlaces(join(folder, 'q.yaml'), {})).message,
    /q\.yaml:1:8: state needs .*NOT_SET/,
  );
  assert.equal(errorOf(() => findPlaces(join(folder, 'r.yaml'), {})).code, 'ERR_CONFIG_INVALID');
  assert.equal(errorOf(() => findPlaces(join(folder, 'none.yaml'), {})).code, 'ERR_CONFIG_READ');
});

test('the configuration of a unit leads to the directories that systemd made for it', (t) => {
  const folder = makeFolder(t, {
    'etc/posthaste.yaml': 'threads: 1\n',
    'etc/shop.yaml': 'threads: 1\n',
    'etc/own.yaml': 'state: st\n',
    'run/control.sock': '',
    'run/shop/control.sock': '',
  });
  const roots = { config: join(folder, 'etc'), state: join(folder, 'lib'), runtime: join(folder, 'run') };
  const find = (name: string, state?: string) => findPlaces(join(folder, 'etc', name), {}, { state }, roots);
  assert.equal(find('posthaste.yaml').socketPath, join(folder, 'run/control.sock'));
  assert.equal(find('shop.yaml').socketPath, join(folder, 'run/shop/control.sock'));
  assert.equal(
    find('own.yaml').socketPath,
    join(folder, 'etc/st/control.sock'),
    'no unit of this name has one',
  );
  assert.equal(find('shop.yaml', '/s').socketPath, '/s/control.sock', 'another state is meant');
  assert.notEqual(find('shop.yaml').stateDir, join(folder, 'lib/shop'), 'it is not there');
  mkdirSync(join(folder, 'lib/shop'), { recursive: true });
  assert.equal(find('shop.yaml').stateDir, join(folder, 'lib/shop'));
  assert.equal(find('own.yaml').stateDir, join(folder, 'etc/st'));
});
