// Blocks of a journal are found again, whatever was cut off or damaged, and nothing else is taken for one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { makeBlock, splitBlocks } from '../../src/journal/block.ts';

const bodies = ['B 1 1 1\nE 1 5\n', 'O 1 5 1000 0 250 2.0.0 größer\n', 'E 1 6\n'];
const whole = Buffer.concat(bodies.map((body) => makeBlock(body)));
const ends = bodies.map((_, index) =>
  bodies.slice(0, index + 1).reduce((sum, body) => sum + makeBlock(body).length, 0),
);

test('cut off anywhere, the whole blocks before the cut are there and the rest is torn', () => {
  for (let cut = 0; cut <= whole.length; cut += 1) {
    const { blocks, damaged, wholeBytes } = splitBlocks(whole.subarray(0, cut));
    const count = ends.filter((end) => end <= cut).length;
    assert.deepEqual(blocks, bodies.slice(0, count), `cut at ${cut}`);
    assert.equal(wholeBytes, count === 0 ? 0 : ends[count - 1]);
    assert.deepEqual(damaged, []);
  }
});

test('one changed octet costs its own block, is reported, and reading goes on behind it', () => {
  for (let at = 0; at < whole.length; at += 1) {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const hit = ends.findIndex((end) => at < end);
    const { blocks, damaged } = splitBlocks(bytes);
    assert.deepEqual(
      blocks,
      bodies.filter((_, index) => index !== hit),
      `octet ${at}`,
    );
    // The last one may as well have been cut off in writing.
    assert.deepEqual(damaged, hit === 2 ? [] : [hit === 0 ? 0 : ends[hit - 1]]);
  }
});

test('any octets at all give no block that was not written, and no error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 }), (before, behind) => {
      const bytes = Buffer.concat([before, Buffer.from('\n'), whole, behind]);
      const { blocks } = splitBlocks(bytes);
      assert.deepEqual(blocks, bodies);
    }),
  );
});
