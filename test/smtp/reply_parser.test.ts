import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Reply } from '../../src/mail/reply.ts';
import { ReplyParser } from '../../src/smtp/reply_parser.ts';

function parse(text: string | Buffer): {
  replies: Reply[];
  problem: string | undefined;
  parser: ReplyParser;
} {
  const parser = new ReplyParser();
  const replies: Reply[] = [];
  const problem = parser.feed(typeof text === 'string' ? Buffer.from(text) : text, replies);
  return { replies, problem, parser };
}

test('a reply has its code, its enhanced status and its text', () => {
  const { replies } = parse('250 2.1.0 sender ok\r\n');
  assert.deepEqual(replies, [{ replyCode: 250, enhancedStatus: '2.1.0', text: '2.1.0 sender ok' }]);
});

test('a bare code without text is a reply', () => {
  assert.equal(parse('354\r\n').replies[0]?.replyCode, 354);
  assert.equal(parse('250 \r\n').replies[0]?.text, '');
});

test('the lines of a multiline reply are one reply', () => {
  const { replies } = parse('250-one\r\n250-two\r\n250 three\r\n421 bye\r\n');
  assert.deepEqual(
    replies.map((reply) => [reply.replyCode, reply.text]),
    [
      [250, 'one\ntwo\nthree'],
      [421, 'bye'],
    ],
  );
});

test('an enhanced status whose class contradicts the code is ignored', () => {
  assert.equal(parse('421 5.7.32 try later\r\n').replies[0]?.enhancedStatus, undefined);
});

test('a line may end in a lone LF', () => {
  assert.equal(parse('250 ok\n').replies[0]?.text, 'ok');
});

const garbage = [
  'HTTP/1.1 400 Bad Request\r\n',
  '\r\n',
  '25O OK\r\n',
  '850 what\r\n',
  '150 hm\r\n',
  '25\r\n',
  '2500 ok\r\n',
  '250-a\r\n251 b\r\n',
];
for (const text of garbage) {
  test(`${JSON.stringify(text)} is no reply, and the parser says so`, () => {
    const { replies, problem } = parse(text);
    assert.deepEqual(replies, []);
    assert.match(problem ?? '', /not a reply|goes on with/);
  });
}

test('a line without end is given up on, in pieces of any size', () => {
  const parser = new ReplyParser();
  const replies: Reply[] = [];
  let problem: string | undefined;
  for (let count = 0; count < 100_000 && problem === undefined; count += 1)
    problem = parser.feed(Buffer.from('2'), replies);
  assert.equal(problem, 'a reply without end');
});

test('a reply of endless lines is given up on', () => {
  assert.equal(parse('250-x\r\n'.repeat(600)).problem, 'a reply without end');
  assert.equal(parse(`250-${'x'.repeat(3000)}\r\n`.repeat(30)).problem, 'a reply without end');
});

test('a long line is a reply, its text is cut', () => {
  const { replies, problem } = parse(`550 ${'x'.repeat(10_000)}\r\n`);
  assert.equal(problem, undefined);
  assert.equal(replies[0]?.text.length, 4092);
});

test('an unfinished reply is known to be unfinished', () => {
  assert.equal(parse('250').parser.holdsPartialReply, true);
  assert.equal(parse('250-more\r\n').parser.holdsPartialReply, true);
  assert.equal(parse('250 done\r\n').parser.holdsPartialReply, false);
});

test('any split of the bytes gives the same replies', () => {
  const line = fc.tuple(
    fc.constantFrom('250', '354', '421', '550'),
    fc.array(
      fc.string({ maxLength: 30 }).map((text) => text.replace(/[\r\n]/g, '')),
      { minLength: 1, maxLength: 4 },
    ),
    fc.constantFrom('\r\n', '\n'),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.nat(40), { maxLength: 40 }), (lines, cuts) => {
      const bytes = Buffer.from(
        lines
          .map(([code, texts, end]) =>
            texts
              .map((text, index) => `${code}${index === texts.length - 1 ? ' ' : '-'}${text}${end}`)
              .join(''),
          )
          .join(''),
      );
      const parser = new ReplyParser();
      const replies: Reply[] = [];
      let start = 0;
      for (const cut of cuts) {
        assert.equal(parser.feed(bytes.subarray(start, start + cut), replies), undefined);
        start += cut;
      }
      assert.equal(parser.feed(bytes.subarray(start), replies), undefined);
      assert.deepEqual(replies, parse(bytes).replies);
      assert.equal(replies.length, lines.length);
    }),
  );
});

test('rubbish of any kind throws nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (chunks) => {
      const parser = new ReplyParser();
      for (const chunk of chunks) if (parser.feed(Buffer.from(chunk), []) !== undefined) break;
    }),
  );
});
