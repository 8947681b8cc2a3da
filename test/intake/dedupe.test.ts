// Holds the address index to a Map, to its promise of 13 bytes, and its hash to chance.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { AddressIndex } from '../../src/intake/dedupe.ts';

test('it answers as a Map of lower-case addresses does', () => {
  const address = fc.string({ unit: fc.constantFrom('a', 'B', 'b', '@', '.', 'ü', 'Ü', '1'), maxLength: 9 });
  fc.assert(
    fc.property(fc.array(address, { maxLength: 200 }), (addresses) => {
      const index = new AddressIndex();
      const lines = new Map<string, number>();
      addresses.forEach((one, position) => {
        const key = one.toLowerCase();
        assert.equal(index.add(one, position + 1), lines.get(key) ?? 0, one);
        if (!lines.has(key)) lines.set(key, position + 1);
      });
    }),
    { numRuns: 300 },
  );
});

test('a million addresses are all told apart, all found again, and cost at most 13 bytes each beside the first mebibyte', () => {
  const index = new AddressIndex();
  for (let row = 1; row <= 1_000_000; row++) {
    if (index.add(`user${row}@example.com`, row) !== 0) assert.fail(`row ${row} was taken for another`);
    if (row % 50_000 === 0)
      assert.ok(index.sizeBytes <= 1_048_576 + 13 * row, `${index.sizeBytes / row} bytes at ${row}`);
  }
  for (let row = 1; row <= 1_000_000; row += 997) {
    assert.equal(index.add(`USER${row}@Example.com`, 1), row);
  }
});

test('a line is the one that was added, however far down the list', () => {
  const index = new AddressIndex();
  const lines = Array.from(
    { length: 60_000 },
    (_, number) => [1, 255, 256, 65_536, 2 ** 24 - 1, 2 ** 24, 2 ** 32 - 1 - number][number % 7] ?? 1,
  );
  // Tables grow in between, so far lines are moved, and their pages are used again by near ones.
  for (const [number, line] of lines.entries()) assert.equal(index.add(`${number}@example.com`, line), 0);
  for (const [number, line] of lines.entries()) assert.equal(index.add(`${number}@example.com`, 7), line);
});

test('any key gives the same answers', () => {
  for (const key of [
    [0, 0, 0, 0],
    [1, 2, 3, 4],
    [-1, -1, -1, -1],
  ] as const) {
    const index = new AddressIndex(key);
    const answers = Array.from({ length: 20_000 }, (_, row) =>
      index.add(`${row % 15_000}@example.com`, row + 1),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: 20_000 }, (_, row) => (row < 15_000 ? 0 : row - 15_000 + 1)),
    );
  }
});
