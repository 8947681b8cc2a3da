// Refusals in the middle of a deep window: every other message arrives under its own reverse-path.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startDelayProxy } from '../../bench/delay_proxy.ts';
import { eximPrograms, startExim } from './exim.ts';
import {
  assertOwnPaths,
  describeRelay,
  makeNumbered,
  sendNumbered,
  type Fate,
  type Numbered,
} from './numbered_work.ts';
import type { Peer } from './peer.ts';
import { startPostfix } from './postfix.ts';
import { countSessions } from './postfix_log.ts';
import { skipUnlessReady } from './required.ts';

const options = (programs: readonly string[]) => ({ skip: skipUnlessReady(programs), timeout: 60_000 });

test(
  'among hundreds that Postfix refuses at MAIL and at RCPT each message keeps its own reverse-path',
  options(['postfix', 'saslpasswd2', 'openssl']),
  async (context) => {
    const postfix = await startPostfix();
    context.after(() => postfix.stop());
    const numbered = makeSeries(600, { rcptEvery: 7, mailEvery: 11 });
    await assertEachOnItsOwn(context, { ...postfix, port: postfix.submissionPort }, numbered);
    assert.equal((await countSessions(postfix.log, numbered.length)).sessions, 1);
  },
);

test(
  'among some that Exim refuses at MAIL and at RCPT each message keeps its own reverse-path',
  options(eximPrograms),
  async (context) => {
    const exim = await startExim();
    context.after(() => exim.stop());
    // Not more than ten refusals: in deep each costs a RSET that Exim counts (smtp_accept_max_nonmail).
    await assertEachOnItsOwn(context, exim, makeSeries(200, { rcptEvery: 40, mailEvery: 45 }));
  },
);

/** Messages of which some are to be refused; where both fall on one number, it is at MAIL. */
function makeSeries(count: number, { rcptEvery, mailEvery }: Record<'rcptEvery' | 'mailEvery', number>) {
  const fateOf = (number: number): Fate => {
    if (number % mailEvery === mailEvery - 1) return 'refused at MAIL';
    return number % rcptEvery === rcptEvery - 1 ? 'refused at RCPT' : 'accepted';
  };
  return Array.from({ length: count }, (_, number) => makeNumbered('paths.test', number, fateOf(number)));
}

/** Over a line of 20 ms, so that the window of the one session opens. */
async function assertEachOnItsOwn(
  context: TestContext,
  { port, caFile, arrivals }: Peer & { readonly port: number },
  numbered: readonly Numbered[],
): Promise<void> {
  const line = await startDelayProxy({ host: '127.0.0.1', port }, 20);
  context.after(() => line.close());
  const { settled, mostInFlight } = await sendNumbered(describeRelay(line.port, caFile), numbered);
  assert.ok(mostInFlight >= 8, `only ${mostInFlight} were on the wire at once`);
  for (const { transaction, kind, verdict } of settled) {
    const { number, fate } = transaction;
    assert.deepEqual({ number, fate, kind, stage: verdict.stage }, { number, ...expectedOf[fate] });
  }
  assertOwnPaths(await arrivals('paths.test'), numbered);
}

const expectedOf = {
  accepted: { fate: 'accepted', kind: 'accepted', stage: 'end' },
  'refused at MAIL': { fate: 'refused at MAIL', kind: 'rejected', stage: 'mail' },
  'refused at RCPT': { fate: 'refused at RCPT', kind: 'rejected', stage: 'rcpt' },
} as const;
