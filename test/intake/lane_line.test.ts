import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneLine } from '../../src/intake/lane_line.ts';
import { recipientOf } from './take.ts';

function make(bounds?: ConstructorParameters<typeof LaneLine>[1]) {
  const passed: string[] = [];
  const line = new LaneLine((lane, { row }, sizeChars) => passed.push(`${row} ${lane} ${sizeChars}`), bounds);
  return { line, passed };
}

function promiseLane() {
  return Promise.withResolvers<string>();
}

test('who has a lane and nobody in front passes at once; behind one who waits everybody waits, in order', async () => {
  const { line, passed } = make();
  const [first, second] = [promiseLane(), promiseLane()];
  line.add('a', recipientOf(1), 10);
  line.add(first.promise, recipientOf(2), 20);
  line.add('b', recipientOf(3), 30);
  line.add(second.promise, recipientOf(4), 40);
  second.resolve('d');
  await second.promise;
  assert.deepEqual(passed, ['1 a 10']);
  first.resolve('c');
  await line.end();
  assert.deepEqual(passed, ['1 a 10', '2 c 20', '3 b 30', '4 d 40']);
});

test('it is full by recipients or by characters, and waits for the first only', async () => {
  for (const bounds of [
    { recipients: 3, chars: 1000 },
    { recipients: 1000, chars: 30 },
  ]) {
    const { line, passed } = make(bounds);
    const lanes = [promiseLane(), promiseLane(), promiseLane()];
    for (const [index, { promise }] of lanes.entries()) {
      assert.equal(line.isFull, false);
      line.add(promise, recipientOf(index + 1), 10);
    }
    assert.equal(line.isFull, true);
    lanes[0]?.resolve('a');
    await line.makeRoom();
    assert.deepEqual([passed, line.isFull], [['1 a 10'], false]);
  }
});

test('100,000 pass in order, whoever is answered first', async () => {
  const { line, passed } = make();
  for (let row = 1; row <= 100_000; row += 1) {
    const found = row % 3 === 0 ? 'named' : new Promise<string>((resolve) => setImmediate(resolve, 'asked'));
    line.add(found, recipientOf(row), 1);
    if (line.isFull) await line.makeRoom();
  }
  await line.end();
  assert.equal(passed.length, 100_000);
  assert.ok(passed.every((text, index) => text.startsWith(`${index + 1} `)));
});
