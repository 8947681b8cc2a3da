// Holds intake to its accounts: every row has one fate, and the same list gives the same batches.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { NewBatch } from '../../src/intake/batch_cutter.ts';
import { takeIn, type IntakePart, type IntakeResult, type ListOptions } from '../../src/intake/intake.ts';
import { unpackRecipients } from '../../src/mail/batch.ts';
import type { RefusedRow } from '../../src/mail/recipient.ts';
import { cutAt } from './read_rows.ts';

interface Taken {
  begun: (readonly string[])[];
  parts: IntakePart[];
  result: IntakeResult;
}

async function take(
  list: string | readonly Uint8Array[],
  options: Partial<ListOptions> = {},
): Promise<Taken> {
  const chunks = typeof list === 'string' ? [Buffer.from(list)] : list;
  const begun: Taken['begun'] = [];
  const parts: IntakePart[] = [];
  const sink = {
    begin: async (columns: readonly string[]) => void begun.push(columns),
    store: async (part: IntakePart) => void parts.push(part),
  };
  const result = await takeIn(makeSource(chunks), { batchRows: 3, ...options }, sink);
  return { begun, parts, result };
}

function makeSource(chunks: readonly Uint8Array[]): AsyncIterable<Uint8Array> & { name: string } {
  return Object.assign(
    (async function* yieldChunks() {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
    })(),
    { name: 'list.csv' },
  );
}

function showBatch({ payload, ...rest }: NewBatch): unknown {
  return { ...rest, recipients: unpackRecipients(payload) };
}

function refusedOf({ parts }: Taken): RefusedRow[] {
  return parts.flatMap((part) => part.refused);
}

/** What must not depend on chunks: batches, refused rows, the result; not the cuts between parts. */
function contractOf(taken: Taken): unknown {
  const batches = taken.parts.flatMap((part) => part.batches.map(showBatch));
  return { batches, refused: refusedOf(taken), result: taken.result, begun: taken.begun };
}

test('every row becomes a recipient of a batch or a refused row', async () => {
  const list =
    'email,name\na@Example.com,Ann\nbad,Bob\nc@example.com,"C\nC"\nA@example.com,Dup\n,Eve\nf@example.com\ng@example.com,G\n';
  const taken = await take(list, { batchRows: 2 });
  const batches = taken.parts.flatMap((part) => part.batches);
  assert.deepEqual(batches.map(showBatch), [
    {
      recipientCount: 2,
      firstRow: 1,
      lastRow: 3,
      lane: '',
      zone: '',
      recipients: [
        { row: 1, line: 2, address: 'a@example.com', cells: ['a@Example.com', 'Ann'] },
        { row: 3, line: 4, address: 'c@example.com', cells: ['c@example.com', 'C\nC'] },
      ],
    },
    {
      recipientCount: 1,
      firstRow: 7,
      lastRow: 7,
      lane: '',
      zone: '',
      recipients: [{ row: 7, line: 9, address: 'g@example.com', cells: ['g@example.com', 'G'] }],
    },
  ]);
  assert.deepEqual(refusedOf(taken), [
    { row: 2, line: 3, fate: 'invalid', reason: 'address has no "@"', cells: ['bad', 'Bob'] },
    { row: 4, line: 6, fate: 'duplicate', reason: 'same address as line 2', cells: ['A@example.com', 'Dup'] },
    { row: 5, line: 7, fate: 'invalid', reason: 'address is empty', cells: ['', 'Eve'] },
    { row: 6, line: 8, fate: 'invalid', reason: 'expected 2 columns, found 1', cells: ['f@example.com'] },
  ]);
  const digest = createHash('sha256').update(list).digest('hex');
  assert.deepEqual(taken.result, {
    rows: 7,
    listRows: 7,
    known: 0,
    recipients: 3,
    invalid: 3,
    duplicate: 1,
    columns: ['email', 'name'],
    digest,
  });
  assert.deepEqual(taken.begun, [['email', 'name']]);
});

test('NDJSON is known by its first character, and its columns may grow', async () => {
  const taken = await take(
    '\n {"email":"a@example.com"}\n{"email":7}\n{"email":"b@example.com","n":{"x":1}}\n{"n":1}\n[1]\n',
  );
  assert.deepEqual(taken.begun, [['email']]);
  assert.deepEqual(taken.result.columns, ['email', 'n']);
  assert.deepEqual(
    refusedOf(taken).map((row) => [row.line, row.reason]),
    [
      [3, 'address is a number, expected text'],
      [5, 'address is empty'],
      [6, 'expected a JSON object, found an array'],
    ],
  );
});

test('an NDJSON list whose first line is broken still goes on', async () => {
  const { result } = await take('{"email"\n{"email":"a@example.com"}\n');
  assert.deepEqual([result.rows, result.recipients, result.invalid], [2, 1, 1]);
});

test('a row that is not UTF-8 is invalid and the rest goes on', async () => {
  const bytes = Buffer.concat([
    Buffer.from('email,name\na@example.com,J'),
    Buffer.from([0xfc]),
    Buffer.from('rg\nb@example.com,B\n'),
  ]);
  const taken = await take([bytes]);
  assert.equal(taken.result.recipients, 1);
  assert.deepEqual(refusedOf(taken), [
    {
      row: 1,
      line: 2,
      fate: 'invalid',
      reason: 'holds bytes that are not utf-8',
      cells: ['a@example.com', 'J\ufffdrg'],
    },
  ]);
  const latin = await take([bytes], { charset: 'windows-1252' });
  assert.equal(latin.result.recipients, 2);
});

test('a list without rows is an error and never begins', async () => {
  for (const list of ['', '\n\n', '\ufeff', 'email,name', 'email,name\n\n']) {
    const sink = { begin: () => assert.fail('begun'), store: () => assert.fail('stored') };
    const taking = takeIn(makeSource([Buffer.from(list)]), { batchRows: 3 }, sink);
    await assert.rejects(taking, { code: 'ERR_LIST_EMPTY', exitCode: 65 }, JSON.stringify(list));
  }
  await assert.rejects(take('email\n'), { message: /has a header and no rows/ });
  await assert.rejects(take([Buffer.alloc(3_000_000, ' ')]), { code: 'ERR_LIST_EMPTY' });
});

test('a list that cannot be used as a whole says why', async () => {
  await assert.rejects(take('[{"email":"a@example.com"}]'), { code: 'ERR_LIST_FORMAT', hint: /jq/ });
  await assert.rejects(take('name\nx\n'), { code: 'ERR_LIST_NO_ADDRESS_COLUMN' });
  await assert.rejects(take('{"name":"x"}\n'), { code: 'ERR_LIST_NO_ADDRESS_COLUMN' });
  await assert.rejects(take('email\nx\n', { addressColumn: 'mail' }), { code: 'ERR_LIST_NO_ADDRESS_COLUMN' });
});

test('parts are small, complete and stored one after the other', async () => {
  let isStoring = false;
  let [rows, batches, refused] = [0, 0, 0];
  const sink = {
    begin: async () => undefined,
    store: async (part: IntakePart) => {
      assert.ok(!isStoring, 'two parts at once');
      isStoring = true;
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(part.rows - rows <= 4000);
      rows = part.rows;
      batches += part.batches.length;
      refused += part.refused.length;
      isStoring = false;
    },
  };
  const lines = Array.from({ length: 25_000 }, (_, row) =>
    row % 10 === 0 ? 'bad' : `user${row}@example.com`,
  );
  const result = await takeIn(
    makeSource([Buffer.from(`email\n${lines.join('\n')}`)]),
    { batchRows: 500 },
    sink,
  );
  assert.deepEqual([rows, batches, refused], [25_000, 45, 2500]);
  assert.deepEqual([result.rows, result.recipients, result.invalid], [25_000, 22_500, 2500]);
});

test('a batch of wide rows ends early', async () => {
  const wide = 'x'.repeat(400_000);
  const lines = Array.from({ length: 7 }, (_, row) => `user${row}@example.com,${wide}\n`);
  const { parts } = await take(`email,text\n${lines.join('')}`, { batchRows: 500 });
  assert.deepEqual(
    parts.flatMap((part) => part.batches).map((batch) => batch.recipientCount),
    [3, 3, 1],
  );
});

function laneOfSlow(domain: string): string {
  return domain === 'slow.example' ? 'slow' : 'other';
}

test('with lanes, a batch holds recipients of one lane, and rows of others may lie between', async () => {
  const list = 'email\na@slow.example\nb@x.example\nbad\nc@slow.example\nd@y.example\ne@z.example\n';
  const { parts } = await take(list, { batchRows: 2, laneOf: laneOfSlow });
  assert.deepEqual(
    parts
      .flatMap(({ batches }) => batches)
      .map(({ lane, payload }) => [lane, unpackRecipients(payload).map(({ row }) => row)]),
    [
      ['slow', [1, 4]],
      ['other', [2, 5]],
      ['other', [6]],
    ],
  );
});

test('an abort ends it with its reason, and what the sink throws comes out', async () => {
  const chunks = Array.from({ length: 10 }, () => Buffer.from('email\n'.repeat(10)));
  const controller = new AbortController();
  const stopping = { begin: async () => controller.abort(new Error('stop')), store: async () => undefined };
  await assert.rejects(takeIn(makeSource(chunks), { batchRows: 3 }, stopping, controller.signal), /stop/);
  const failing = { begin: async () => undefined, store: () => Promise.reject(new Error('disk full')) };
  await assert.rejects(takeIn(makeSource(chunks), { batchRows: 3 }, failing), /disk full/);
});

const line = fc.oneof(
  fc.nat({ max: 9 }).map((n) => `user${n}@example.com,x`),
  fc.nat({ max: 9 }).map((n) => `"USER${n}@Example.com","a\r\nb"`),
  fc.constantFrom(
    'bad,x',
    'a@bücher.example,ü',
    'a@example.com,"b',
    'a@example.com,"b"c',
    '',
    ',',
    'one',
    '\0,x',
    '\u{1f600},y',
  ),
);

test('the batches and the refused rows of a list are the same however its bytes come', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 25 }),
      fc.array(fc.nat(), { maxLength: 10 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.boolean(),
      fc.boolean(),
      async (lines, cuts, end, isSpoilt, hasLanes) => {
        const bytes = Buffer.from(['email,note', 'first@example.com,1', ...lines].join(end));
        if (isSpoilt) bytes[bytes.length >> 1] = 0xe2;
        const options = hasLanes ? { laneOf: (domain: string) => domain } : {};
        const whole = await take([bytes], options);
        assert.deepEqual(contractOf(await take(cutAt(bytes, cuts), options)), contractOf(whole));
        const { rows, recipients, invalid, duplicate } = whole.result;
        assert.equal(rows, recipients + invalid + duplicate);
        assert.equal(
          whole.parts.flatMap((part) => part.batches).reduce((sum, batch) => sum + batch.recipientCount, 0),
          recipients,
        );
        assert.equal(refusedOf(whole).length, invalid + duplicate);
      },
    ),
    { numRuns: 300 },
  );
});

test('only our own errors come out of rubbish', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom('', 'email,b\n', '{"email":"a@example.com"}\n'),
      async (rubbish, head) => {
        try {
          await take([Buffer.from(head), rubbish]);
        } catch (thrown) {
          assert.ok(
            thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('ERR_LIST_'),
            String(thrown),
          );
        }
      },
    ),
    { numRuns: 500 },
  );
});
