// What faults do to a session, stage by stage.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FaultPlan } from '../../src/sandbox/fault_plan.ts';
import { settleSession } from '../../src/sandbox/options.ts';
import { Session } from '../../src/sandbox/session.ts';
import { emptyStats } from '../../src/sandbox/stats.ts';
import { codesOf, repliesTo, talkBothWays, withFaults } from './conversation.ts';

const mail = 'MAIL FROM:<a@example.com>';
const rcpt = 'RCPT TO:<b@example.net>';
const message = [mail, rcpt, 'DATA', 'x', '.'];
const whole = `EHLO c\r\n${message.join('\r\n')}\r\n`;

test('a refused recipient leaves the transaction to the others', () => {
  const options = withFaults('rcpt *@bad.example: 550 5.1.1 no such user');
  const replies = repliesTo(options, mail, 'RCPT TO:<x@bad.example>', rcpt, 'DATA', 'x', '.');
  assert.deepEqual(replies.slice(1, 2), ['550 5.1.1 no such user']);
  assert.equal(codesOf(replies), '250 550 250 354 250');
  const { messages, stats } = talkBothWays(options, `${whole}MAIL FROM:<a@x>\r\nRCPT TO:<x@bad.example>\r\n`);
  assert.deepEqual(messages[0]?.recipients, ['b@example.net']);
  assert.equal(stats.refused.rcpt, 1);
});

test('a refused MAIL, DATA or end has no effect', () => {
  assert.equal(codesOf(repliesTo(withFaults('mail: 451 4.3.0 later'), ...message)), '451 503 503 500 500');
  assert.equal(
    codesOf(repliesTo(withFaults('data: 451 4.3.0 later'), ...message.slice(0, 3), rcpt)),
    '250 250 451 250',
  );
  const refused = talkBothWays(withFaults('end: 554 5.7.1 spam'), whole);
  assert.deepEqual([refused.stats.accepted, refused.stats.taken, refused.stats.refused.end], [0, 0, 1]);
  assert.equal(
    codesOf(repliesTo(withFaults('end: 554 5.7.1 spam'), ...message, mail)),
    '250 250 354 554 250',
  );
});

test('421 ends the session', () => {
  const { output, ending } = talkBothWays(withFaults('rcpt: 421 4.3.2 closing'), `${whole}NOOP\r\n`);
  assert.match(output, /\r\n421 4\.3\.2 closing\r\n$/);
  assert.equal(ending, 'close');
});

test('a greeting of 554 serves QUIT only', () => {
  const { output, ending } = talkBothWays(
    withFaults('greeting: 554 5.3.2 go away'),
    'EHLO c\r\nNOOP\r\nQUIT\r\n',
  );
  assert.match(output, /^554 5\.3\.2 go away\r\n503 .*\r\n503 .*\r\n221 .*\r\n$/);
  assert.equal(ending, 'close');
});

test('a greeting of garbage is followed by a session', () => {
  const { output } = talkBothWays(withFaults('greeting: garbage HTTP/1.1 400 Bad\\r\\n'), 'NOOP\r\n');
  assert.equal(output, 'HTTP/1.1 400 Bad\r\n250 Ok\r\n');
});

test('a refused connection gets its reply and is closed', () => {
  const { output, ending } = talkBothWays(withFaults('connect: 554 5.7.1 not you'), 'EHLO c\r\n');
  assert.deepEqual([output, ending], ['554 5.7.1 not you\r\n', 'close']);
  const dropped = talkBothWays(withFaults('connect: drop'), 'EHLO c\r\n');
  assert.deepEqual([dropped.output, dropped.ending, dropped.stats.dropped], ['', 'drop', 1]);
});

test('a refused EHLO leaves HELO', () => {
  const { output } = talkBothWays(
    withFaults('ehlo: 502 5.5.1 what?'),
    'EHLO c\r\nMAIL FROM:<a@x>\r\nHELO c\r\n',
  );
  assert.match(output, /\r\n502 5\.5\.1 what\?\r\n503 EHLO first\r\n250 sandbox\.localhost\r\n$/);
});

test('a refused STARTTLS goes on in the clear', () => {
  const options = { tls: 'starttls' as const, ...withFaults('starttls: 454 4.7.0 TLS not available') };
  assert.equal(codesOf(repliesTo(options, 'STARTTLS', mail)), '454 250');
});

test('a refused AUTH is no verdict on the password', () => {
  const options = { auth: { user: 'u', pass: 'p' }, ...withFaults('auth first: 454 4.7.0 temporary') };
  const command = `AUTH PLAIN ${Buffer.from('\0u\0p').toString('base64')}`;
  assert.equal(codesOf(repliesTo(options, command, command)), '454 235');
});

test('a drop at the end takes nothing; drop-after-taken takes the message and tells nobody', () => {
  const dropped = talkBothWays(withFaults('end: drop'), whole);
  assert.deepEqual([dropped.stats.taken, dropped.ending], [0, 'drop']);
  assert.match(dropped.output, /354 [^\r]*\r\n$/);
  const lost = talkBothWays(withFaults('end: drop-after-taken'), whole);
  assert.deepEqual(
    [lost.stats.taken, lost.stats.accepted, lost.stats.dropped, lost.ending],
    [1, 0, 1, 'drop'],
  );
  assert.equal(lost.messages[0]?.acknowledged, false);
  assert.equal(lost.output, dropped.output);
});

test('silence is for ever, and keeps the session open', () => {
  const { output, ending, stats } = talkBothWays(withFaults('end: silence'), `${whole}NOOP\r\nQUIT\r\n`);
  assert.match(output, /354 [^\r]*\r\n$/);
  assert.deepEqual([ending, stats.taken], ['open', 0]);
});

test('garbage stands in for one reply', () => {
  assert.deepEqual(repliesTo(withFaults('rcpt: garbage 25O OK\\r\\n'), mail, rcpt, 'DATA').slice(1), [
    '25O OK',
    '554 5.5.1 No valid recipients',
  ]);
});

test('a positive reply changes the words only', () => {
  const options = withFaults('end: 250 thanks', 'rcpt: 251 will forward');
  const { output, stats } = talkBothWays(options, whole);
  assert.match(output, /251 will forward\r\n354 .*\r\n250 thanks\r\n$/);
  assert.equal(stats.accepted, 1);
});

test('a DATA answered 354 against the rules still takes nothing without recipients', () => {
  const options = withFaults('rcpt: 550 5.1.1 no', 'data: 354 go on');
  assert.equal(codesOf(repliesTo(options, ...message)), '250 550 354 554');
});

test('a delay comes before its reply and after those before it', () => {
  const { output } = talkBothWays(
    withFaults('rcpt: delay 200ms', 'rcpt: delay 100ms', 'rcpt: 450 4.2.1 busy'),
    whole,
  );
  assert.match(output, /250 2\.1\.0 Sender ok\r\n\[300ms\]450 4\.2\.1 busy\r\n554 /);
});

test('a delay may precede a greeting and a drop', () => {
  const { output, ending } = talkBothWays(
    withFaults('connect: delay 1s', 'greeting: delay 1s', 'mail: delay 2s', 'mail: drop'),
    whole,
  );
  assert.match(output, /^\[2000ms\]220 [^]*250 CHUNKING\r\n\[2000ms\]$/);
  assert.equal(ending, 'drop');
});

test('delays of one moment add up before all that is said in it', () => {
  const options = withFaults('connect: delay 1s', 'connect: garbage x', 'greeting: delay 1s');
  assert.match(talkBothWays(options, '').output, /^\[2000ms\]x220 /);
});

test('input that comes during a wait is answered after it', () => {
  const { faults = [] } = withFaults('ehlo: delay 1s');
  const home = { settings: settleSession({}), stats: emptyStats(), keep: () => {} };
  const session = new Session({ ...home, plan: new FaultPlan(faults, 1, () => 0) }, 1);
  session.open();
  assert.equal(session.receive(Buffer.from('EHLO c\r\nNO')).waitMs, 1000);
  assert.equal(session.receive(Buffer.from('OP\r\n')).output, '');
  assert.match(session.resume().output, /^250-[^]*\r\n250 2\.0\.0 Ok\r\n$/);
});

test('a reply of several lines is sent as it is, in UTF-8', () => {
  const { output } = talkBothWays(withFaults('mail: 550-5.1.7 né\\n550 5.1.7 non'), `EHLO c\r\n${mail}\r\n`);
  assert.equal(
    Buffer.from(output, 'latin1').toString().split('\r\n').slice(-3).join('|'),
    '550-5.1.7 né|550 5.1.7 non|',
  );
});

test('"after" counts the messages of the session', () => {
  const replies = repliesTo(
    withFaults('mail after 2 messages: 421 4.7.0 enough'),
    ...message,
    ...message,
    ...message,
  );
  assert.equal(codesOf(replies), '250 250 354 250 250 250 354 250 421');
});
