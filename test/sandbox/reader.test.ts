// The reader's promise about memory: a line that never ends is not stored.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, tooLong } from '../../src/sandbox/reader.ts';

test('of a line of 64 MB nothing is held, and it is one line', () => {
  const reader = new Reader();
  const megabyte = Buffer.alloc(1_000_000, 'x');
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 0; count < 64; count += 1) {
    reader.push(megabyte);
    assert.equal(reader.readLine(), undefined);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 5e6);
  reader.push(Buffer.from('\r\nNOOP\r\n'));
  assert.equal(reader.readLine(), tooLong);
  assert.equal(reader.readLine(), 'NOOP');
});
