// Concurrency limits: slots that are held until they are given back, or until who holds them is dead.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { attachLimiter, type Limiter } from '../../src/schedule/limiter.ts';
import { seatCount } from '../../src/schedule/limiter_memory.ts';
import { LimitTable } from '../../src/schedule/limit_table.ts';

function tableOf(count: number): { table: LimitTable; slots: number; rate: number } {
  const table = new LimitTable();
  const slots = table.put({ kind: 'concurrent', name: 'connections', count });
  const rate = table.put({ kind: 'rate', name: 'new connections', rate: { count: 1000, perMs: 1000 } });
  return { table, slots, rate };
}

const takeAll = (limiter: Limiter, limits: readonly number[]): number => {
  for (let taken = 0, at = 1000; ; taken += 1, at += 2)
    if (limiter.take(limits, at) !== undefined) return taken;
};

test('no more are held than there are, over all threads, and each that is given back can be taken', () => {
  const { table, slots, rate } = tableOf(3);
  const [one, other] = [attachLimiter(table.memory, 7), attachLimiter(table.memory, 8)];
  assert.equal(takeAll(one, [slots, rate]), 3);
  assert.equal(other.take([slots], 5000)?.limit, slots);
  const { changes } = other;
  one.release([slots, rate]);
  assert.notEqual(other.changes, changes, 'who waits may ask again');
  assert.equal(other.take([slots], 5000), undefined);
  assert.notEqual(other.take([slots], 5000), undefined);
});

test('a slot that this thread does not hold cannot be given back', () => {
  const { table, slots } = tableOf(3);
  const [one, other] = [attachLimiter(table.memory, 7), attachLimiter(table.memory, 8)];
  assert.equal(one.take([slots], 1000), undefined);
  assert.throws(() => other.release([slots]), /bug: a slot was released/);
  one.release([slots]);
  assert.throws(() => one.release([slots]), /bug: a slot was released/);
});

test('fewer slots than are held: none is taken until enough have come back', () => {
  const { table, slots } = tableOf(3);
  const limiter = attachLimiter(table.memory, 7);
  assert.equal(takeAll(limiter, [slots]), 3);
  table.put({ kind: 'concurrent', name: 'connections', count: 1 });
  limiter.release([slots]);
  limiter.release([slots]);
  assert.notEqual(limiter.take([slots], 5000), undefined);
  limiter.release([slots]);
  assert.equal(limiter.take([slots], 5000), undefined);
});

test('what a dead thread held comes free, and what the living hold does not', () => {
  const { table, slots } = tableOf(5);
  const [dead, alive] = [attachLimiter(table.memory, 7), attachLimiter(table.memory, 8)];
  for (let taken = 0; taken < 3; taken += 1) assert.equal(dead.take([slots], 1000), undefined);
  for (let taken = 0; taken < 2; taken += 1) assert.equal(alive.take([slots], 1000), undefined);
  alive.releaseDead(() => true);
  assert.notEqual(alive.take([slots], 1000), undefined);
  alive.releaseDead((id) => id !== 7);
  assert.equal(takeAll(alive, [slots]), 3);
});

test('more threads than there are seats wait like everybody, and get one when others are dead', () => {
  const { table, slots } = tableOf(1000);
  for (let thread = 0; thread < seatCount; thread += 1)
    assert.equal(attachLimiter(table.memory, 100 + thread).take([slots], 1000), undefined);
  const late = attachLimiter(table.memory, 99);
  assert.equal(late.take([slots], 1000)?.limit, slots);
  late.releaseDead((id) => id !== 100);
  assert.equal(late.take([slots], 1000), undefined);
});

test('a real thread that is ended holding slots, at any moment, leaves them to the others', async () => {
  const { table, slots } = tableOf(2);
  const url = new URL('held_slots_thread.ts', import.meta.url);
  const limiter = attachLimiter(table.memory);
  for (let round = 0; round < 5; round += 1) {
    const worker = new Worker(url, { workerData: { memory: table.memory, limits: [slots] } });
    await once(worker, 'message');
    const { threadId } = worker;
    await worker.terminate();
    limiter.releaseDead((id) => id !== threadId);
    const now = 1e12 + round * 1e6;
    assert.equal(limiter.take([slots], now), undefined);
    assert.equal(limiter.take([slots], now), undefined);
    assert.notEqual(limiter.take([slots], now), undefined);
    limiter.release([slots]);
    limiter.release([slots]);
  }
});
