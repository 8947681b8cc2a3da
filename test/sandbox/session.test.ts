// The dialogue: what the sandbox replies to what, whole and octet by octet.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { FaultPlan } from '../../src/sandbox/fault_plan.ts';
import { settleSession } from '../../src/sandbox/options.ts';
import { Session } from '../../src/sandbox/session.ts';
import { emptyStats } from '../../src/sandbox/stats.ts';
import { codesOf, cutIntoOctets, forget, repliesTo, talk, talkBothWays, withFaults } from './conversation.ts';

const mail = 'MAIL FROM:<a@example.com>';
const rcpt = 'RCPT TO:<b@example.net>';

test('a whole transaction is taken, and its dots are unstuffed', () => {
  const input = `EHLO c\r\n${mail}\r\n${rcpt}\r\nDATA\r\nSubject: x\r\n\r\n..one\r\n.two\r\n...\r\n.\r\nQUIT\r\n`;
  const { output, stats, messages, ending } = talkBothWays({}, input);
  assert.match(
    output,
    /^220 [^]*250 2\.1\.0 [^]*250 2\.1\.5 [^]*354 [^]*250 2\.0\.0 Taken as 1\.1\r\n221 [^]*$/,
  );
  assert.equal(messages[0]?.data.toString(), 'Subject: x\r\n\r\n.one\r\ntwo\r\n..\r\n');
  assert.equal(messages[0]?.reversePath, 'a@example.com');
  assert.deepEqual(messages[0]?.recipients, ['b@example.net']);
  assert.equal(messages[0]?.acknowledged, true);
  assert.deepEqual([stats.accepted, stats.taken, stats.recipients, stats.commands], [1, 1, 1, 5]);
  assert.equal(stats.receivedBytes, input.length);
  assert.equal(ending, 'close');
});

test('a lone dot after DATA is an empty message', () => {
  const { messages } = talkBothWays({}, `EHLO c\r\n${mail}\r\n${rcpt}\r\nDATA\r\n.\r\n`);
  assert.equal(messages[0]?.data.length, 0);
});

test('only CRLF.CRLF ends the data', () => {
  const content = 'a\n.\nb\r.\rc\r\n.\nd\n.\r\ne\r\r\n.\re\r\n.x\r\n';
  const { messages } = talkBothWays({}, `EHLO c\r\n${mail}\r\n${rcpt}\r\nDATA\r\n${content}.\r\nNOOP\r\n`);
  assert.equal(messages[0]?.data.toString(), content.replaceAll('\r\n.', '\r\n'));
});

test('the next transaction may stand behind the end of data in one group', () => {
  const one = [mail, rcpt, 'DATA', 'x', '.'];
  assert.equal(codesOf(repliesTo({}, ...one, ...one)), '250 250 354 250 250 250 354 250');
});

test('commands out of order get 503', () => {
  assert.equal(codesOf(repliesTo({}, rcpt, 'DATA', mail, mail, 'DATA')), '503 503 250 503 503');
  assert.match(talkBothWays({}, `${mail}\r\n`).output, /\r\n503 EHLO first\r\n$/);
});

test('DATA is refused with 554 where every recipient was', () => {
  const replies = repliesTo({}, mail, 'RCPT TO:<nobody>', 'DATA', 'RSET', mail);
  assert.equal(codesOf(replies), '250 501 554 250 250');
});

test('the small commands answer', () => {
  const replies = repliesTo(
    {},
    'NOOP',
    'noop x',
    'RSET',
    'VRFY b',
    'HELP',
    'EXPN l',
    'TURN',
    '',
    'DATA x',
    'QUIT',
  );
  assert.equal(codesOf(replies), '250 250 250 252 214 502 500 500 503 221');
});

test('nothing is answered after QUIT', () => {
  assert.equal(codesOf(repliesTo({}, 'QUIT', 'NOOP')), '221');
});

test('HELO answers in one line and without enhanced statuses', () => {
  const { output } = talkBothWays({}, `HELO c\r\n${mail}\r\n`);
  assert.match(output, /\r\n250 sandbox\.localhost\r\n250 Sender ok\r\n$/);
});

test('EHLO and HELO need a name, and EHLO ends a transaction', () => {
  assert.equal(codesOf(repliesTo({}, mail, 'EHLO', 'HELO ')), '250 501 501');
  assert.equal(codesOf(repliesTo({ extensions: [] }, mail, 'EHLO c', mail)), '250 250 250');
});

test('EHLO offers what was asked for', () => {
  const all = talkBothWays({ sizeLimitBytes: 1000 }, 'EHLO c\r\n').output;
  assert.deepEqual(all.split('\r\n').slice(2), [
    '250-PIPELINING',
    '250-SIZE 1000',
    '250-8BITMIME',
    '250-ENHANCEDSTATUSCODES',
    '250-DSN',
    '250-SMTPUTF8',
    '250 CHUNKING',
    '',
  ]);
  const few = talkBothWays({ extensions: ['SIZE'], auth: { user: 'u', pass: 'p' } }, 'EHLO c\r\n').output;
  assert.deepEqual(few.split('\r\n').slice(2), ['250-SIZE 26214400', '250 AUTH PLAIN LOGIN', '']);
});

test('without ENHANCEDSTATUSCODES replies have none', () => {
  assert.deepEqual(repliesTo({ extensions: [] }, mail), ['250 Sender ok']);
});

test('parameters that were not offered get 555, bad values 501', () => {
  const lines = [
    `${mail} SIZE=x`,
    `${mail} FOO=1`,
    `${mail} BODY=BINARY`,
    `${mail} RET=FULL ENVID=a+2Bb SIZE=9`,
  ];
  assert.equal(codesOf(repliesTo({}, ...lines)), '501 555 501 250');
  assert.equal(codesOf(repliesTo({ extensions: [] }, `${mail} SIZE=9`)), '555');
  const rcpts = [`${rcpt} NOTIFY=NEVER,DELAY`, `${rcpt} NOTIFY=DELAY,FAILURE ORCPT=rfc822;b@example.net`];
  assert.equal(codesOf(repliesTo({}, mail, ...rcpts)), '250 501 250');
  assert.equal(codesOf(repliesTo({}, `${mail} AUTH=<>`)), '555');
});

test('an ENVID is at most 100 characters long, an ORCPT 500', () => {
  assert.equal(
    codesOf(repliesTo({}, `${mail} ENVID=${'x'.repeat(101)}`, `${mail} ENVID=${'x'.repeat(100)}`)),
    '501 250',
  );
  assert.equal(
    codesOf(repliesTo({}, mail, `${rcpt} ORCPT=x;${'x'.repeat(499)}`, `${rcpt} ORCPT=x;${'x'.repeat(498)}`)),
    '250 501 250',
  );
});

test('REQUIRETLS is offered, and taken, inside TLS only', () => {
  const { output, stats } = talkBothWays({}, `EHLO c\r\n${mail} REQUIRETLS\r\n`);
  assert.doesNotMatch(output, /REQUIRETLS/);
  assert.match(output, /\r\n555 5\.5\.4 Parameter not offered\r\n$/);
  assert.equal(stats.violations.notOffered, 1);
  const settings = settleSession({ tls: 'implicit' });
  const plan = new FaultPlan([], 1, () => 0);
  const session = new Session({ settings, plan, stats: emptyStats(), keep: () => {} }, 1);
  session.open();
  session.secure();
  const secured = session.receive(Buffer.from(`EHLO c\r\n${mail} REQUIRETLS\r\n`)).output;
  assert.match(secured, /250 REQUIRETLS\r\n250 2\.1\.0 Sender ok\r\n$/);
});

test('a message over the limit gets 552, declared or sent', () => {
  const options = { sizeLimitBytes: 10 };
  assert.equal(codesOf(repliesTo(options, `${mail} SIZE=11`, `${mail} SIZE=10`)), '552 250');
  const send = (content: string): string => codesOf(repliesTo(options, mail, rcpt, 'DATA', content, '.'));
  assert.equal(send('12345678'), '250 250 354 250');
  assert.equal(send('123456789'), '250 250 354 552');
});

test('an address in UTF-8 needs SMTPUTF8', () => {
  const jose = 'RCPT TO:<josé@example.net>';
  assert.equal(codesOf(repliesTo({}, 'MAIL FROM:<é@example.com>', mail, jose)), '553 250 553');
  assert.equal(codesOf(repliesTo({}, `${mail} SMTPUTF8`, jose)), '250 250');
});

test('the null reverse-path and Postmaster alone are addresses', () => {
  assert.equal(codesOf(repliesTo({}, 'MAIL FROM:<>', 'RCPT TO:<Postmaster>', 'RCPT TO:<>')), '250 250 501');
});

test('the 1001st recipient gets 452', () => {
  const replies = repliesTo({}, mail, ...Array.from({ length: 1001 }, () => rcpt));
  assert.equal(replies.at(-2)?.slice(0, 3), '250');
  assert.equal(replies.at(-1), '452 4.5.3 Too many recipients');
});

test('a line that is too long or ends in a bare LF gets one 500', () => {
  assert.equal(codesOf(repliesTo({}, `NOOP ${'x'.repeat(2044)}`, `NOOP ${'x'.repeat(2043)}`)), '500 250');
  assert.equal(codesOf(repliesTo({}, 'x'.repeat(40_000), 'NOOP')), '500 250');
  assert.match(talkBothWays({}, 'NOOP\nNOOP\r\n\n').output, /\r\n500 .*\r\n250 .*\r\n500 .*\r\n$/);
});

test('the longest line that is carried is the same in one chunk and in many', () => {
  for (const length of [12_287, 12_288, 12_289]) {
    assert.equal(codesOf(repliesTo({}, `AUTH ${'x'.repeat(length - 5)}`)), length > 12_288 ? '500' : '502');
  }
});

test('BDAT brings a message octet for octet, and CRLF.CRLF means nothing in it', () => {
  const { messages, output } = talkBothWays(
    {},
    `EHLO c\r\n${mail}\r\n${rcpt}\r\nBDAT 8\r\n..a\r\n.\r\nBDAT 0\r\nBDAT 3 LAST\r\nQUIQUIT\r\n`,
  );
  assert.equal(messages[0]?.data.toString(), '..a\r\n.\r\nQUI');
  assert.equal(messages[0]?.chunked, true);
  assert.match(
    output,
    /250 2\.0\.0 Chunk taken\r\n250 2\.0\.0 Chunk taken\r\n250 2\.0\.0 Taken as 1\.1\r\n221 /,
  );
});

test('a transaction that began with BDAT takes no DATA, no RCPT and no MAIL', () => {
  const replies = repliesTo({}, mail, rcpt, 'BDAT 0', 'DATA', rcpt, mail, 'BDAT 0 LAST');
  assert.equal(codesOf(replies), '250 250 250 503 503 503 250');
});

test('after a failed BDAT only RSET helps, and its octets are counted off', () => {
  const options = { sizeLimitBytes: 4 };
  const replies = repliesTo(
    options,
    mail,
    rcpt,
    'BDAT 6',
    'NOOP',
    'BDAT 6 LAST',
    'NOOP',
    mail,
    rcpt,
    'RSET',
    mail,
  );
  assert.equal(codesOf(replies), '250 250 552 503 503 503 250 250');
  const last = repliesTo(withFaults('end: 554 5.7.1 no'), mail, rcpt, 'BDAT 0 LAST', mail, 'RSET', mail);
  assert.equal(codesOf(last), '250 250 554 503 250 250');
});

test('BDAT without recipients or MAIL fails after its octets', () => {
  assert.equal(codesOf(repliesTo({}, mail, 'BDAT 0 LAST', rcpt, 'RSET', mail)), '250 503 503 250 250');
  assert.equal(
    codesOf(repliesTo({}, 'BDAT 6 LAST', 'NOOP', mail, 'BDAT 6', 'NOOP', 'NOOP')),
    '503 250 503 250',
  );
  assert.equal(codesOf(repliesTo({}, 'BDAT', 'BDAT x LAST', 'BDAT 1 FIRST')), '501 501 501');
  assert.equal(codesOf(repliesTo({ extensions: [] }, 'BDAT 6 LAST')), '502');
});

const account = { auth: { user: 'me', pass: 'sécret' } };
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const plain = (text: string): string => `AUTH PLAIN ${base64(text)}`;
const goodPlain = base64('\0me\0sécret');

test('AUTH PLAIN takes an initial response or asks for it', () => {
  assert.equal(codesOf(repliesTo(account, mail, `AUTH PLAIN ${goodPlain}`, mail)), '530 235 250');
  assert.equal(codesOf(repliesTo(account, 'auth plain', goodPlain, 'AUTH PLAIN')), '334 235 503');
});

test('AUTH LOGIN asks for user and password', () => {
  const replies = repliesTo(account, 'AUTH LOGIN', base64('me'), base64('sécret'));
  assert.deepEqual(replies.slice(0, 2), ['334 VXNlcm5hbWU6', '334 UGFzc3dvcmQ6']);
  assert.equal(replies[2]?.slice(0, 3), '235');
  assert.equal(codesOf(repliesTo(account, `AUTH LOGIN ${base64('me')}`, base64('wrong'))), '334 535');
});

test('AUTH refuses what is wrong, each with its code', () => {
  const wrong = [
    plain('\0me\0x'),
    plain('you\0me\0sécret'),
    plain('\0me'),
    'AUTH PLAIN =',
    'AUTH PLAIN',
    '=',
  ];
  assert.equal(codesOf(repliesTo(account, ...wrong)), '535 535 535 535 334 501');
  assert.equal(
    codesOf(repliesTo(account, 'AUTH PLAIN', '*', 'AUTH XOAUTH2', 'AUTH PLAIN x y')),
    '334 501 504 501',
  );
  assert.equal(codesOf(repliesTo({}, 'AUTH PLAIN')), '502');
  const optional = { auth: { user: 'me', pass: 'x', required: false } };
  assert.equal(codesOf(repliesTo(optional, mail, 'AUTH PLAIN')), '250 503');
  assert.match(
    talkBothWays(account, `HELO c\r\nAUTH PLAIN ${goodPlain}\r\n`).output,
    /\r\n503 EHLO first\r\n$/,
  );
});

test('outside TLS a sandbox with STARTTLS neither offers nor takes AUTH', () => {
  const options = { ...account, tls: 'starttls' as const };
  assert.doesNotMatch(talkBothWays(options, 'EHLO c\r\n').output, /AUTH/);
  assert.equal(codesOf(repliesTo(options, `AUTH PLAIN ${goodPlain}`)), '538');
});

test('what follows STARTTLS in the clear is discarded', () => {
  const { output, ending, stats } = talkBothWays({ tls: 'starttls' }, 'EHLO c\r\nSTARTTLS\r\nNOOP\r\n');
  assert.match(output, /\r\n220 2\.0\.0 Go ahead\r\n$/);
  assert.equal(ending, 'upgrade');
  assert.equal(stats.commands, 2);
  assert.equal(codesOf(repliesTo({ tls: 'starttls' }, 'STARTTLS x')), '501');
  assert.equal(codesOf(repliesTo({}, 'STARTTLS')), '502');
});

test('any cut of the input gives the same replies and the same messages', () => {
  const one = `${mail} SIZE=9 SMTPUTF8\r\nRCPT TO:<é@example.net>\r\n${rcpt}\r\nRCPT TO:<bad@example.net>\r\n`;
  const data = `DATA\r\n..\r\n.\r.\r\r\n..\r\n\r\n.\r\n`;
  const bdat = `BDAT 7\r\n\r\n.\r\nab\r\nBDAT 3 LAST\r\nx\r\n`;
  const junk = `NOOP\n${'y'.repeat(13_000)}\r\n\xff\r\nAUTH PLAIN\r\n!\r\n`;
  const input = Buffer.from(
    `EHLO c\r\n${one}${data}${junk}${one}${bdat}RSET\r\n${one}${data}QUIT\r\nNOOP\r\n`,
  );
  const options = {
    auth: { user: 'u', pass: 'p', required: false },
    ...withFaults('rcpt bad@*: 550 5.1.1 no', 'data every 2: delay 5ms', 'end every 3: drop'),
  };
  const whole = forget(talk(options, [input]));
  assert.deepEqual(forget(talk(options, cutIntoOctets(input))), whole);
  const cuts = fc.uniqueArray(fc.nat(input.length), { maxLength: 40 });
  fc.assert(
    fc.property(cuts, (at) => {
      const borders = [0, ...at.toSorted((a, b) => a - b), input.length];
      const chunks = borders.slice(1).map((end, index) => input.subarray(borders[index], end));
      assert.deepEqual(forget(talk(options, chunks)), whole);
    }),
    { numRuns: 300 },
  );
});

test('any message comes out of DATA and of BDAT as it went in', () => {
  const piece = fc.constantFrom('\r\n', '.', '\r', '\n', 'x', '\r\n.', '..', '\0', 'é');
  fc.assert(
    fc.property(fc.array(piece), fc.integer({ min: 1, max: 9 }), (pieces, step) => {
      const text = `${pieces.join('')}\r\n`;
      const stuffed = text.replace(/(^|\r\n)\./g, '$1..');
      const bdat = `${mail}\r\n${rcpt}\r\nBDAT ${Buffer.byteLength(text)} LAST\r\n${text}`;
      const input = Buffer.from(`EHLO c\r\n${mail}\r\n${rcpt}\r\nDATA\r\n${stuffed}.\r\n${bdat}`);
      const count = Math.ceil(input.length / step);
      const chunks = Array.from({ length: count }, (_, index) =>
        input.subarray(index * step, (index + 1) * step),
      );
      const { messages } = talk({}, chunks);
      assert.deepEqual(
        messages.map((one) => one.data.toString()),
        [text, text],
      );
    }),
  );
});

test('rubbish gets replies and never an exception', () => {
  const word = fc.constantFrom(
    'EHLO c',
    'MAIL FROM:<',
    'RCPT TO:<',
    '@',
    '>',
    ' ',
    '=',
    'DATA',
    'BDAT 5',
    '\r\n',
    'AUTH',
  );
  const part = fc.oneof(
    word.map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 5 }).map((octets) => Buffer.from(octets)),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 60 }), (parts) => {
      const { output } = talk({ auth: { user: 'u', pass: 'p' } }, [Buffer.concat(parts)]);
      for (const line of output.split('\r\n').slice(0, -1)) assert.match(line, /^[2-5]\d\d[ -]/);
    }),
    { numRuns: 500 },
  );
});
