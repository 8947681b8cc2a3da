// Sockets that close, break, stall or hang, with a message on its way or none.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { parseFault } from '../../../src/sandbox/fault_text.ts';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { modes, openBed, openSandbox, until } from './bench.ts';
import { numbered } from './duel.ts';
import { greeted, startRawRelay, type Step } from './raw_relay.ts';

const taken: readonly Step[] = [/DATA\r\n/, '250 m\r\n250 r\r\n354 d\r\n', /\r\n\.\r\n/, '250 taken\r\n'];
/** More than the kernels of both sides hold. */
const huge = `Subject: huge\r\n\r\n${`${'x'.repeat(74)}\r\n`.repeat(160_000)}`;

// They wait for clocks more than they work, so they wait together.
describe('sockets', { concurrency: true }, () => {
  test('F33: a session that the relay closes while idle is replaced at once, and no attempt is charged', async (context) => {
    const goodbye: readonly (readonly Step[])[] = [['fin'], ['reset'], [20, 'fin'], [20, 'reset']];
    for (const ending of goodbye) {
      const relay = await startRawRelay(
        context,
        [...greeted, ...taken, ...ending],
        [...greeted, ...taken, ...taken, /QUIT/, 'fin'],
      );
      const { work, send } = openBed(context, relay.port, { pipelining: 'standard' });
      await send(1);
      const startedAt = performance.now();
      await send(2);
      while (work.settled.at(-1)?.kind === 'unsent') await send(2);
      const kinds = new Set(work.settled.map((one) => one.kind));
      assert.ok(!kinds.has('deferred') && !kinds.has('inDoubt'), work.outcomes());
      assert.ok(performance.now() - startedAt < 400, 'the relay had worked: no back-off');
    }
  });

  test('F33: MAIL that meets a closing session is unsent, not failed', async (context) => {
    for (const mode of ['off', 'standard'] as const) {
      const relay = await startRawRelay(context, [...greeted, /MAIL/, 'reset']);
      const { work, send } = openBed(context, relay.port, { pipelining: mode });
      await send(1);
      assert.equal(work.outcomes(), '1 unsent', mode);
    }
  });

  test('a drop before any content costs the one whose turn it was an attempt, in every mode but deep', async (context) => {
    for (const mode of modes) {
      const { work, send } = await openSandbox(context, mode, ['rcpt r2@ first: drop']);
      await send(1, 2, 3);
      const second = work.settled.find((one) => one.transaction.number === 2);
      assert.equal(second?.kind, mode === 'deep' ? 'inDoubt' : 'deferred');
    }
  });

  test('F37: a relay that stops reading in the middle of a message has not got it: the attempt is safe to repeat', async (context) => {
    await Promise.all(
      (['off', 'standard', 'deep'] as const).map(async (mode) => {
        const untilContent: readonly Step[] =
          mode === 'off'
            ? [/MAIL.*\r\n/, '250 m\r\n', /RCPT.*\r\n/, '250 r\r\n', /DATA\r\n/, '354 d\r\n', 'deaf', 30_000]
            : mode === 'standard'
              ? [/DATA\r\n/, '250 m\r\n250 r\r\n354 d\r\n', 'deaf', 30_000]
              : [/BDAT/, '250 m\r\n250 r\r\n', 'deaf', 30_000];
        const relay = await startRawRelay(context, [...greeted, ...untilContent]);
        const more = { pipelining: mode, commandTimeoutMs: 500, endOfDataTimeoutMs: 60_000 } as const;
        const { work, sendAll } = openBed(context, relay.port, more);
        await sendAll([numbered(1, huge)]);
        assert.equal(work.outcomes(), '1 deferred', mode);
        assert.match(work.settled[0]?.verdict.text ?? '', /did not read on in time/);
      }),
    );
  });

  test('F37: a relay that reads slowly is given its time as long as it reads', async (context) => {
    const relay = await startRawRelay(context, [
      ...greeted,
      /DATA\r\n/,
      '250 m\r\n250 r\r\n354 d\r\n',
      { sip: 'content', everyMs: 120 },
      '250 taken\r\n',
      5000,
    ]);
    const { work, sendAll } = openBed(context, relay.port, { pipelining: 'standard', commandTimeoutMs: 400 });
    const startedAt = performance.now();
    await sendAll([numbered(1, huge)]);
    assert.ok(performance.now() - startedAt > 1000, 'it took longer than any deadline');
    assert.equal(work.outcomes(), '1 accepted');
    const [wire = ''] = relay.received;
    assert.ok(wire.includes(`${huge}.\r\n`), 'in slices, and nothing between them');
  });

  test('F37: what the sandbox stops reading after the end of data is in doubt', async (context) => {
    const { work, send } = await openSandbox(
      context,
      'standard',
      ['data: stop-reading'],
      {},
      {
        endOfDataTimeoutMs: 200,
      },
    );
    await send(1);
    assert.equal(work.outcomes(), '1 inDoubt');
  });

  test('F38: 552 in the middle of the content is read before the reset counts, and nothing more is sent', async (context) => {
    for (const mode of ['off', 'standard'] as const) {
      const relay = await startRawRelay(context, [
        ...greeted,
        ...(mode === 'off'
          ? [/MAIL.*\r\n/, '250 m\r\n', /RCPT.*\r\n/, '250 r\r\n', /DATA\r\n/, '354 d\r\n']
          : [/DATA\r\n/, '250 m\r\n250 r\r\n354 d\r\n']),
        /x{74}/,
        '552 5.3.4 too big\r\n',
        'fin',
        50,
        'reset',
      ]);
      const { work, sendAll } = openBed(context, relay.port, { pipelining: mode });
      await sendAll([numbered(1, huge)]);
      assert.equal(work.outcomes(), '1 rejected', mode);
      assert.equal(work.settled[0]?.verdict.replyCode, 552);
      assert.ok((relay.received[0]?.length ?? Infinity) < huge.length);
    }
  });

  test('F38: a reset in the middle of the content without a reply is safe to repeat', async (context) => {
    const relay = await startRawRelay(context, [
      ...greeted,
      /DATA\r\n/,
      '250 m\r\n250 r\r\n354 d\r\n',
      /x{74}/,
      'reset',
    ]);
    const { work, sendAll } = openBed(context, relay.port, { pipelining: 'standard' });
    await sendAll([numbered(1, huge)]);
    assert.equal(work.outcomes(), '1 deferred');
  });

  test('F38: a message that is accepted before the relay can have all of it is not accepted', async (context) => {
    const relay = await startRawRelay(context, [
      ...greeted,
      /DATA\r\n/,
      '250 m\r\n250 r\r\n354 d\r\n',
      /x{74}/,
      'deaf',
      '250 taken\r\n',
      5000,
    ]);
    const { work, sendAll } = openBed(context, relay.port, { pipelining: 'standard' });
    await sendAll([numbered(1, huge)]);
    assert.equal(work.outcomes(), '1 deferred');
  });

  test('F39: a QUIT that is never answered is waited for a short while, and touches no row', async (context) => {
    const { work, send } = await openSandbox(context, 'standard', ['quit: silence'], {}, { maxMessages: 2 });
    const startedAt = performance.now();
    await send(1, 2, 3);
    assert.equal(work.outcomes(), '1 accepted, 2 accepted, 3 accepted');
    assert.ok(performance.now() - startedAt < 4000);
  });

  test('F40: sessions beyond what the relay allows cost no row, and the pool makes do with fewer', async (context) => {
    const tooMany = ['connect over 2 sessions per client: 421 4.7.0 too many connections'];
    const latency = { latencyMs: 5 };
    const { work, send, sandbox } = await openSandbox(context, 'standard', tooMany, latency, {}, 8);
    await send(...Array.from({ length: 200 }, (_, index) => index + 1));
    assert.deepEqual(new Set(work.settled.map((one) => one.kind)), new Set(['accepted']));
    assert.deepEqual(work.failures, []);
    // One attempt more than it bears each time the delay is over, not one for each message.
    assert.ok(sandbox.stats().refused.connect <= 10, `${sandbox.stats().refused.connect} refused`);
  });

  test('F40: connections that are reset at once cost no row either', async (context) => {
    const { work, send } = await openSandbox(
      context,
      'standard',
      ['connect over 1 sessions: drop'],
      {},
      {},
      4,
    );
    await send(...Array.from({ length: 50 }, (_, index) => index + 1));
    assert.deepEqual(new Set(work.settled.map((one) => one.kind)), new Set(['accepted']));
    assert.deepEqual(work.failures, []);
  });

  test('a relay that says 421 to every RCPT is not knocked at without a pause', async (context) => {
    const { work, send, sandbox } = await openSandbox(context, 'standard', ['rcpt: 421 bye']);
    const startedAt = performance.now();
    await send(1, 2, 3);
    assert.equal(work.outcomes(), '1 deferred, 2 deferred, 3 deferred');
    assert.ok(performance.now() - startedAt > 700, `${sandbox.stats().connections} sessions in no time`);
  });

  test('F53: a relay that is gone without a word is noticed by the clock, at every stage', async (context) => {
    const stages = [
      ['mail: silence', '1 unsent'],
      ['rcpt: silence', '1 deferred'],
      ['data: silence', '1 deferred'],
      ['end: silence', '1 inDoubt'],
    ] as const;
    await Promise.all(
      stages.map(async ([fault, outcome]) => {
        const timeouts = { commandTimeoutMs: 200, endOfDataTimeoutMs: 200 };
        const { work, send } = await openSandbox(context, 'off', [fault], {}, timeouts);
        await send(1);
        assert.equal(work.outcomes(), outcome, fault);
      }),
    );
  });
});

test('F33: in deep, content is sent after a silence only once the relay has shown that it is still there', async (context) => {
  const takes: readonly Step[] = [/hello\r\n/, '250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.0.0 taken\r\n'];
  const relay = await startRawRelay(
    context,
    [...greeted, ...takes, /RSET\r\n/, 'reset'],
    [...greeted, ...takes, ...takes],
  );
  const { work, send } = openBed(context, relay.port, { pipelining: 'deep' });
  await send(1);
  await delay(1100);
  await send(2);
  assert.equal(work.outcomes(), '1 accepted, 2 unsent');
  assert.doesNotMatch(relay.received[0] ?? '', /Subject: 2/);
});

test('F11: TLS that breaks off in the middle of a session is judged by how far the message had come', async (context) => {
  for (const [fault, kind] of [
    ['rcpt r2@ first: drop', 'deferred'],
    ['end r2@ first: drop-after-taken', 'inDoubt'],
  ] as const) {
    const sandbox = await startSandbox({ tls: 'implicit', keep: 'messages', faults: [parseFault(fault)] });
    const ca = sandbox.certificate;
    const tls = { rejectUnauthorized: true, ca };
    const bed = openBed(context, sandbox.port, {
      host: 'localhost',
      security: 'tls',
      tls,
      pipelining: 'standard',
    });
    context.after(() => sandbox.close());
    await bed.send(1, 2);
    await bed.send(3);
    const kinds = bed.work.settled.map((one) => [one.transaction.number, one.kind]);
    assert.deepEqual(kinds, [
      [1, 'accepted'],
      [2, kind],
      [3, 'accepted'],
    ]);
    assert.ok(sandbox.messages().every((message) => message.tls));
  }
});

test('F12: credentials that a relay refuses are tried once, however many sessions are wanted', async (context) => {
  const auth = { user: 'shop', pass: 'right' };
  const sandbox = await startSandbox({ tls: 'implicit', auth });
  context.after(() => sandbox.close());
  const tls = { rejectUnauthorized: true, ca: sandbox.certificate };
  const more = { host: 'localhost', security: 'tls', tls, auth: { ...auth, pass: 'wrong' } } as const;
  const { work, pool } = openBed(context, sandbox.port, more, 50);
  work.add(Array.from({ length: 1000 }, (_, index) => numbered(index + 1)));
  pool.wake();
  await until(() => work.failures.length > 0);
  assert.equal(sandbox.stats().connections, 1);
});

test('F15: what a relay echoes of our credentials is in no outcome', async (context) => {
  const auth = { user: 'shop', pass: 'canary-of-the-mine' };
  const token = Buffer.from(`\0${auth.user}\0${auth.pass}`).toString('base64');
  const faults = [parseFault(`rcpt: 550 5.7.1 you said AUTH PLAIN ${token} and ${auth.pass}`)];
  const sandbox = await startSandbox({ tls: 'implicit', auth, faults });
  context.after(() => sandbox.close());
  const tls = { rejectUnauthorized: true, ca: sandbox.certificate };
  const { work, send } = openBed(context, sandbox.port, { host: 'localhost', security: 'tls', tls, auth });
  await send(1);
  assert.equal(work.settled[0]?.verdict.text, '550 5.7.1 you said AUTH PLAIN *** and ***');
});

test('F40: a session that we end ourselves is not what makes its successor one too many', async (context) => {
  for (const mode of modes) {
    const faults = ['connect over 1 sessions: 421 4.7.0 too many connections'];
    const { work, send, sandbox } = await openSandbox(context, mode, faults, {}, { maxMessages: 5 });
    await send(...Array.from({ length: 60 }, (_, index) => index + 1));
    assert.deepEqual(work.failures, [], mode);
    assert.ok(work.settled.every(({ kind }) => kind === 'accepted'));
    assert.ok(sandbox.stats().connections >= 12);
  }
});

test('F51: of a name with a dead and a live address, the live one is used', async (context) => {
  const sandbox = await startSandbox({ host: '127.0.0.1' });
  context.after(() => sandbox.close());
  // Most systems give localhost two addresses; nothing listens on [::1].
  const { work, send } = openBed(context, sandbox.port, { host: 'localhost' });
  await send(1);
  assert.equal(work.outcomes(), '1 accepted');
});

test('F52: a clock that jumps ends no session and no wait', async (context) => {
  const { work, send, pool } = await openSandbox(context, 'standard', []);
  await send(1);
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() + 86_400_000 });
  await send(2);
  context.mock.timers.setTime(0);
  await send(3);
  assert.equal(work.outcomes(), '1 accepted, 2 accepted, 3 accepted');
  assert.equal(pool.counts.open, 1);
});
