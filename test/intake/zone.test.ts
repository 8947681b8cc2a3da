// A recipient's own timezone: batches of one zone each, blank cells, rows that name none that is known, lists without the column.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BatchCutter, type NewBatch } from '../../src/intake/batch_cutter.ts';
import { unpackRecipients } from '../../src/mail/batch.ts';
import { cutAt } from './read_rows.ts';
import { earlierOf, takeList } from './take.ts';

const bytes = (text: string): Uint8Array[] => [Buffer.from(text)];
const zoned = { zoneColumn: 'tz' };

function show({ lane, zone, payload }: NewBatch): unknown {
  return [lane, zone, unpackRecipients(payload).map(({ row }) => row)];
}

const list = `email,tz
a@x.example,Europe/Berlin
b@x.example,Asia/Tokyo
c@x.example,
d@x.example, europe/berlin${' '}
e@x.example,Mars/Olympus
f@x.example,+01:00
g@x.example,Europe/Berlin
`;

test('a batch holds recipients of one zone, however it is spelt; a blank cell is of no zone of its own', async () => {
  const { batches } = await takeList(bytes(list), { ...zoned, batchRows: 2 });
  assert.deepEqual(batches.map(show), [
    ['', 'Europe/Berlin', [1, 4]],
    ['', 'Asia/Tokyo', [2]],
    ['', '', [3]],
    ['', 'Europe/Berlin', [7]],
  ]);
});

test('a row with a zone that is unknown is invalid, with the reason; the others go on', async () => {
  const { refused, result } = await takeList(bytes(list), zoned);
  assert.deepEqual(
    refused.map(({ row, line, fate, reason }) => [row, line, fate, reason]),
    [
      [5, 6, 'invalid', 'timezone "Mars/Olympus" is unknown, expected an IANA name such as Europe/Berlin'],
      [6, 7, 'invalid', 'timezone "+01:00" is unknown, expected an IANA name such as Europe/Berlin'],
    ],
  );
  assert.deepEqual([result?.rows, result?.recipients, result?.invalid], [7, 5, 2]);
});

test('the address of a row with an unknown zone is free for a later row', async () => {
  const { recipients, refused } = await takeList(
    bytes('email,tz\na@x.example,Mars\na@x.example,UTC\n'),
    zoned,
  );
  assert.deepEqual([recipients.map(({ row }) => row), refused.map(({ row }) => row)], [[2], [1]]);
});

test('in NDJSON null and a key that is not there are blank, and what is no text is invalid', async () => {
  const rows = [
    { email: 'a@x.example', tz: null },
    { email: 'b@x.example' },
    { email: 'c@x.example', tz: 'Asia/Tokyo' },
    { email: 'd@x.example', tz: 9 },
    { email: 'e@x.example', tz: ['UTC'] },
  ];
  const taken = await takeList(bytes(rows.map((row) => `${JSON.stringify(row)}\n`).join('')), zoned);
  assert.deepEqual(taken.batches.map(show), [
    ['', '', [1, 2]],
    ['', 'Asia/Tokyo', [3]],
  ]);
  assert.deepEqual(
    taken.refused.map(({ reason }) => reason),
    ['timezone is a number, expected text', 'timezone is a nested value, expected text'],
  );
});

test('a list without the column is refused before anything of it is stored, and the error says what to do', async () => {
  for (const text of ['email,zone\na@x.example,UTC\n', '{"email":"a@x.example"}\n']) {
    const { error, batches, refused } = await takeList(bytes(text), zoned);
    assert.deepEqual([batches, refused], [[], []]);
    assert.ok(error instanceof Error && 'code' in error && 'hint' in error && 'exitCode' in error);
    assert.deepEqual([error.code, error.exitCode], ['ERR_LIST_NO_TIMEZONE_COLUMN', 65]);
    assert.match(
      error.message,
      /list\.csv has no column "tz", which list\.timezone .* expects; its columns are: email/,
    );
    assert.match(String(error.hint), /list\.timezone/);
  }
});

test('without a zone column nobody looks at the cells', async () => {
  const { batches } = await takeList(bytes(list), { batchRows: 10 });
  assert.deepEqual(batches.map(show), [['', '', [1, 2, 3, 4, 5, 6, 7]]]);
});

test('a later list knows the rows that an unknown zone made invalid', async () => {
  const earlier = earlierOf(await takeList(bytes(list), zoned));
  const later = await takeList(
    bytes(`tz,email\nMars/Olympus,e@x.example\nUTC,e@x.example\nMars/Olympus,a@x.example\n`),
    {
      ...zoned,
      earlier,
    },
  );
  assert.deepEqual([later.result?.known, later.result?.invalid], [2, 0]);
  assert.deepEqual(later.batches.map(show), [['', 'UTC', [8]]]);
});

test('rare domains share a batch only within their zone', () => {
  const batches: NewBatch[] = [];
  const cutter = new BatchCutter(100, (batch) => batches.push(batch), {
    recipients: 1000,
    chars: 1e9,
    rows: 1e9,
  });
  for (const [index, zone] of ['UTC', 'Asia/Tokyo', 'UTC', 'Asia/Tokyo', ''].entries()) {
    const row = index + 1;
    cutter.add(`d${row}.example`, { row, line: row, address: `r@d${row}.example`, cells: [] }, 10, zone);
  }
  cutter.end();
  assert.deepEqual(batches.map(show), [
    ['other', 'UTC', [1, 3]],
    ['other', 'Asia/Tokyo', [2, 4]],
    ['d5.example', '', [5]],
  ]);
});

test('whatever the zones and wherever the bytes are cut, each row is in one batch of its zone or refused', async () => {
  const cell = fc.constantFrom('', 'UTC', 'Asia/Tokyo', 'Europe/Berlin', 'Mars', '+02:00');
  await fc.assert(
    fc.asyncProperty(
      fc.array(cell, { minLength: 1, maxLength: 40 }),
      fc.array(fc.nat(900)),
      async (cells, cuts) => {
        const text = `email,tz\n${cells.map((zone, index) => `r${index + 1}@x.example,${zone}\n`).join('')}`;
        const whole = await takeList(bytes(text), zoned);
        const cut = await takeList(cutAt(Buffer.from(text), cuts), zoned);
        assert.deepEqual(cut.batches, whole.batches);
        assert.deepEqual(cut.refused, whole.refused);
        const zones = new Map<number, string>();
        for (const { zone, payload } of whole.batches)
          for (const { row } of unpackRecipients(payload)) zones.set(row, zone);
        for (const [index, zone] of cells.entries()) {
          const isKnown = zone !== 'Mars' && zone !== '+02:00';
          assert.equal(zones.get(index + 1), isKnown ? zone : undefined);
        }
        assert.equal(zones.size + whole.refused.length, cells.length);
      },
    ),
  );
});
