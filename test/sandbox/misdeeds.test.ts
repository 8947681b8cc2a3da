// Faults that let a command be and spoil its reply, or the reading of what comes behind it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FaultPlan } from '../../src/sandbox/fault_plan.ts';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { codesOf, repliesTo, talk, talkBothWays, withFaults } from './conversation.ts';
import { dial, dialTls, startFor } from './wire.ts';

const mail = 'MAIL FROM:<a@example.com>';
const rcpt = 'RCPT TO:<b@example.net>';
const message = [mail, rcpt, 'DATA', 'x', '.'];
const whole = `EHLO c\r\n${message.join('\r\n')}\r\n`;

test('"split" sends each octet of a reply for itself, refusals too; "split 3" three at a time', () => {
  const { output } = talkBothWays(withFaults('mail: split'), `EHLO c\r\n${mail}\r\n`);
  assert.match(output, /\r\n2\[1ms\]5\[1ms\]0\[1ms\] \[1ms\]2\[1ms\]\./);
  const refused = talkBothWays(withFaults('rcpt: split 3', 'rcpt: 450 no'), whole);
  assert.match(refused.output, /250 2\.1\.0 Sender ok\r\n450\[1ms\] no\[1ms\]\r\n554 /);
});

test('split pieces arrive as they were said', async (t) => {
  const sandbox = await startFor(t, withFaults('ehlo: split 7', 'greeting: split'));
  const wire = await dial(t, sandbox);
  assert.equal(await wire.until(/\r\n/), '220 sandbox.localhost ESMTP Posthaste sandbox\r\n');
  assert.match(await wire.ask('EHLO c\r\n'), /^250-sandbox[^]*250 CHUNKING\r\n$/);
});

test('"extra" says a second reply, at once or later, and 421 among them closes', () => {
  const replies = repliesTo(withFaults('end: extra 250 ok'), ...message, 'NOOP');
  assert.equal(codesOf(replies), '250 250 354 250 250 250');
  const later = talkBothWays(withFaults('end: extra 50ms 421 4.4.2 idle'), `${whole}NOOP\r\n`);
  assert.match(later.output, /Taken as 1\.1\r\n\[50ms\]421 4\.4\.2 idle\r\n$/);
  assert.deepEqual([later.ending, later.stats.accepted], ['close', 1]);
});

test('"skip" does and does not answer; a message so taken is not acknowledged', () => {
  const replies = repliesTo(withFaults('mail: skip', 'rcpt first: skip'), ...message);
  assert.equal(codesOf(replies), '354 250');
  const { messages, stats } = talkBothWays(withFaults('end: skip'), whole);
  assert.deepEqual([messages[0]?.acknowledged, stats.taken, stats.accepted], [false, 1, 0]);
});

test('"swap" lets the next reply go first', () => {
  const replies = repliesTo(withFaults('rcpt: swap'), ...message);
  assert.equal(codesOf(replies), '250 354 250 250');
  assert.match(replies[2] ?? '', /Recipient ok/);
});

test('"lose-rest" forgets what came behind the command, and takes what comes later', () => {
  const { output } = talk(withFaults('mail: lose-rest'), [
    Buffer.from(`EHLO c\r\n${mail}\r\n${rcpt}\r\nDATA\r\nNO`),
    Buffer.from('NOOP\r\n'),
  ]);
  assert.match(output, /Sender ok\r\n250 2\.0\.0 Ok\r\n$/);
});

test('"stop-reading" answers and then reads nothing more, so that the client’s window closes', async (t) => {
  const sandbox = await startFor(t, withFaults('data: stop-reading'));
  const wire = await dial(t, sandbox);
  await wire.until(/\r\n/);
  await wire.ask('EHLO c\r\n');
  await wire.ask(`${mail}\r\n`);
  await wire.ask(`${rcpt}\r\n`);
  assert.match(await wire.ask('DATA\r\n'), /^354/);
  const before = sandbox.stats().receivedBytes;
  const flood = Buffer.alloc(20_000_000, 'x');
  assert.equal(wire.socket.write(flood), false);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(wire.socket.writableLength > 0, 'the kernels are full and nobody reads');
  assert.equal(sandbox.stats().receivedBytes, before);
  assert.equal(wire.socket.destroyed, false);
});

test('"per reverse-path" counts each pair of sender and recipient', () => {
  const plan = new FaultPlan([parseFault('rcpt first per reverse-path: 451 4.7.1 greylisted')], 1, () => 0);
  const strikes = (reversePath: string, recipient: string): boolean =>
    plan.rule('rcpt', [recipient], {
      sessionNumber: 1,
      takenMessages: 0,
      openConnections: 1,
      openFromClient: 1,
      reversePath,
    }) !== undefined;
  assert.deepEqual(
    [
      strikes('a@a', 'x@x'),
      strikes('a@a', 'x@x'),
      strikes('b@b', 'x@x'),
      strikes('A@a', 'X@x'),
      strikes('a@a', 'y@y'),
    ],
    [true, false, true, false, true],
  );
  const { output } = talkBothWays(
    withFaults('rcpt first per reverse-path: 451 4.7.1 greylisted'),
    `EHLO c\r\n${mail}\r\n${rcpt}\r\n${rcpt}\r\nRSET\r\nMAIL FROM:<other@example.com>\r\n${rcpt}\r\n${rcpt}\r\n`,
  );
  assert.equal(codesOf(output.split('\r\n').slice(-8, -1)), '451 250 250 250 451 250'.replace(/^/, '250 '));
});

test('"per client" counts the connections of one IP address', async (t) => {
  const sandbox = await startFor(t, withFaults('connect over 1 sessions per client: 421 4.7.0 too many'));
  const first = await dial(t, sandbox);
  assert.match(await first.until(/\r\n/), /^220/);
  const second = await dial(t, sandbox);
  assert.match(await second.until(/\r\n/), /^421 4\.7\.0 too many/);
  first.socket.destroy();
  second.socket.destroy();
  while (sandbox.stats().openConnections > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const third = await dial(t, sandbox);
  assert.match(await third.until(/\r\n/), /^220/);
});

test('a certificate for another name or of the past is not to be trusted', async (t) => {
  for (const [certificateFlaw, code] of [
    ['wrong-name', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['expired', 'CERT_HAS_EXPIRED'],
  ] as const) {
    const sandbox = await startFor(t, { tls: 'implicit', certificateFlaw });
    await assert.rejects(dialTls(t, sandbox), { code });
  }
});
