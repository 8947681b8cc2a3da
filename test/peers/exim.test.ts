// Against a real Exim: TLS, AUTH, refusals, and all three ways of sending.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eximPrograms, startExim, type Exim } from './exim.ts';
import { environment, makeList, makeMixedList, openMailing, resultArgs } from './mailing.ts';
import { greyPrefix, unknownPrefix } from './policy.ts';
import { assertCounts, assertEachAttempted, assertPersonalised, readResults } from './proof.ts';
import { skipUnlessReady } from './required.ts';

const skip = skipUnlessReady(eximPrograms);
const received = /by mail\.peer\.test with esmtpsa {2}\(TLS1\.[23]\)/;

/**
 * How Exim logs that a message came: "L" with PIPELINING, "L-" where it was offered only (the dot between says that it
 * would have been offered before EHLO, too), "K" with CHUNKING.
 */
const arrivalFlags = {
  off: /^P=esmtpsa L\.- (?!.* K )/,
  standard: /^P=esmtpsa L\. (?!.* K )/,
  deep: /^P=esmtpsa L\. .* K /,
} as const;

/** The most on the wire of a deep session. */
const inFlight = 8;

describe('with a real Exim', { skip, timeout: 120_000 }, () => {
  let started: Exim | undefined;
  before(async () => {
    started = await startExim();
  });
  after(() => started?.stop());
  const exim = (): Exim => started ?? assert.fail('Exim did not start');

  for (const pipelining of ['off', 'standard', 'deep'] as const) {
    test(`${pipelining}: the unknown are rejected, the greylisted tried again, all others get theirs`, async (context) => {
      const { port, caFile: ca, arrivals, log } = exim();
      const list = makeList(pipelining, { reader: 30, [unknownPrefix]: 6, [greyPrefix]: 4 });
      const folder = openMailing(context, pipelining, { port, ca, pipelining }, list);
      const logged = log().length;
      assertCounts(await folder.run(resultArgs, { env: environment }), 34, 6);
      for (const [email, row] of readResults(folder)) {
        const { status, attempts } = row;
        if (email.startsWith(unknownPrefix)) {
          const reply = `550 5.1.1 <${email}>: User unknown`;
          assert.deepEqual([status, attempts, row['reply']], ['rejected', 1, reply]);
        } else {
          const attempt = email.startsWith(greyPrefix) ? 2 : 1;
          assert.deepEqual([email, status, attempts], [email, 'accepted', attempt]);
        }
      }
      await assertPersonalised(await arrivals(`${pipelining}.test`), 34, received);
      const said = log().slice(logged);
      const flags = [...said.matchAll(/ <= hello@.* (P=.*)/g)].map(([, flag = '']) => flag);
      assert.equal(flags.length, 34);
      for (const flag of flags) assert.match(flag, arrivalFlags[pipelining]);
      assert.doesNotMatch(said, /synchronization error/);
    });
  }

  for (const pipelining of ['standard', 'deep'] as const) {
    test(`${pipelining}: nobody is lost, however soon Exim loses patience with refusals`, async (context) => {
      const { port, caFile: ca, arrivals, log } = exim();
      const name = `${pipelining}-mixed`;
      const relay = { port, ca, pipelining, maxConnections: 1, inFlight };
      const folder = openMailing(context, name, relay, makeMixedList(name, 80, unknownPrefix));
      const logged = log().length;
      assertCounts(await folder.run(resultArgs, { env: environment }), 56, 24);
      const arrived = await arrivals(`${name}.test`);
      const firsts = new Map(arrived.map((message) => [message.recipients.join(), message]));
      await assertPersonalised([...firsts.values()], 56, received);
      // It hangs up at the twelfth RSET in a session that follows no message, and without a word where there is TLS.
      const said = log().slice(logged);
      const hangUps = said.match(/dropped: too many nonmail commands/g)?.length ?? 0;
      context.diagnostic(`Exim hung up ${hangUps} times, ${arrived.length - 56} messages came again`);
      if (pipelining !== 'deep') assertEachAttempted(readResults(folder), 1);
      // Only what was on the wire of a deep session was in doubt then, and is sent again.
      assert.ok(arrived.length - 56 <= (pipelining === 'deep' ? hangUps * inFlight : 0));
    });
  }
});
