// Holds the governor to its states, on a clock of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeFailure, judgeLocally, judgeReply, type Stage } from '../../src/mail/verdict.ts';
import { Governor, leastThrottledMs } from '../../src/schedule/governor.ts';
import { signalOf, type GovernorSignal } from '../../src/schedule/governor_signal.ts';

const minute = 60_000;
const taken: GovernorSignal = { kind: 'taken' };
const throttled: GovernorSignal = { kind: 'throttled', namedDelayMs: undefined };

/** A governor of 16 sessions that runs at full speed. */
function makeRunning(): Governor {
  const governor = new Governor(16);
  governor.note({ kind: 'opened' }, 0);
  governor.note(taken, 0);
  return governor;
}

/** Notes a message taken every second; the sessions at the end of each ten seconds. */
function run(governor: Governor, from: number, forMs: number): number[] {
  const sessions: number[] = [];
  for (let now = from; now <= from + forMs; now += 1000) {
    governor.note(taken, now);
    if ((now - from) % 10_000 === 0) sessions.push(governor.allow(now).sessions);
  }
  return sessions;
}

test('before anything is known there is one session, so wrong credentials are tried once', () => {
  const governor = new Governor(16);
  assert.equal(governor.allow(0).sessions, 1);
  governor.note({ kind: 'opened' }, 0);
  assert.equal(governor.allow(0).sessions, 16);
});

test('Gmail’s 4.7.28 stops for ten minutes, and it begins again with one connection and one message', () => {
  const governor = makeRunning();
  const reply = makeReply(
    421,
    '4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.',
  );
  const signal = signalOf(judgeReply('end', reply)) ?? assert.fail('no signal');
  assert.equal(signal.kind, 'throttled');
  governor.note(signal, 1000);
  assert.equal(governor.allow(1000).blockedUntil, 1000 + 10 * minute);
  assert.equal(governor.allow(10 * minute).isProbe, false);
  const due = 1000 + 10 * minute;
  assert.deepEqual(governor.allow(due), {
    sessions: 1,
    rateFactor: 0.5,
    blockedUntil: due,
    isProbe: true,
    alarm: undefined,
  });
  governor.noteProbe(due);
  assert.ok(governor.allow(due + 1).blockedUntil > due + 1, 'a second message may go beside the probe');
  governor.note(taken, due + 500);
  assert.deepEqual(
    [
      governor.allow(due + 500).sessions,
      governor.allow(due + 500).isProbe,
      governor.allow(due + 500).blockedUntil,
    ],
    [1, false, 0],
  );
  // Doubles up to half of what was too many, then one at a time, and never above what is configured.
  assert.deepEqual(run(governor, due + 500, 100_000), [1, 2, 4, 8, 9, 10, 11, 12, 13, 14, 15]);
  assert.equal(run(governor, due + 200_000, 600_000).at(-1), 16);
  assert.equal(governor.allow(due + 900_000).rateFactor, 1);
});

test('a probe that is throttled again stops for twice as long, up to two hours', () => {
  const governor = makeRunning();
  let now = 0;
  const stops: number[] = [];
  for (let round = 0; round < 6; round += 1) {
    governor.note(throttled, now);
    const { blockedUntil } = governor.allow(now);
    stops.push((blockedUntil - now) / minute);
    now = blockedUntil;
    governor.noteProbe(now);
  }
  assert.deepEqual(stops, [10, 20, 40, 80, 120, 120]);
});

test('what was in flight together counts once, and does not end the stop either', () => {
  const governor = makeRunning();
  for (let now = 0; now < 30_000; now += 100) governor.note(now % 300 === 0 ? throttled : taken, now);
  assert.equal(governor.allow(30_000).blockedUntil, 10 * minute);
  assert.equal(governor.allow(30_000).rateFactor, 0.5);
});

test('a delay that the relay names is kept where it is longer', () => {
  const governor = makeRunning();
  governor.note({ kind: 'throttled', namedDelayMs: 30 * minute }, 0);
  assert.equal(governor.allow(0).blockedUntil, 30 * minute);
});

test('worse news during a stop count: throttled while down stops for ten minutes, and not for more', () => {
  const governor = makeRunning();
  governor.note({ kind: 'down' }, 0);
  governor.note(throttled, 500);
  governor.note({ kind: 'down' }, 600);
  assert.equal(governor.allow(600).blockedUntil, 500 + 10 * minute);
});

test('too many connections: half of them, once for all that came back together, and no stop', () => {
  const governor = makeRunning();
  for (let now = 20_000; now < 22_000; now += 100) governor.note({ kind: 'crowded' }, now);
  assert.deepEqual([governor.allow(22_000).sessions, governor.allow(22_000).blockedUntil], [8, 0]);
  assert.deepEqual(run(governor, 22_000, 30_000), [8, 9, 10, 11]);
});

test('one session that breaks is no trouble; three in a row are', () => {
  const governor = makeRunning();
  for (const signal of ['sessionLost', 'sessionLost', 'taken', 'sessionLost', 'sessionLost'] as const)
    governor.note({ kind: signal }, 1000);
  assert.equal(governor.allow(1000).blockedUntil, 0);
  governor.note({ kind: 'sessionLost' }, 1000);
  assert.equal(governor.allow(1000).blockedUntil, 2000);
});

test('wrong credentials: an alarm, and never a fourth try within a minute', () => {
  const governor = new Governor(16);
  const tries: number[] = [];
  for (let now = 0; now < 30 * minute; now += 100) {
    const { blockedUntil, sessions } = governor.allow(now);
    if (now < blockedUntil) continue;
    assert.equal(sessions, 1);
    tries.push(now);
    governor.noteProbe(now);
    governor.note({ kind: 'authFailed' }, now);
    assert.equal(governor.allow(now).alarm, 'authFailed');
  }
  assert.ok(tries.length > 5);
  for (const [index, at] of tries.entries()) assert.ok((tries[index + 3] ?? Infinity) - at > minute);
  const last = governor.allow(30 * minute).blockedUntil;
  governor.note({ kind: 'opened' }, last);
  assert.equal(governor.allow(last).alarm, undefined);
});

test('a probe that tells nothing, or is never heard of again, is followed by another', () => {
  const governor = makeRunning();
  governor.note({ kind: 'down' }, 0);
  governor.noteProbe(1000);
  assert.equal(governor.allow(2000).isProbe, false);
  governor.noteProbeEnded();
  assert.equal(governor.allow(2000).isProbe, true);
  governor.noteProbe(2000);
  assert.equal(governor.allow(2000 + 10 * minute).isProbe, true);
  for (const kind of ['crowded', 'sessionLost'] as const) {
    const now = governor.allow(0).blockedUntil;
    governor.note({ kind }, now);
    assert.ok(governor.allow(now).blockedUntil > now, kind);
  }
});

test('a relay that is down for an hour is asked at most once a minute, and is at full speed again afterwards', () => {
  const governor = makeRunning();
  let probes = 0;
  governor.note({ kind: 'down' }, 0);
  for (let now = 0; now < 60 * minute; now += 500) {
    if (!governor.allow(now).isProbe) continue;
    probes += 1;
    governor.noteProbe(now);
    governor.note({ kind: 'down' }, now);
  }
  assert.ok(probes >= 60 && probes <= 66, `${probes} probes`);
  const up = governor.allow(60 * minute).blockedUntil;
  assert.ok(up <= 61 * minute);
  governor.note(taken, up);
  assert.equal(run(governor, up, 5 * minute).at(-1), 16);
});

test('a flapping relay is left alone for longer each time, until it has been calm for two minutes', () => {
  const governor = makeRunning();
  let now = 0;
  const stops: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    governor.note({ kind: 'down' }, now);
    const { blockedUntil } = governor.allow(now);
    stops.push(blockedUntil - now);
    governor.note(taken, blockedUntil);
    now = blockedUntil + 1000;
  }
  assert.deepEqual(stops, [1000, 2000, 4000, 8000, 16_000]);
  run(governor, now, 3 * minute);
  governor.note({ kind: 'down' }, now + 4 * minute);
  assert.equal(governor.allow(now + 4 * minute).blockedUntil, now + 4 * minute + 1000);
});

test('a relay that refuses a session now and then, and takes messages in between, is left alone for a second each time', () => {
  const governor = makeRunning();
  let now = 0;
  for (let round = 0; round < 20; round += 1) {
    governor.note({ kind: 'down' }, now);
    const { blockedUntil } = governor.allow(now);
    assert.equal(blockedUntil - now, 1000);
    run(governor, blockedUntil, 8000);
    now = blockedUntil + 8000;
    assert.ok(governor.allow(now).sessions > 2, 'its sessions are back, too');
  }
});

function kindOf(stage: Stage, code: number, text: string) {
  return signalOf(judgeReply(stage, makeReply(code, text)))?.kind;
}

test('verdicts tell what they are about', () => {
  assert.deepEqual(
    [
      kindOf('end', 250, 'ok'),
      kindOf('rcpt', 550, '5.1.1 no such user'),
      kindOf('rcpt', 450, '4.2.0 greylisted'),
      kindOf('end', 454, 'Throttling failure: Maximum sending rate exceeded.'),
      kindOf('mail', 454, '4.3.0 something'),
      kindOf('auth', 535, '5.7.8 wrong'),
      kindOf('auth', 454, '4.7.0 Temporary authentication failure'),
      kindOf('mail', 421, '4.7.0 too many connections'),
      kindOf('mail', 421, '4.3.2 shutting down'),
      signalOf(judgeFailure('connect', { kind: 'closed', text: 'ECONNREFUSED' }))?.kind,
      signalOf(judgeFailure('end', { kind: 'closed', text: 'closed' }))?.kind,
      signalOf(judgeLocally('unmakeable', 'no value'))?.kind,
      signalOf(judgeLocally('stopped', 'stopped'))?.kind,
    ],
    [
      'taken',
      'taken',
      'taken',
      'throttled',
      'throttled',
      'authFailed',
      'down',
      'crowded',
      'down',
      'down',
      'sessionLost',
      undefined,
      undefined,
    ],
  );
});

test('whatever happens, it allows at least one session and never more than are configured, and every stop ends', () => {
  const signal = fc.oneof(
    fc.constantFrom<GovernorSignal['kind']>(
      'opened',
      'taken',
      'crowded',
      'sessionLost',
      'down',
      'authFailed',
    ),
    fc.constant('throttled' as const),
  );
  const step = fc.record({
    kind: signal,
    waitMs: fc.integer({ min: 0, max: 1_200_000 }),
    isProbe: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.array(step, { maxLength: 60 }), (most, steps) => {
      const governor = new Governor(most);
      let now = 0;
      for (const { kind, waitMs, isProbe } of steps) {
        now += waitMs;
        if (isProbe && governor.allow(now).isProbe) governor.noteProbe(now);
        const before = governor.allow(now);
        governor.note(kind === 'throttled' ? throttled : { kind }, now);
        const { sessions, rateFactor, blockedUntil } = governor.allow(now);
        assert.ok(sessions >= 1 && sessions <= most && Number.isInteger(sessions));
        assert.ok(rateFactor > 0 && rateFactor <= 1);
        assert.ok(blockedUntil - now <= 2 * 3_600_000);
        if (kind === 'throttled' && before.alarm === undefined)
          assert.ok(blockedUntil - now >= leastThrottledMs || before.blockedUntil > now);
      }
      const { blockedUntil } = governor.allow(now);
      assert.ok(blockedUntil <= now || governor.allow(blockedUntil).isProbe);
    }),
  );
});
