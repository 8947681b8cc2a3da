// The permit queue: who may be granted is asked about and nobody else, in turn, and nobody is forgotten.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { seededRandom } from '../../src/base/random.ts';
import { attachLimiter, createLimiter, noLimit, type Limiter } from '../../src/schedule/limiter.ts';
import type { Limit } from '../../src/schedule/limit_record.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';
import { PermitQueue } from '../../src/schedule/permit_queue.ts';

interface Run {
  readonly name: string;
  readonly limits: readonly number[];
}

const perSecond = (name: string, count: number): Limit => ({
  kind: 'rate',
  name,
  rate: { count, perMs: 1000 },
});

/** A limiter that counts how often it is asked. */
function countTakes(limiter: Limiter): Limiter & { asked: number } {
  const counted = {
    asked: 0,
    take: (limits: readonly number[], nowMs: number, sizeBytes?: number) => {
      counted.asked += 1;
      return limiter.take(limits, nowMs, sizeBytes);
    },
    look: limiter.look.bind(limiter),
    release: limiter.release.bind(limiter),
    returnBytes: limiter.returnBytes.bind(limiter),
    setRate: limiter.setRate.bind(limiter),
    granted: limiter.granted.bind(limiter),
    releaseDead: limiter.releaseDead.bind(limiter),
    get changes() {
      return limiter.changes;
    },
  };
  return counted;
}

function open(): { table: LimitTable; limiter: ReturnType<typeof countTakes>; queue: PermitQueue<Run> } {
  const table = new LimitTable();
  const limiter = countTakes(attachLimiter(table.memory, 7));
  return {
    table,
    limiter,
    queue: new PermitQueue<Run>(limiter, (run, nowMs) => limiter.take(run.limits, nowMs)),
  };
}

test('10,000 lanes that wait cost a free one nothing: it is granted at the first question', () => {
  const { table, limiter, queue } = open();
  for (let lane = 0; lane < 10_000; lane += 1) {
    const limits = [table.put(perSecond(`lane ${lane}`, 1))];
    assert.equal(limiter.take(limits, 1000), undefined);
    queue.add({ name: `lane ${lane}`, limits });
  }
  const free = { name: 'free', limits: [] };
  queue.add(free);
  assert.equal(queue.take(1001), free);
  limiter.asked = 0;
  for (let turn = 0; turn < 100; turn += 1) {
    queue.add(free);
    assert.equal(queue.take(1002), free);
  }
  assert.equal(limiter.asked, 100);
  assert.equal(queue.nextAtMs, 2010);
});

test('10,000 that wait for one limit cost one question at a time, and are served in turn', () => {
  const { table, limiter, queue } = open();
  const limits = [table.put(perSecond('relay', 100))];
  for (let run = 0; run < 10_000; run += 1) queue.add({ name: `${run}`, limits });
  assert.equal(queue.take(1000)?.name, '0');
  assert.equal(queue.take(1000.5), undefined);
  limiter.asked = 0;
  const served: (string | undefined)[] = [];
  for (let turn = 0; turn < 20; turn += 1) {
    const nowMs = queue.nextAtMs;
    served.push(queue.take(nowMs)?.name);
    assert.equal(queue.take(nowMs), undefined);
  }
  assert.deepEqual(
    served,
    Array.from({ length: 20 }, (_, turn) => `${turn + 1}`),
  );
  assert.equal(limiter.asked, 40);
});

test('a limit that is raised is heard of at once', () => {
  const { table, limiter, queue } = open();
  const limits = [table.put({ kind: 'rate', name: 'slow', rate: { count: 1, perMs: 86_400_000 } })];
  assert.equal(limiter.take(limits, 1000), undefined);
  queue.add({ name: 'run', limits });
  assert.equal(queue.take(1001), undefined);
  assert.ok(queue.nextAtMs > 80_000_000);
  table.put(perSecond('slow', 1000));
  assert.equal(queue.take(1002)?.name, 'run');
  assert.equal(queue.nextAtMs, Infinity);
});

test('while the table is busy nobody is asked about, and nobody loses his place', () => {
  const { table, limiter, queue } = open();
  const limits = [table.put(perSecond('relay', 100))];
  for (const name of ['a', 'b']) queue.add({ name, limits });
  const lock = new Int32Array(table.memory.buffer, 0, 1);
  Atomics.store(lock, 0, 77);
  assert.equal(limiter.take([], 1000)?.limit, noLimit);
  assert.equal(queue.take(1000), undefined);
  assert.equal(queue.nextAtMs, 1001);
  Atomics.store(lock, 0, 0);
  assert.equal(queue.take(1001)?.name, 'a');
  assert.deepEqual(
    queue.clear().map(({ name }) => name),
    ['b'],
  );
  assert.equal(queue.size, 0);
});

test('whoever may be granted is granted, exactly as if everybody had been asked', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer(),
      (limitCount, runCount, seed) => {
        const random = seededRandom(seed);
        const { table, limiter, queue } = open();
        const handles = Array.from({ length: limitCount }, (_, index) =>
          table.put(perSecond(`${index}`, 1 + Math.floor(random() * 200))),
        );
        const runs = Array.from({ length: runCount }, (_, index) => ({
          name: `${index}`,
          limits: handles.filter(() => random() < 0.5),
        }));
        const waiting = new Set<Run>(runs);
        for (const run of runs) queue.add(run);
        for (let nowMs = 1000; nowMs < 1400; nowMs += 1 + random() * 3) {
          for (let run = queue.take(nowMs); run !== undefined; run = queue.take(nowMs)) waiting.delete(run);
          // Who is still waiting would be refused, if asked: nobody was overlooked.
          for (const run of waiting) assert.notEqual(limiter.take(run.limits, nowMs), undefined, run.name);
          assert.equal(queue.size, waiting.size);
          assert.ok(waiting.size === 0 || queue.nextAtMs > nowMs);
          for (const run of runs) {
            if (waiting.has(run) || random() < 0.5) continue;
            waiting.add(run);
            queue.add(run);
          }
          if (random() < 0.05) table.put(perSecond(`0`, 1 + Math.floor(random() * 200)));
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('one that waits for room of its own keeps nobody waiting who needs the same limit for less', () => {
  const [big, small] = [{ name: 'big' }, { name: 'small' }];
  const queue = new PermitQueue<{ readonly name: string }>(
    attachLimiter(createLimiter([])),
    (item, nowMs) => {
      if (item === big) return nowMs < 100_000 ? { limit: 7, retryAtMs: 100_000, isOwn: true } : undefined;
      return nowMs < 2 ? { limit: 7, retryAtMs: 2 } : undefined;
    },
  );
  queue.add(big);
  queue.add(small);
  assert.equal(queue.take(1), undefined);
  assert.deepEqual(
    [...queue.waiting()].map(({ dueAtMs, isOwn }) => [dueAtMs, isOwn]),
    [
      [100_000, true],
      [2, false],
    ],
  );
  assert.equal(queue.nextAtMs, 2);
  assert.equal(queue.take(2), small);
  assert.equal(queue.take(3), undefined);
  assert.equal(queue.take(100_000), big);
  assert.equal(queue.size, 0);
});
