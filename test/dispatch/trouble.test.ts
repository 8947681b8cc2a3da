// Scenarios of trouble: a relay that throttles, is down or flaps, a provider behind it, and a sender whom nobody wants.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeReply, type Verdict } from '../../src/mail/verdict.ts';
import { accepted, hour, makeWorld, minute, refused, run, second, type Attempt } from './world.ts';

const ses = judgeReply('mail', makeReply(454, 'Throttling failure: Maximum sending rate exceeded.'));
const gmail = judgeReply('end', makeReply(421, '4.7.28 unusual rate of unsolicited mail'));
const dmarc = judgeReply('end', makeReply(550, '5.7.26 Unauthenticated email is not accepted (DMARC)'));

/** The instants at which an answer was given, each once. */
function timesOf(attempts: readonly Attempt[]): number[] {
  return [...new Set(attempts.map(({ at }) => at))].sort((a, b) => a - b);
}

test('SES says 454: nothing goes for ten minutes, then one batch asks, and nobody is charged', async (context) => {
  const world = await makeWorld(context, 100, 10);
  const refusals: Attempt[] = [];
  const answer = (one: Attempt): Verdict => {
    if (one.at >= 15 * minute) return accepted;
    refusals.push(one);
    return ses;
  };
  const { tally } = await run(world, { answer, hands: 4 });
  assert.equal(tally.accepted, 100);
  const times = timesOf(refusals);
  assert.equal(times.length, 2, times.join());
  const [first = 0, again = 0] = times;
  assert.ok(again - first >= 10 * minute && again - first < 11 * minute);
  assert.equal(refusals.filter(({ at }) => at === again).length, 10, 'one batch asks');
  const next = timesOf(world.attempts)[0] ?? 0;
  assert.ok(next - again >= 20 * minute);
  assert.ok(world.attempts.every(({ attempt }) => attempt === 1));
});

test('Gmail throttles: its lane stops for ten minutes and begins with one batch, the others are not delayed', async (context) => {
  const world = await makeWorld(context, 200, 10, (row) => (row <= 100 ? 'gmail' : 'free'));
  const refusals: Attempt[] = [];
  const answer = (one: Attempt): Verdict => {
    if (one.row > 100 || one.at >= minute) return accepted;
    refusals.push(one);
    return gmail;
  };
  const { tally } = await run(world, { answer, hands: 4 });
  assert.equal(tally.accepted, 200);
  assert.ok(refusals.length <= 4 * 10, `${refusals.length} were refused`);
  const free = timesOf(world.attempts.filter(({ row }) => row > 100));
  assert.ok((free.at(-1) ?? Infinity) < minute);
  const own = world.attempts.filter(({ row }) => row <= 100);
  const [first = 0] = timesOf(own);
  assert.ok(first >= 10 * minute && first < 11 * minute);
  assert.ok(own.every(({ attempt }) => attempt === 1));
});

test('a relay that is down for an hour is asked about once a minute, and costs nobody an attempt', async (context) => {
  const world = await makeWorld(context, 100, 10);
  let asked = 0;
  const answer = ({ row, at }: Attempt): Verdict => {
    if (row <= 10 || at >= hour) return accepted;
    asked += row % 10 === 1 ? 1 : 0;
    return refused;
  };
  const { tally } = await run(world, { answer, hands: 4 });
  assert.equal(tally.accepted, 100);
  assert.ok(asked >= 50 && asked <= 75, `asked ${asked} times`);
  assert.ok(world.attempts.every(({ attempt }) => attempt === 1));
});

test('a relay that flaps is left alone for longer each time', async (context) => {
  const world = await makeWorld(context, 100, 10);
  let batches = 0;
  const stops: number[] = [];
  const answer = ({ row, at }: Attempt): Verdict => {
    if (row % 10 === 1) batches += 1;
    if (batches % 2 === 1 || batches > 12) return accepted;
    if (stops.at(-1) !== at) stops.push(at);
    return refused;
  };
  const { tally } = await run(world, { answer });
  assert.equal(tally.accepted, 100);
  const gaps = stops.map((at, index) => (stops[index + 1] ?? Infinity) - at).slice(0, -1);
  assert.deepEqual(
    gaps,
    gaps.toSorted((a, b) => a - b),
  );
  assert.ok((gaps.at(-1) ?? 0) >= 16 * second, gaps.join());
});

test('a sender whom nobody wants is paused before the list is burnt, and goes on when it is mended', async (context) => {
  const world = await makeWorld(context, 1000, 10);
  const guard = { senderRefusalsInARow: 25, senderRefusals: { share: 0.5, of: 200 } };
  const first = await run(world, { answer: () => dmarc, guard });
  assert.equal(first.end, 'paused');
  assert.ok(first.tally.rejected >= 25 && first.tally.rejected <= 30, `${first.tally.rejected}`);
  const { end, tally } = await run(world, { answer: () => accepted, guard });
  assert.deepEqual([end, tally.accepted], ['finished', 1000 - first.tally.rejected]);
});
