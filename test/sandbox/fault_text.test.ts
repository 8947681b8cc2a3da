// The one-line faults that people write, and what they are told when they write them wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PosthasteError } from '../../src/base/error.ts';
import { parseExtensions } from '../../src/sandbox/extensions.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';

test('a fault is a stage, conditions and an action', () => {
  const drop = { kind: 'drop' };
  const table: readonly (readonly [string, unknown])[] = [
    [
      'rcpt 5%: 450 4.2.1 busy',
      { at: 'rcpt', share: 0.05, action: { kind: 'reply', reply: '450 4.2.1 busy' } },
    ],
    ['end 0.1%: drop', { at: 'end', share: 0.001, action: drop }],
    [
      'rcpt *@bad.example: 550 5.1.1 no: never',
      { at: 'rcpt', match: '*@bad.example', action: { kind: 'reply', reply: '550 5.1.1 no: never' } },
    ],
    ['rcpt first: 451', { at: 'rcpt', times: 1, action: { kind: 'reply', reply: '451' } }],
    ['rcpt first 3 5%: drop', { at: 'rcpt', times: 3, share: 0.05, action: drop }],
    [' MAIL  every 10 :DROP', { at: 'mail', every: 10, action: drop }],
    ['end: delay 200ms', { at: 'end', action: { kind: 'delay', ms: 200 } }],
    ['end over 100/s: drop', { at: 'end', over: { count: 100, perMs: 1000 }, action: drop }],
    ['connect over 5 sessions: drop', { at: 'connect', overSessions: 5, action: drop }],
    ['mail after 100 messages: silence', { at: 'mail', afterMessages: 100, action: { kind: 'silence' } }],
    [
      'mail after 100 every 2: silence',
      { at: 'mail', afterMessages: 100, every: 2, action: { kind: 'silence' } },
    ],
    ['end first: drop-after-taken', { at: 'end', times: 1, action: { kind: 'drop-after-taken' } }],
    [
      'data: garbage a\\x00\\xff\\r\\n\\\\é',
      { at: 'data', action: { kind: 'garbage', bytes: Buffer.from('a\0\xff\r\n\\\xc3\xa9', 'latin1') } },
    ],
    ['rcpt a@[IPv6:2001:db8::1]: drop', { at: 'rcpt', match: 'a@[IPv6:2001:db8::1]', action: drop }],
    ['rcpt: split', { at: 'rcpt', action: { kind: 'split', pieceBytes: 1 } }],
    ['end: split 12', { at: 'end', action: { kind: 'split', pieceBytes: 12 } }],
    ['end: extra 250 ok', { at: 'end', action: { kind: 'extra', reply: '250 ok', waitMs: 0 } }],
    [
      'end first: extra 50ms 421-4.4.2 idle\\n421 bye',
      { at: 'end', times: 1, action: { kind: 'extra', reply: '421-4.4.2 idle\n421 bye', waitMs: 50 } },
    ],
    ['mail: SKIP', { at: 'mail', action: { kind: 'skip' } }],
    ['rcpt: swap', { at: 'rcpt', action: { kind: 'swap' } }],
    ['data: stop-reading', { at: 'data', action: { kind: 'stop-reading' } }],
    ['mail every 2: lose-rest', { at: 'mail', every: 2, action: { kind: 'lose-rest' } }],
    ['rcpt first per reverse-path: drop', { at: 'rcpt', times: 1, perReversePath: true, action: drop }],
    [
      'connect over 5 sessions per client: drop',
      { at: 'connect', overSessions: 5, perClient: true, action: drop },
    ],
    ['ehlo: 250-x\\n250 SIZE 1', { at: 'ehlo', action: { kind: 'reply', reply: '250-x\n250 SIZE 1' } }],
  ];
  for (const [text, expected] of table) assert.deepEqual(parseFault(text), expected, text);
});

test('what cannot be read is refused with what was expected', () => {
  const table: readonly (readonly [string, RegExp])[] = [
    ['rcpt drop', /no colon, expected STAGE/],
    ['rctp: drop', /stage "rctp" is unknown, expected one of connect, greeting/],
    [': drop', /stage "" is unknown/],
    ['rcpt 101%: drop', /"101%" is no share, expected 0% to 100%/],
    ['rcpt x%: drop', /is no share/],
    ['rcpt often: drop', /condition "often" is unknown, expected a share/],
    ['rcpt every: drop', /"every" needs a whole number/],
    ['mail after many: drop', /"after" needs a number/],
    ['end over 5: drop', /"over 5" is no limit/],
    ['end over 2000000/s: drop', /at most 1000000/],
    ['greeting *@x: drop', /stage "greeting" knows no address/],
    ['rcpt: drop-after-taken', /expected "drop-after-taken" at end/],
    ['rcpt: delay', /"" is no delay/],
    ['rcpt: delay 30d', /at most 24h/],
    ['rcpt: 650 x', /action "650 x" is unknown, expected a reply/],
    ['rcpt: 4501 x', /is unknown/],
    ['rcpt: 450-x', /is unknown/],
    ['rcpt: 450-x\\n451 y', /is unknown/],
    ['rcpt:', /action "" is unknown/],
    ['rcpt: split often', /"often" is no number of octets/],
    ['rcpt: extra', /"" is no reply, expected one like "extra 250 ok"/],
    ['rcpt: extra 50ms', /is no reply/],
    ['rcpt: extra 650 no', /is no reply/],
    ['connect: skip', /no reply at connect, expected "skip" at another stage/],
    ['rcpt per reverse-path: drop', /expected "first 2 per reverse-path"/],
    ['connect per client: drop', /expected "over 5 sessions per client"/],
    ['rcpt first per moon: drop', /"per moon" is unknown/],
    ['connect: 220 hello', /can only be refused/],
  ];
  for (const [text, expected] of table) {
    assert.throws(
      () => parseFault(text),
      (error) => {
        assert.ok(error instanceof PosthasteError);
        assert.match(error.message, expected);
        assert.deepEqual([error.code, error.exitCode], ['ERR_SANDBOX_FAULT', 64]);
        return true;
      },
    );
  }
});

test('only our own error comes out of rubbish', () => {
  const word = fc.constantFrom(
    'rcpt',
    'end',
    ' ',
    ':',
    'first',
    'over',
    '5%',
    '*',
    '@',
    '450',
    'delay',
    '1s',
    '\\x',
    '\\',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(word, fc.string()), { maxLength: 12 }), (words) => {
      try {
        parseFault(words.join(''));
      } catch (error) {
        assert.ok(error instanceof PosthasteError);
      }
    }),
    { numRuns: 1000 },
  );
});

test('extensions are named, or named away', () => {
  assert.deepEqual(parseExtensions('pipelining, SIZE'), ['PIPELINING', 'SIZE']);
  assert.deepEqual(parseExtensions('none'), []);
  assert.equal(parseExtensions('all').length, 8);
  assert.deepEqual(parseExtensions('-CHUNKING -dsn'), [
    'PIPELINING',
    'SIZE',
    '8BITMIME',
    'ENHANCEDSTATUSCODES',
    'SMTPUTF8',
    'REQUIRETLS',
  ]);
  assert.throws(() => parseExtensions('PIPELINE'), { code: 'ERR_SANDBOX_EXTENSION', exitCode: 64 });
});
