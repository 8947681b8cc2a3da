// The map of the house: which folder may import which, and which file is the door to an outside package.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const source = resolve(import.meta.dirname, '../../src');

/** Folder → folders it may import besides its own. */
const allowed: Record<string, readonly string[]> = {
  base: [],
  mail: ['base'],
  config: ['base', 'mail'],
  intake: ['base', 'mail'],
  compose: ['base', 'mail'],
  smtp: ['base', 'mail'],
  journal: ['base', 'mail'],
  ledger: ['base', 'mail'],
  schedule: ['base', 'mail'],
  sign: ['base', 'mail'],
  events: ['base', 'mail'],
  metrics: ['base', 'mail'],
  control: ['base', 'mail'],
  sandbox: ['base', 'mail'],
  worker: ['base', 'mail', 'compose', 'smtp', 'schedule', 'sign', 'journal'],
  dispatch: ['base', 'mail', 'schedule', 'smtp', 'journal', 'worker'],
  daemon: [
    'base',
    'mail',
    'config',
    'intake',
    'compose',
    'smtp',
    'ledger',
    'journal',
    'schedule',
    'sign',
    'events',
    'metrics',
    'control',
    'sandbox',
    'worker',
    'dispatch',
  ],
  cli: ['base', 'mail', 'config', 'ledger', 'control', 'sandbox', 'daemon'],
  'main.ts': ['cli'],
};

/** Outside package → the only places that may import it. */
const doors: Record<string, readonly string[]> = {
  piscina: ['dispatch/worker_pool.ts'],
  nodemailer: ['smtp/handshake.ts', 'compose/', 'config/relay_service.ts'],
  'p-limit': ['smtp/pool.ts'],
  'prom-client': ['metrics/'],
  pino: ['daemon/log.ts'],
  yaml: ['config/'],
  zod: ['config/', 'control/'],
  liquidjs: ['compose/'],
  '@css-inline/css-inline': ['compose/css.ts'],
  mjml: ['compose/mjml.ts'],
  commander: ['cli/'],
  'csv-parse': ['intake/csv.ts'],
  'node:sqlite': ['ledger/'],
  'node:worker_threads': ['worker/entry.ts', 'dispatch/worker_pool.ts', 'schedule/limiter_memory.ts'],
};

interface Import {
  readonly file: string;
  readonly target: string;
}

test('every import goes the way that the map of the house allows', () => {
  const breaches = listImports()
    .filter(({ target }) => target.startsWith('.'))
    .filter(({ file, target }) => !isAllowed(file, target))
    .map(({ file, target }) => `${file} imports ${target}`);
  assert.deepEqual(breaches, []);
});

test('every outside package comes in by its own door', () => {
  const breaches = listImports()
    .filter(({ target }) => !target.startsWith('.') && !isAtItsDoor(target))
    .map(({ file, target }) => `${file} imports ${target}`);
  assert.deepEqual(breaches, []);

  function isAtItsDoor(target: string): boolean {
    return listImports()
      .filter((one) => one.target === target)
      .every(({ file }) => mayUse(file, target));
  }
});

test('an optional package is named only at its door, and by nothing that loads it for everybody', () => {
  const { peerDependenciesMeta: optional }: { peerDependenciesMeta: Record<string, { optional: boolean }> } =
    JSON.parse(readFileSync(join(source, '../package.json'), 'utf8'));
  for (const [name, meta] of Object.entries(optional)) {
    assert.equal(meta.optional, true, name);
    assert.deepEqual(
      listImports().filter(({ target }) => target.startsWith(name)),
      [],
    );
    const named = listFiles().filter((file) =>
      readFileSync(join(source, file), 'utf8').includes(`'${name}'`),
    );
    assert.deepEqual(named, doors[name]);
  }
});

test('every folder of the source is on the map, and every room of the map exists', () => {
  const rooms = readdirSync(source).sort();
  assert.deepEqual(rooms, Object.keys(allowed).sort());
});

test('every file says its job in its first line', () => {
  const silent = listFiles().filter(
    (file) => !/^(#!.*\n)?\/\/ \S.*[.:]/.test(readFileSync(join(source, file), 'utf8')),
  );
  assert.deepEqual(silent, []);
});

test('every dependency of package.json has a door, and every door a dependency', () => {
  const manifest: Record<'dependencies' | 'peerDependencies', Record<string, string>> = JSON.parse(
    readFileSync(join(source, '../package.json'), 'utf8'),
  );
  const packages = Object.keys(doors).filter((name) => !name.startsWith('node:'));
  const wanted = { ...manifest.dependencies, ...manifest.peerDependencies };
  assert.deepEqual(Object.keys(wanted).sort(), packages.sort());
});

function isAllowed(file: string, target: string): boolean {
  const room = roomOf(file);
  const targetRoom = roomOf(relative(source, resolve(source, file, '..', target)));
  return room === targetRoom || (allowed[room] ?? []).includes(targetRoom);
}

function mayUse(file: string, target: string): boolean {
  const name = target.startsWith('@')
    ? target.split('/').slice(0, 2).join('/')
    : (target.split('/')[0] ?? '');
  const places = doors[name] ?? (name.startsWith('node:') ? [''] : []);
  return places.some((place) => file.startsWith(place));
}

function roomOf(file: string): string {
  return file.split('/')[0] ?? '';
}

function listFiles(): string[] {
  return readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
}

function listImports(): Import[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g;
  return listFiles().flatMap((file) => {
    const text = readFileSync(join(source, file), 'utf8');
    return [...text.matchAll(pattern)].map((match) => ({
      file,
      target: match[1] ?? match[2] ?? match[3] ?? '',
    }));
  });
}
