// Holds the cutter to its bounds: batches of one lane, every recipient once, and memory that does not grow with lanes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { BatchCutter, type CutterBounds, type NewBatch } from '../../src/intake/batch_cutter.ts';
import { domainOf } from '../../src/mail/address.ts';
import { unpackRecipients } from '../../src/mail/batch.ts';

interface Given {
  readonly domain: string;
  readonly lane: string;
  readonly chars: number;
}

function cut(list: readonly Given[], batchRows: number, bounds: CutterBounds) {
  const batches: NewBatch[] = [];
  const cutter = new BatchCutter(batchRows, (batch) => batches.push(batch), bounds);
  let most = 0;
  for (const [index, { domain, lane, chars }] of list.entries()) {
    const row = index + 1;
    cutter.add(lane, { row, line: row, address: `r${row}@${domain}`, cells: [] }, chars);
    most = Math.max(most, cutter.waiting);
  }
  cutter.end();
  return { batches, most, left: cutter.waiting };
}

function toDomain(domain: string): Given {
  return { domain, lane: domain, chars: 10 };
}

function show({ lane, payload }: NewBatch): unknown {
  return [lane, unpackRecipients(payload).map(({ row }) => row)];
}

const wide: CutterBounds = { recipients: 1000, chars: 1e9, rows: 1e9 };

test('a batch is cut when its own lane is full, whatever the others have', () => {
  const lanes = ['a', 'b', 'a', 'b', 'a', 'c'].map((lane) => ({ domain: 'x.example', lane, chars: 1 }));
  assert.deepEqual(cut(lanes, 2, wide).batches.map(show), [
    ['a', [1, 3]],
    ['b', [2, 4]],
    ['a', [5]],
    ['c', [6]],
  ]);
});

test('a lane that has been open for too many rows is cut, so nobody waits for the end of the list', () => {
  const lanes = ['a', 'slow', ...Array.from({ length: 9 }, () => 'a')].map((lane) => ({
    domain: 'x.example',
    lane,
    chars: 1,
  }));
  const { batches } = cut(lanes, 100, { ...wide, rows: 3 });
  assert.deepEqual(batches.map(show), [
    ['a', [1, 3, 4, 5]],
    ['slow', [2]],
    ['a', [6, 7, 8, 9, 10]],
    ['a', [11]],
  ]);
});

test('rare lanes that are put together are in the order of the list', () => {
  const { batches } = cut(
    ['a', 'b', 'a'].map((name) => toDomain(`${name}.example`)),
    100,
    wide,
  );
  assert.deepEqual(batches.map(show), [['other', [1, 2, 3]]]);
});

test('100,000 domains become full batches of the shared lane and not batches of one', () => {
  const list = Array.from({ length: 100_000 }, (_, index) => toDomain(`d${index}.example`));
  const { batches, most } = cut(list, 250, { ...wide, recipients: 20_000 });
  assert.equal(batches.length, 400);
  assert.deepEqual([...new Set(batches.map(({ lane }) => lane))], ['other']);
  assert.ok(most <= 20_000);
});

test('of many domains the frequent ones keep batches of their own', () => {
  const list = Array.from({ length: 50_000 }, (_, index) =>
    toDomain(index % 2 === 0 ? 'big.example' : `d${index}.example`),
  );
  const { batches } = cut(list, 250, { ...wide, recipients: 2000 });
  const big = batches.filter(({ lane }) => lane === 'big.example');
  assert.equal(big.length, 100);
  assert.ok(big.every(({ recipientCount }) => recipientCount === 250));
});

test('a lane that was asked for by name never becomes the shared one, however rare it is', () => {
  const list = Array.from({ length: 300 }, (_, index) => ({
    domain: `d${index}.example`,
    lane: `group${index}`,
    chars: 1,
  }));
  const { batches } = cut(list, 250, { ...wide, recipients: 10 });
  assert.equal(batches.length, 300);
  assert.ok(batches.every(({ lane }) => lane.startsWith('group')));
});

test('rows of much text are bounded by their characters', () => {
  const list = Array.from({ length: 100 }, (_, index) => ({ ...toDomain(`d${index}.example`), chars: 500 }));
  const { most } = cut(list, 250, { ...wide, chars: 5000 });
  assert.ok(most <= 10, `${most} waited`);
});

test('nobody whose batch is cut is kept in memory', async () => {
  const cutter = new BatchCutter(10, () => {}, wide);
  const first = addAll(cutter, 500);
  // A reference that was just made holds on until the turn ends.
  await turn();
  collectGarbage();
  assert.equal(first.deref(), undefined);
  assert.equal(cutter.waiting, 0);
});

/** Returns the first of those that it has added. */
function addAll(cutter: BatchCutter, count: number): WeakRef<object> {
  const recipients = Array.from({ length: count }, (_, index) => {
    const row = index + 1;
    return { row, line: row, address: `r${row}@x.example`, cells: [] };
  });
  for (const one of recipients) cutter.add('a', one, 10);
  return new WeakRef(recipients[0] ?? {});
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  assert.ok(typeof collect === 'function');
  collect();
}

test('whatever the lanes and bounds are, each recipient is in one batch, in order, of its lane or of the shared one', () => {
  const given = fc.record({
    domain: fc.constantFrom('a.example', 'b.example', 'c.example', 'd.example'),
    isGroup: fc.boolean(),
    chars: fc.integer({ min: 1, max: 600_000 }),
  });
  const bounds = fc.record({
    recipients: fc.integer({ min: 1, max: 20 }),
    chars: fc.integer({ min: 1, max: 3_000_000 }),
    rows: fc.integer({ min: 1, max: 30 }),
  });
  fc.assert(
    fc.property(
      fc.array(given, { maxLength: 80 }),
      fc.integer({ min: 1, max: 20 }),
      bounds,
      (list, batchRows, bound) => {
        const rows = list.map(({ domain, isGroup, chars }) => ({
          domain,
          lane: isGroup ? 'group' : domain,
          chars,
        }));
        const { batches, most, left } = cut(rows, batchRows, bound);
        assert.deepEqual([left, most <= bound.recipients], [0, true]);
        const seen: number[] = [];
        for (const batch of batches) {
          const recipients = unpackRecipients(batch.payload);
          const own = recipients.map(({ row }) => row);
          assert.deepEqual(
            own,
            own.toSorted((a, b) => a - b),
          );
          assert.deepEqual(
            [batch.firstRow, batch.lastRow, batch.recipientCount],
            [own[0], own.at(-1), own.length],
          );
          assert.ok(own.length <= batchRows);
          for (const { row, address } of recipients) {
            const lane = rows[row - 1]?.lane;
            const isShared = batch.lane === 'other' && lane === domainOf(address);
            assert.ok(batch.lane === lane || isShared, `${address} of ${lane} went to ${batch.lane}`);
          }
          seen.push(...own);
        }
        assert.deepEqual(
          seen.sort((a, b) => a - b),
          rows.map((_, index) => index + 1),
        );
      },
    ),
  );
});
