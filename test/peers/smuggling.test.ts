// SMTP smuggling: what looks like the end of data in a value of the list is text for every peer, by DATA and by BDAT.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { RelayOptions } from '../../src/smtp/relay.ts';
import { summaryIn } from '../cli/posthaste.ts';
import { eximPrograms, startExim } from './exim.ts';
import { environment, type Relay } from './mailing.ts';
import { describeRelay, makeNumbered, sendNumbered } from './numbered_work.ts';
import { openSmtpdPrograms, startOpenSmtpd } from './opensmtpd.ts';
import { startPostfix } from './postfix.ts';
import { skipUnlessReady } from './required.ts';
import {
  assertNotSmuggled,
  openSmuggling,
  rowCounts,
  smuggledTransaction,
  smugglingArgs,
  victimDomain,
} from './smuggling.ts';
import type { Peer } from './peer.ts';

const options = (programs: readonly string[]) => ({ skip: skipUnlessReady(programs), timeout: 120_000 });

test(
  'nothing that is smuggled in a value gets through Postfix',
  options(['postfix', 'saslpasswd2', 'openssl']),
  async (context) => {
    const postfix = await startPostfix();
    context.after(() => postfix.stop());
    const relay = { port: postfix.submissionPort, ca: postfix.caFile };
    await assertInEachWay(context, postfix, relay);
  },
);

test('nothing that is smuggled in a value gets through Exim', options(eximPrograms), async (context) => {
  const exim = await startExim();
  context.after(() => exim.stop());
  await assertInEachWay(context, exim, { port: exim.port, ca: exim.caFile });
});

test(
  'nothing that is smuggled in a value gets through OpenSMTPD',
  options(openSmtpdPrograms),
  async (context) => {
    const openSmtpd = await startOpenSmtpd();
    context.after(() => openSmtpd.stop());
    await assertSmugglesNothing(context, 'auto', openSmtpd, { port: openSmtpd.port, auth: 'none' });
  },
);

test(
  'the guard would notice: of a value that is sent as it is Postfix makes a second message',
  options(['postfix', 'saslpasswd2', 'openssl']),
  async (context) => {
    const { submissionPort, caFile, arrivals, stop } = await startPostfix();
    context.after(stop);
    const relay: RelayOptions = { ...describeRelay(submissionPort, caFile), pipelining: 'off' };
    const bare = makeNumbered('bare.test', 1, 'accepted');
    await sendNumbered(relay, [{ ...bare, content: `${bare.content}.\r\n${smuggledTransaction}` }]);
    const smuggled = await arrivals(victimDomain);
    assert.deepEqual(
      smuggled.map(({ reversePath }) => reversePath),
      ['evil@attacker.test'],
    );
  },
);

/** By DATA after its 354, by DATA in a group, and by BDAT. */
async function assertInEachWay(context: TestContext, peer: Peer, relay: Relay): Promise<void> {
  const ways = ['off', 'standard', 'deep'] as const;
  await Promise.all(
    ways.map((pipelining) => assertSmugglesNothing(context, pipelining, peer, { ...relay, pipelining })),
  );
}

async function assertSmugglesNothing(
  context: TestContext,
  name: string,
  { arrivals }: Peer,
  relay: Relay,
): Promise<void> {
  const folder = openSmuggling(context, name, relay);
  const ended = await folder.run(smugglingArgs, { env: environment });
  assert.equal(ended.code, 0, ended.stderr);
  const { accepted, invalid, rejected } = summaryIn(ended);
  assert.deepEqual({ accepted, invalid, rejected }, { ...rowCounts, rejected: 0 });
  await assertNotSmuggled(name, arrivals);
}
