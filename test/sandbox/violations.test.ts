// What a client does against the rules is counted, each under its own name; a client that does not is clean.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { FaultPlan } from '../../src/sandbox/fault_plan.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { settleSession, type SandboxOptions } from '../../src/sandbox/options.ts';
import { Session } from '../../src/sandbox/session.ts';
import { emptyStats } from '../../src/sandbox/stats.ts';
import { emptyViolations, type Violations } from '../../src/sandbox/violations.ts';
import { cutIntoOctets, talk } from './conversation.ts';

const envelope = 'MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n';

/** The counts above 0 after input in chunks as they are given. */
function violationsOf(options: SandboxOptions, ...chunks: readonly (string | Buffer)[]): Partial<Violations> {
  const octets = ['EHLO c\r\n', ...chunks].map((chunk) => Buffer.from(chunk));
  const { violations } = talk({ inspect: true, ...options }, octets).stats;
  return Object.fromEntries(Object.entries(violations).filter(([, count]) => count > 0));
}

/** A message by DATA, chunk by chunk as a client would send it. */
function data(content: string | Buffer, mail = envelope): (string | Buffer)[] {
  return [mail, 'DATA\r\n', content, '.\r\n'];
}

test('a client that keeps the rules is clean, by DATA and by BDAT, in groups and alone', () => {
  assert.deepEqual(violationsOf({}, ...data('a: b\r\n\r\nx\r\n..\r\n')), {});
  assert.deepEqual(
    violationsOf({}, `${envelope}DATA\r\n`, `x\r\n.\r\n${envelope}DATA\r\n`, 'y\r\n.\r\n'),
    {},
  );
  assert.deepEqual(violationsOf({}, `${envelope}BDAT 3 LAST\r\nx\r\nRSET\r\n${envelope}BDAT 0 LAST\r\n`), {});
});

const table: readonly (readonly [string, readonly (string | Buffer)[], Partial<Violations>])[] = [
  ['a bare LF', data('x\ny\r\n'), { bareLf: 1 }],
  ['a bare CR', data('x\ry\r\n'), { bareCr: 1 }],
  ['two CR before a LF', data('x\r\r\n'), { bareCr: 1 }],
  ['a line of 999', data(`${'x'.repeat(999)}\r\n${'x'.repeat(998)}\r\n`), { longLine: 1 }],
  ['an octet beyond ASCII', data('caf\u00e9 \u00e9\r\n'), { eightBit: 1 }],
  ['an end of data inside a message', data('x\r\n.\r\ny\r\n'), { secondEndOfData: 1, notOffered: 2 }],
  ['BDAT without a last CRLF', [`${envelope}BDAT 1 LAST\r\nx`], { unendedText: 1 }],
  ['a command that ends in LF', ['NOOP\n'], { bareLf: 1 }],
  ['a command with a CR in it', ['NOOP a\rb\r\n'], { bareCr: 1 }],
  ['a command that is too long', [`NOOP ${'x'.repeat(1000)}\r\n`], { longLine: 1 }],
  ['a command that is none', ['FROB\r\n'], { notOffered: 1 }],
  ['a parameter that is none', ['MAIL FROM:<a@b> FROB=1\r\n'], { notOffered: 1 }],
  ['AUTH that was not offered', ['AUTH PLAIN\r\n'], { notOffered: 1 }],
  ['STARTTLS that was not offered', ['STARTTLS\r\n'], { notOffered: 1 }],
  ['content in one group with DATA', [`${envelope}DATA\r\nx\r\n.\r\n`], { pipelining: 1 }],
  ['a command behind NOOP', ['NOOP\r\nNOOP\r\n'], { pipelining: 1 }],
];

for (const [what, chunks, expected] of table) {
  test(`${what} is counted`, () => assert.deepEqual(violationsOf({}, ...chunks), expected));
}

test('what is against the rules without an extension is in order with it', () => {
  const eightBit = data('\u00e9\r\n', envelope.replace('>\r\n', '> BODY=8BITMIME\r\n'));
  assert.deepEqual(violationsOf({}, ...eightBit), {});
  assert.deepEqual(violationsOf({ extensions: [] }, 'MAIL FROM:<a@b>\r\n', 'BDAT 0 LAST\r\n'), {
    notOffered: 1,
  });
  assert.deepEqual(violationsOf({ extensions: [] }, 'MAIL FROM:<a@b> SIZE=1\r\n'), { notOffered: 1 });
  assert.deepEqual(violationsOf({ extensions: [] }, envelope), { pipelining: 1 });
  assert.deepEqual(violationsOf({ extensions: [] }, ...envelope.split(/(?<=\n)/)), {});
});

test('what comes during a wait was sent ahead', () => {
  const stats = emptyStats();
  const plan = new FaultPlan([parseFault('mail: delay 1s')], 1, () => 0);
  const session = new Session(
    { settings: settleSession({ extensions: [] }), plan, stats, keep: () => {} },
    1,
  );
  session.open();
  session.receive(Buffer.from('EHLO c\r\n'));
  assert.equal(session.receive(Buffer.from('MAIL FROM:<a@b>\r\n')).waitMs, 1000);
  session.receive(Buffer.from('RSET\r\n'));
  session.resume();
  assert.equal(stats.violations.pipelining, 1);
  session.receive(Buffer.from('RSET\r\n'));
  assert.equal(stats.violations.pipelining, 1);
});

test('contents are looked at only where that is asked for', () => {
  const { violations } = talk(
    {},
    ['EHLO c\r\n', ...data('x\ny\r\n')].map((chunk) => Buffer.from(chunk)),
  ).stats;
  assert.deepEqual(violations, emptyViolations());
});

test('the counts of contents are the same however they are cut', () => {
  const content = fc
    .array(fc.constantFrom('x', '\r', '\n', '\r\n', 'é', 'y'.repeat(999)), { maxLength: 20 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(content, (text) => {
      const size = Buffer.byteLength(text);
      const input = Buffer.from(`${envelope}BDAT ${size} LAST\r\n${text}`);
      assert.deepEqual(violationsOf({}, ...cutIntoOctets(input)), violationsOf({}, input));
    }),
  );
});
