// A later list of a campaign: what is known is passed over, what is new goes on from there, whatever the order of columns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { cutAt } from './read_rows.ts';
import { earlierOf, takeList } from './take.ts';

const bytes = (text: string): Uint8Array[] => [Buffer.from(text)];

const first = 'email,name\na@example.com,Ann\nbad,Bob\nA@example.com,Dup\n';

test('known are the addresses of earlier lists in any case, and invalid rows with the same cells', async () => {
  const earlier = earlierOf(await takeList(bytes(first)));
  const second = await takeList(
    bytes('email,name\nA@Example.COM,Other\nbad,Bob\nbad,Rob\nn@example.com,New\n'),
    {
      earlier,
    },
  );
  assert.deepEqual([second.result?.rows, second.result?.listRows, second.result?.known], [5, 4, 2]);
  assert.deepEqual(
    second.refused.map(({ row, line, cells }) => [row, line, cells]),
    [[4, 4, ['bad', 'Rob']]],
  );
  assert.deepEqual(
    second.recipients.map(({ row, address }) => [row, address]),
    [[5, 'n@example.com']],
  );
});

test('a list that differs from what was refused only in the case of a cell is not known', async () => {
  const earlier = earlierOf(await takeList(bytes(first)));
  const { result } = await takeList(bytes('email,name\nBAD,Bob\n'), { earlier });
  assert.deepEqual([result?.known, result?.invalid], [0, 1]);
});

test('cells come in the campaign’s order, also those of NDJSON, where a missing key is null', async () => {
  const earlier = earlierOf(await takeList(bytes('email,name,city\na@example.com,Ann,Bonn\n')));
  const csv = await takeList(bytes('city;email;name\nRom;b@example.com;Ben\nx;y\n'), { earlier });
  assert.deepEqual(csv.recipients[0]?.cells, ['b@example.com', 'Ben', 'Rom']);
  assert.deepEqual(
    csv.refused[0]?.cells,
    ['x', 'y'],
    'of a row with too few cells nobody knows whose they are',
  );
  const ndjson = await takeList(
    bytes('{"city":"Rom","email":"b@example.com"}\n{"email":"c@example.com"}\n'),
    {
      earlier,
    },
  );
  assert.deepEqual(
    ndjson.recipients.map(({ cells }) => cells),
    [
      ['b@example.com', null, 'Rom'],
      ['c@example.com', null, null],
    ],
  );
});

test('a key that the campaign does not have is refused, wherever it comes', async () => {
  const earlier = earlierOf(await takeList(bytes(first)));
  const { error } = await takeList(bytes('{"email":"b@example.com"}\n{"email":"c@example.com","n":1}\n'), {
    earlier,
  });
  assert.ok(error instanceof Error);
  assert.match(error.message, /has the columns email, n, but the campaign's are email, name/);
});

/** Few addresses, so that lists share some. */
const row = fc.record({
  address: fc.constantFrom(
    'a@example.com',
    'B@example.com',
    'b@example.com',
    'c@example.com',
    'd@x',
    'no',
    '',
  ),
  name: fc.constantFrom('Ann', 'Ben'),
});
const rows = fc.array(row, { minLength: 1, maxLength: 20 });

function write(list: readonly { address: string; name: string }[], swapped = false): Buffer {
  const lines = list.map(({ address, name }) => (swapped ? `${name},${address}` : `${address},${name}`));
  return Buffer.from(`${swapped ? 'name,email' : 'email,name'}\n${lines.join('\n')}\n`);
}

test('every row of a later list is known or new, new ones are numbered on, and chunks change nothing', async () => {
  await fc.assert(
    fc.asyncProperty(rows, rows, fc.boolean(), fc.array(fc.nat()), async (old, later, swapped, cuts) => {
      const before = await takeList([write(old)]);
      const earlier = earlierOf(before);
      const whole = await takeList([write(later, swapped)], { earlier });
      const pieces = await takeList(cutAt(write(later, swapped), cuts), { earlier });
      assert.deepEqual(pieces, whole);

      const addresses = new Set(before.recipients.map(({ address }) => address.toLowerCase()));
      const refused = new Set(before.refused.map(({ cells }) => JSON.stringify(cells)));
      const isKnown = (one: { address: string; name: string }): boolean =>
        addresses.has(one.address.toLowerCase()) || refused.has(JSON.stringify([one.address, one.name]));
      const fresh = later.filter((one) => !isKnown(one));
      assert.equal(whole.result?.known, later.length - fresh.length);
      const stored = [...whole.recipients, ...whole.refused].toSorted((a, b) => a.row - b.row);
      assert.deepEqual(
        stored.map(({ row: number, cells }) => [number, cells]),
        fresh.map(({ address, name }, index) => [old.length + index + 1, [address, name]]),
      );
    }),
    { numRuns: 200 },
  );
});

test('the same list again is known to its last row', async () => {
  await fc.assert(
    fc.asyncProperty(rows, async (old) => {
      const before = await takeList([write(old)]);
      const again = await takeList([write(old, true)], { earlier: earlierOf(before) });
      assert.deepEqual([again.result?.known, again.batches.length, again.refused.length], [old.length, 0, 0]);
    }),
    { numRuns: 100 },
  );
});
