import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseNamedDelayMs } from '../../src/mail/named_delay.ts';

const delays: readonly [text: string, seconds: number][] = [
  ['450 4.2.0 Greylisted for 60 seconds', 60],
  ['451 4.7.1 Greylisting in action, please come back in 00:04:59', 299],
  ['450 4.7.1 Try again in 300 seconds', 300],
  ['421 Too many messages. Please retry in 5 minutes.', 300],
  ['451 Temporary failure, please try again later, in 10 min', 600],
  ['450 Please retry after 1h 30m', 5400],
  ['451 please wait at least 2 minutes and 5 seconds', 125],
  ['450 try again in 5-10 minutes', 600],
  ['450 try again in 5 to 10 minutes', 600],
  ['451 Please try again in an hour', 3600],
  ['450 Graylisted (wait 15 minutes)', 900],
  ['451 Your message has been delayed for 20 minute(s)', 1200],
  ['450 retry in 2d', 172_800],
];

for (const [text, seconds] of delays)
  test(`"${text}" names ${seconds} s`, () => assert.equal(parseNamedDelayMs(text), seconds * 1000));

const silent = [
  '451 4.7.1 Try again later',
  '421 4.7.28 at most 100 messages in 5 minutes, try again later',
  '450 Please try again later (limit: 20 messages in 60 minutes)',
  '450 try again at 10:30:00',
  '450 try again after 10:30:00',
  '450 try again in 0 seconds',
  '450 retry in 60',
  '450 wait 12345678 seconds',
  '450 4.2.2 mailbox full for 3 days',
  '451 retry timeout exceeded',
  '',
];

for (const text of silent)
  test(`"${text}" names no delay`, () => assert.equal(parseNamedDelayMs(text), undefined));

test('a number and its unit are read back, whatever stands before', () => {
  const units = fc.constantFrom<[string, number]>(
    ['seconds', 1000],
    ['sec', 1000],
    ['minutes', 60_000],
    ['h', 3_600_000],
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 999_999 }),
      units,
      fc.string({ maxLength: 100 }),
      (count, [unit, ms], before) => {
        const plain = before.replace(/[a-z]/gi, '');
        assert.equal(parseNamedDelayMs(`${plain} try again in ${count} ${unit}`), count * ms);
      },
    ),
  );
});

test('rubbish gives nothing or a positive number, and only its first 500 characters are looked at', () => {
  const words = fc.constantFrom(
    'again',
    'in',
    'wait',
    '5',
    '00:01:00',
    'minutes',
    'and',
    '-',
    'or',
    '(',
    'greylisted',
    'a',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.array(words, { maxLength: 300 }).map((list) => list.join(' ')),
  );
  fc.assert(
    fc.property(text, (one) => {
      const delayMs = parseNamedDelayMs(one);
      assert.ok(delayMs === undefined || (Number.isFinite(delayMs) && delayMs > 0));
    }),
  );
  assert.equal(parseNamedDelayMs(`${'x'.repeat(500)} try again in 5 minutes`), undefined);
});
