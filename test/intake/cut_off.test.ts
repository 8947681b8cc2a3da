// Lists that are cut off: what is refused at their end, and that nothing was stored which the whole list does not store.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PosthasteError } from '../../src/base/error.ts';
import { takeIn } from '../../src/intake/intake.ts';
import { takeList, type TakenList } from './take.ts';

function fromPipe(text: string, options = {}): Promise<TakenList> {
  return takeList([Buffer.from(text)], options, true);
}

function codeOf({ error }: TakenList): string | undefined {
  if (error === undefined) return undefined;
  assert.ok(error instanceof PosthasteError);
  return error.code;
}

const cutOff = [
  ['within an address', 'email,name\na@example.com,Ann\nb@exam', 'at row 2: its last line'],
  ['behind the last row', 'email,name\na@example.com,Ann', 'at row 1: its last line'],
  ['within the header', 'email,na', 'in its first line'],
  ['within quotes, at a line end', 'email,name\na@example.com,A\nb@example.com,"B\n', 'at row 2: a quote'],
  [
    'within quotes, with more lines',
    'email,name\na@example.com,A\nb@example.com,"B\nx\ny\n',
    'a quote of the row on line 3',
  ],
  ['within a JSON object', '{"email":"a@example.com"}\n{"email":"b@', 'at row 2'],
  ['within the first JSON object', '{"email":"a@', 'in its first line'],
] as const;

for (const [where, text, says] of cutOff) {
  test(`a list from a pipe that ends ${where} is refused; not from a file, nor if it is said to be whole`, async () => {
    const refused = await fromPipe(text);
    assert.equal(codeOf(refused), 'ERR_LIST_CUT_OFF');
    assert.ok(refused.error instanceof Error && refused.error.message.includes(says), String(refused.error));
    assert.deepEqual([refused.batches, refused.refused], [[], []]);
    for (const taken of [await takeList([Buffer.from(text)]), await fromPipe(text, { partial: true })])
      assert.notEqual(codeOf(taken), 'ERR_LIST_CUT_OFF');
  });
}

test('of a list that ends within quotes nothing is stored that comes behind the quote, however much it is', async () => {
  const cell = Array.from({ length: 5000 }, (_, index) => `line ${index}`).join('\n');
  const cut = await fromPipe(`email,name\na@example.com,"${cell}\n`);
  assert.equal(codeOf(cut), 'ERR_LIST_CUT_OFF');
  assert.deepEqual([cut.batches, cut.refused], [[], []]);
});

test('a whole list from a pipe is taken, whatever its line ends; an empty one is empty', async () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const taken = await fromPipe(['email,name', 'a@example.com,"A', 'A"', ''].join(end));
    assert.deepEqual([codeOf(taken), taken.result?.recipients], [undefined, 1]);
  }
  for (const empty of ['', '  ', '\n']) assert.equal(codeOf(await fromPipe(empty)), 'ERR_LIST_EMPTY');
});

test('a list whose writer was stopped together with its reader is neither whole nor cut off, but stopped', async () => {
  const controller = new AbortController();
  const source = Object.assign(
    (async function* writeAndDie() {
      yield await Promise.resolve(Buffer.from('email\na@example.com\n'));
      controller.abort(new Error('told to stop'));
    })(),
    { name: 'standard input', isPipe: true },
  );
  const sink = { begin: () => Promise.resolve(), store: () => assert.fail('stored') };
  await assert.rejects(takeIn(source, { batchRows: 3 }, sink, controller.signal), /told to stop/);
});

test('a stray quote with whole rows behind it is an invalid row, from a pipe, too', async () => {
  const taken = await fromPipe('email,name\na@example.com,"Ann\nb@example.com,Ben\n');
  assert.deepEqual([codeOf(taken), taken.result?.recipients, taken.result?.invalid], [undefined, 1, 1]);
});

test('fewer rows than expected are refused and as many are not, known ones among them', async () => {
  const list = 'email\na@example.com\nbad\n';
  assert.equal(codeOf(await takeList([Buffer.from(list)], { expectedRows: 3 })), 'ERR_LIST_CUT_OFF');
  assert.equal(codeOf(await takeList([Buffer.from(list)], { expectedRows: 2 })), undefined);
});

test('wherever a list from a pipe is cut off within a line, what was stored is what the whole list begins with', async () => {
  // Long enough for parts to be stored before the end: 2,000 rows, or 1 MiB.
  const lines = Array.from({ length: 6000 }, (_, index) => {
    if (index % 7 === 0) return `not an address,"${index}"`;
    return index % 5 === 0 ? `u${index}@example.com,"a ""name""\nof, two lines"` : `u${index}@example.com,N`;
  });
  const text = `email,name\n${lines.join('\n')}\n`;
  const whole = await fromPipe(text);
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length - 1), async (length) => {
      const cut = await fromPipe(text.slice(0, length));
      const endsLine = length === 0 || text[length - 1] === '\n';
      const isQuoted = text.slice(0, length).split('"').length % 2 === 0;
      if (!endsLine || isQuoted) assert.equal(codeOf(cut), 'ERR_LIST_CUT_OFF');
      if (codeOf(cut) !== 'ERR_LIST_CUT_OFF') return;
      assert.deepEqual(cut.batches, whole.batches.slice(0, cut.batches.length));
      assert.deepEqual(cut.refused, whole.refused.slice(0, cut.refused.length));
    }),
    {
      numRuns: 60,
      examples: [[text.length - 1], [text.indexOf('of, two')], [text.lastIndexOf('of, two')]],
    },
  );
});
