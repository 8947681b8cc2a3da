// Which addresses are mailboxes, and which paths are paths.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { examineAddress } from '../../src/sandbox/address.ts';
import { parseBdatArgument, parsePathArgument } from '../../src/sandbox/command.ts';

test('a mailbox is a dot-string or quoted string, an @, and a domain or literal', () => {
  const good = [
    'a@b',
    "o'hara+x=y@sub.example.com",
    '"a b"@x',
    '"a\\"b>"@x',
    'a.b@xn--p1ai',
    'a@[127.0.0.1]',
    'a@[IPv6:::1]',
  ];
  for (const address of good) assert.equal(examineAddress(address), 'ascii', address);
  const quotedAt = '"a@b"@x';
  assert.equal(examineAddress(quotedAt), 'ascii');
});

test('what only SMTPUTF8 can carry is said so', () => {
  for (const address of ['é@x.example', 'a@bücher.example', '"é é"@x'])
    assert.equal(examineAddress(address), 'utf8', address);
});

test('everything else is malformed', () => {
  const bad = [
    '',
    'a',
    '@b',
    'a@',
    'a b@x',
    '.a@x',
    'a.@x',
    'a..b@x',
    'a@x..y',
    'a@.x',
    'a@x.',
    'a@x y',
    'a@@x',
    '"a@x',
    '"a"b@x',
  ];
  const worse = [
    '"a""b"@x',
    '"a\\"@x',
    '"@x',
    'a\0@x',
    '"a\0"@x',
    'a@[]',
    'a@[x',
    'a\u0085@x',
    'a\ufffd@x',
    'a(c)@x',
    'a@x_y',
  ];
  const long = [
    `${'a'.repeat(65)}@x`,
    `${'é'.repeat(33)}@x`,
    `a@${'b'.repeat(64)}.x`,
    `a@${'b.'.repeat(128)}x`,
  ];
  for (const address of [...bad, ...worse, ...long])
    assert.equal(examineAddress(address), 'malformed', JSON.stringify(address));
});

test('the limits of RFC 5321 §4.5.3.1 are within', () => {
  assert.equal(examineAddress(`${'a'.repeat(64)}@${'b'.repeat(63)}.x`), 'ascii');
});

test('a path stands in angle brackets right behind the colon', () => {
  assert.deepEqual(parsePath('from:<a@b>'), { path: 'a@b', parameters: [] });
  assert.deepEqual(parsePath('FROM:<a@b>  SIZE=1  X'), { path: 'a@b', parameters: ['SIZE=1', 'X'] });
  assert.deepEqual(parsePath('FROM:<"a>\\"> b"@c> X'), { path: '"a>\\"> b"@c', parameters: ['X'] });
  assert.deepEqual(parsePath('FROM:<@relay.example,@b:a@c>'), { path: 'a@c', parameters: [] });
  for (const text of [
    '',
    'FROM:',
    'FROM: <a@b>',
    'FROM :<a@b>',
    'FROM:a@b',
    'FROM:<a@b',
    'FROM:<a@b>x',
    'TO:<a@b>',
  ]) {
    assert.equal(parsePath(text), undefined, text);
  }
});

test('a BDAT has a size that can be counted', () => {
  assert.deepEqual(parseBdatArgument('10 last'), { sizeBytes: 10, isLast: true });
  assert.deepEqual(parseBdatArgument('0'), { sizeBytes: 0, isLast: false });
  for (const text of ['', '-1', '1 2', '1  LAST', '0x1', '9'.repeat(16)])
    assert.equal(parseBdatArgument(text), undefined, text);
});

function parsePath(text: string): unknown {
  return parsePathArgument(text, 'FROM:');
}
