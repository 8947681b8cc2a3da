// The event log on a real disk: ids that go on, rotation, followers, damage, and a disk that is full.
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { EventLog, type EventLogOptions } from '../../src/events/event_log.ts';
import { mountSmall } from '../crash/small_disk.ts';

function makeDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-events-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function open(directory: string, changed: Partial<EventLogOptions> = {}): EventLog {
  return new EventLog({
    directory,
    mostBytes: 1_000_000,
    keptFiles: 5,
    now: () => 0,
    onTrouble: () => {},
    ...changed,
  });
}

function linesIn(directory: string): string[] {
  return readdirSync(directory)
    .sort()
    .flatMap((name) => readFileSync(join(directory, name), 'utf8').trimEnd().split('\n'));
}

/** The ids of the next `count` events behind `since`. */
async function follow(log: EventLog, since: number, count: number): Promise<string[]> {
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const { id, kind } of log.follow(since, stop.signal)) {
    seen.push(`${id} ${kind}`);
    if (seen.length === count) stop.abort();
  }
  return seen;
}

test('an event is one line with id and instant in front, and ids go on over restarts', (context) => {
  const directory = makeDirectory(context);
  for (const kind of ['first', 'second']) {
    const log = open(directory);
    log.append({ kind });
    log.close();
  }
  assert.deepEqual(linesIn(directory), [
    '{"id":1,"at":"1970-01-01T00:00:00.000Z","kind":"first"}',
    '{"id":2,"at":"1970-01-01T00:00:00.000Z","kind":"second"}',
  ]);
});

test('what a killed process has left of a line is cut off, and a damaged line is passed over', async (context) => {
  const directory = makeDirectory(context);
  const first = open(directory);
  first.append({ kind: 'whole' });
  first.close();
  const [name = ''] = readdirSync(directory);
  appendFileSync(join(directory, name), 'rubbish\n{"id":2,"at":"x","kind":"who');
  const log = open(directory);
  context.after(() => log.close());
  log.append({ kind: 'next' });
  assert.deepEqual(await follow(log, 0, 2), ['1 whole', '2 next']);
});

test('files are rotated and the oldest go; who comes too late is told so', async (context) => {
  const directory = makeDirectory(context);
  const log = open(directory, { mostBytes: 200_000, keptFiles: 3 });
  context.after(() => log.close());
  for (let id = 1; id <= 20_000; id += 1) log.append({ kind: 'filler' });
  const files = readdirSync(directory);
  assert.ok(files.length <= 3, files.join());
  const [gone, ...rest] = await follow(log, 0, 100);
  assert.match(gone ?? '', / eventsGone$/);
  const [next = ''] = rest;
  assert.equal(Number(next.split(' ')[0]), Number((gone ?? '').split(' ')[0]) + 1);
  assert.deepEqual(await follow(log, 19_998, 2), ['19999 filler', '20000 filler']);
});

test('a follower hears what comes, over rotations, each event once and in order', async (context) => {
  const directory = makeDirectory(context);
  const log = open(directory, { mostBytes: 100_000 });
  context.after(() => log.close());
  const following = follow(log, 0, 6000);
  for (let id = 1; id <= 6000; id += 1) {
    log.append({ kind: 'live' });
    if (id % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const seen = await following;
  assert.deepEqual(
    seen,
    Array.from({ length: 6000 }, (_, index) => `${index + 1} live`),
  );
});

test('on a full disk nothing stops; once there is room the log goes on and tells what it lacks', async (context) => {
  const disk = mountSmall(context, 300);
  if (disk === undefined) return context.skip('no tmpfs can be mounted here');
  const troubles: string[] = [];
  const log = open(join(disk.path, 'events'), {
    mostBytes: 100_000_000,
    onTrouble: (thrown) => troubles.push(thrown === undefined ? 'over' : 'begun'),
  });
  context.after(() => log.close());
  const filler = { kind: 'filler', text: 'x'.repeat(1000) };
  for (let id = 1; id <= 6000; id += 1) log.append(filler);
  assert.deepEqual(troubles, ['begun']);
  const { dropped } = log;
  assert.ok(dropped > 0);
  disk.resize(20_000);
  while (log.dropped > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(troubles, ['begun', 'over']);
  const kept = 6000 - dropped;
  const seen = await follow(log, 0, kept + 1);
  assert.equal(seen.at(-2), `${kept} filler`);
  assert.equal(seen.at(-1), `${kept + 1} eventsDropped`);
});
