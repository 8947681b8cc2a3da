// Replies that are lost, doubled, garbled, late or without end, at every stage.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { unreachable } from '../../../src/base/invariant.ts';
import { modes, openBed, openSandbox, until } from './bench.ts';
import { numbered } from './duel.ts';
import { greeted, startRawRelay, type Step } from './raw_relay.ts';

/** A session that takes the content of r1 and then does something to the reply that is due. */
function toEnd(mode: (typeof modes)[number], ...then: readonly Step[]): readonly Step[] {
  const content = /Subject: 1[^]*\r\n(?:\.\r\n)?$/;
  switch (mode) {
    case 'off':
      return [
        ...greeted,
        /MAIL.*\r\n/,
        '250 m\r\n',
        /RCPT.*\r\n/,
        '250 r\r\n',
        /DATA\r\n/,
        '354 d\r\n',
        content,
        ...then,
      ];
    case 'standard':
      return [...greeted, /DATA\r\n/, '250 m\r\n250 r\r\n354 d\r\n', content, ...then];
    case 'deep':
      return [...greeted, content, '250 m\r\n250 r\r\n', ...then];
    default:
      return unreachable(mode);
  }
}

const lostEnds: readonly (readonly [string, readonly Step[]])[] = [
  ['F29: FIN in place of the reply', ['fin']],
  ['F29: RST in place of the reply', ['reset']],
  ['F30: a reply of 850', ['850 what\r\n', 2000]],
  ['F30: "25O OK"', ['25O OK\r\n', 2000]],
  ['F30: an empty line', ['\r\n', 2000]],
  ['F30: 3yz', ['354 go on\r\n', 2000]],
  ['F30: an HTTP reply', ['HTTP/1.1 400 Bad Request\r\n\r\n', 2000]],
  ['§3: half a positive reply and FIN', ['250 2.0.0 tak', 'fin']],
  ['§3: a positive reply without its end and RST', ['250 2.0.0 taken', 30, 'reset']],
  ['§3: a reply that wants to go on and FIN', ['250-taken\r\n', 'fin']],
  ['F30: a reply whose lines differ in code', ['250-taken\r\n550 no\r\n', 2000]],
];

// They wait for clocks more than they work, so they wait together.
describe('replies', { concurrency: true }, () => {
  for (const [fact, then] of lostEnds) {
    test(`${fact} to the end of data leaves the message in doubt, whatever the mode`, async (context) => {
      for (const mode of modes) {
        const relay = await startRawRelay(context, toEnd(mode, ...then));
        const { work, send } = openBed(context, relay.port, { pipelining: mode });
        await send(1);
        assert.equal(work.outcomes(), '1 inDoubt', mode);
        assert.equal(work.settled[0]?.verdict.stage, 'end');
      }
    });
  }

  test('F29: silence after the end of data is waited out, and leaves the message in doubt', async (context) => {
    const beds = await Promise.all(
      modes.map((mode) => openSandbox(context, mode, ['end: silence'], {}, { endOfDataTimeoutMs: 200 })),
    );
    await Promise.all(beds.map((bed) => bed.send(1)));
    for (const { work } of beds) {
      assert.equal(work.outcomes(), '1 inDoubt');
      assert.match(work.settled[0]?.verdict.text ?? '', /no reply to end in time/);
    }
  });

  test('F30: of two replies to the end of data the first counts, and the session ends', async (context) => {
    for (const mode of ['off', 'standard'] as const) {
      const relay = await startRawRelay(context, toEnd(mode, '250 taken\r\n250 taken\r\n', 2000));
      const { work, send, pool } = openBed(context, relay.port, { pipelining: mode });
      await send(1);
      assert.equal(work.outcomes(), '1 accepted');
      await until(() => pool.counts.open === 0);
    }
  });

  test('F30: in deep, where nothing else shows what belongs to what, two replies leave the message in doubt', async (context) => {
    const relay = await startRawRelay(context, toEnd('deep', '250 taken\r\n250 taken\r\n', 2000));
    const { work, send } = openBed(context, relay.port, { pipelining: 'deep' });
    await send(1);
    assert.equal(work.outcomes(), '1 inDoubt');
  });

  test('F31: a reply that comes together with the 354 is not taken for one to content that was not sent yet', async (context) => {
    const scripts: Record<'off' | 'standard', readonly Step[]> = {
      off: [
        ...greeted,
        /MAIL.*\r\n/,
        '250 m\r\n',
        /RCPT.*\r\n/,
        '250 r\r\n',
        /DATA\r\n/,
        '354 d\r\n250 stray\r\n',
        2000,
      ],
      standard: [...greeted, /DATA\r\n/, '250 m\r\n250 r\r\n354 d\r\n250 stray\r\n', 2000],
    };
    for (const mode of ['off', 'standard'] as const) {
      const relay = await startRawRelay(context, scripts[mode]);
      const { work, send } = openBed(context, relay.port, { pipelining: mode });
      await send(1);
      assert.equal(work.outcomes(), '1 deferred', mode);
      assert.match(work.settled[0]?.verdict.text ?? '', /nothing asked for: 250 stray/);
      assert.ok(!relay.received[0]?.includes('Subject'), mode);
    }
  });

  test('F31: a reply too many in lock-step does not stand for the next command', async (context) => {
    const script = [...greeted, /MAIL.*\r\n/, '250 m\r\n250 stray\r\n', 2000];
    const relay = await startRawRelay(context, script);
    const { work, send } = openBed(context, relay.port, { pipelining: 'off' });
    await send(1);
    assert.equal(work.outcomes(), '1 deferred');
    assert.ok(!relay.received[0]?.includes('DATA'));
  });

  test('F31: a reply too many while idle ends the session and touches no row', async (context) => {
    for (const mode of modes) {
      const bed = await openSandbox(context, mode, ['end first: extra 40ms 250 ok']);
      await bed.send(1);
      assert.equal(bed.pool.counts.open, 1);
      await until(() => bed.pool.counts.open === 0);
      assert.equal(bed.work.outcomes(), '1 accepted');
      await bed.send(2);
      assert.equal(bed.work.outcomes(), '1 accepted, 2 accepted');
    }
  });

  test('F31: a refusal too many in front of a group is noticed at its DATA: nobody is rejected by it', async (context) => {
    const relay = await startRawRelay(
      context,
      [...greeted, /DATA\r\n/, '550 stray\r\n250 m\r\n250 r\r\n354 d\r\n', 2000],
      toEnd('standard', '250 taken\r\n', /QUIT/),
    );
    const { work, send } = openBed(context, relay.port, { pipelining: 'standard' });
    await send(1);
    assert.equal(work.outcomes(), '1 deferred');
    assert.ok(!relay.received[0]?.includes('Subject'));
  });

  test('F32: 421 on an idle session is read, closes it, and no row is touched', async (context) => {
    for (const mode of modes) {
      const bed = await openSandbox(context, mode, ['end first: extra 40ms 421 4.4.2 idle for too long']);
      await bed.send(1);
      await until(() => bed.pool.counts.open === 0);
      await bed.send(2);
      assert.equal(bed.work.outcomes(), '1 accepted, 2 accepted');
      assert.equal(bed.sandbox.stats().connections, 2);
    }
  });

  test('F34: replies that come octet by octet over a socket are the same replies', async (context) => {
    const faults = ['mail: split', 'rcpt: split', 'data: split 2', 'end: split', 'rcpt r2@: 550 5.1.1 who'];
    for (const mode of modes) {
      const { work, send } = await openSandbox(context, mode, faults);
      await send(1, 2, 3);
      assert.equal(work.outcomes(), '1 accepted, 2 rejected, 3 accepted', mode);
    }
  });

  test('F35: LF-only replies, NUL, UTF-8 and Latin-1 are read, and none of it reaches a terminal', async (context) => {
    const relay = await startRawRelay(
      context,
      toEnd('standard', '550-5.7.1 n\xe9\xff\0\x1b[2J\n550 5.7.1 \x9b31m\u00c3\u00a9\x7f\n', /QUIT/),
    );
    const { work, send } = openBed(context, relay.port, { pipelining: 'standard' });
    await send(1);
    const [settled] = work.settled;
    assert.equal(settled?.kind, 'rejected');
    assert.equal(settled.verdict.enhancedStatus, '5.7.1');
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    assert.doesNotMatch(settled.verdict.text, /[\u0000-\u001f\u007f-\u009f]/);
  });

  test('F35: what closes a session is told without control characters, too', async (context) => {
    for (const last of [
      '421-4.3.2 \x1b[2J\r\n421 4.3.2 \x9b1m\r\n',
      '\x1b]0;x\x07\x9b1m\r\n',
      '200 \x1b[2J\r\n',
    ]) {
      const relay = await startRawRelay(context, [...greeted, /DATA\r\n/, '250 m\r\n250 r\r\n', last, 2000]);
      const { work, send } = openBed(context, relay.port, { pipelining: 'standard' });
      await send(1);
      // oxlint-disable-next-line no-control-regex -- they are what must not be there
      assert.doesNotMatch(work.settled[0]?.verdict.text ?? '\0', /[\u0000-\u001f\u007f-\u009f]/);
    }
  });

  test('F36: a reply without end is given up on, before the deadline and in bounded memory', async (context) => {
    for (const endless of ['250-'.padEnd(200_000, 'x'), '250-more\r\n'.repeat(20_000)]) {
      const relay = await startRawRelay(context, toEnd('off', endless, 5000));
      const { work, send } = openBed(context, relay.port, { pipelining: 'off' });
      const startedAt = performance.now();
      await send(1);
      assert.equal(work.outcomes(), '1 inDoubt');
      assert.match(work.settled[0]?.verdict.text ?? '', /a reply without end/);
      assert.ok(performance.now() - startedAt < 2000);
    }
  });

  test('F36: a reply that drips does not buy itself time: the deadline is for the whole of it', async (context) => {
    const dripping = { drip: '250-slow\r\n'.repeat(40), everyMs: 20 };
    const atMail = [...greeted, /MAIL/, dripping];
    await Promise.all(
      [
        { script: atMail, mode: 'off' as const, outcome: '1 unsent' },
        { script: atMail, mode: 'standard' as const, outcome: '1 unsent' },
        { script: toEnd('standard', dripping), mode: 'standard' as const, outcome: '1 inDoubt' },
      ].map(async ({ script, mode, outcome }) => {
        const relay = await startRawRelay(context, script);
        const more = { pipelining: mode, commandTimeoutMs: 300, endOfDataTimeoutMs: 300 };
        const { work, send } = openBed(context, relay.port, more);
        const startedAt = performance.now();
        await send(1);
        assert.equal(work.outcomes(), outcome);
        assert.ok(performance.now() - startedAt < 3500);
      }),
    );
  });

  test('F36: transactions that queue up behind one that is not answered buy it no time', async (context) => {
    const relay = await startRawRelay(context, [
      ...greeted,
      /Subject: 1[^]*\r\n$/,
      '250 m\r\n250 r\r\n250 e\r\n',
      /Subject: 3[^]*\r\n$/,
      '250 m\r\n250 r\r\n250 e\r\n250 reset\r\n250 m\r\n250 r\r\n250 e\r\n',
      10_000,
    ]);
    const more = { pipelining: 'deep', commandTimeoutMs: 1000 } as const;
    const { work, pool, send } = openBed(context, relay.port, more);
    await send(1, 2, 3);
    assert.equal(work.outcomes(), '1 accepted, 2 accepted, 3 accepted');
    const startedAt = performance.now();
    let number = 3;
    const feed = (): void => {
      number += 1;
      work.add([numbered(number)]);
      pool.wake();
    };
    feed();
    const feeder = setInterval(feed, 900);
    context.after(() => clearInterval(feeder));
    await until(() => work.settled.length > 3);
    assert.ok(performance.now() - startedAt < 2400, `${performance.now() - startedAt} ms`);
  });
});
