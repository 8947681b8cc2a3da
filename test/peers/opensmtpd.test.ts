// Against a real OpenSMTPD, which offers no PIPELINING: one command at a time, and everything arrives.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { makeList, openMailing, resultArgs } from './mailing.ts';
import { openSmtpdPrograms, startOpenSmtpd, type OpenSmtpd } from './opensmtpd.ts';
import { greyPrefix, unknownPrefix } from './policy.ts';
import { assertCounts, assertPersonalised, readResults } from './proof.ts';
import { skipUnlessReady } from './required.ts';
import { assertLockStep, startTap } from './tap.ts';

const skip = skipUnlessReady(openSmtpdPrograms);
const received = /by mail\.peer\.test \(OpenSMTPD\) with ESMTP\b/;

describe('with a real OpenSMTPD', { skip, timeout: 120_000 }, () => {
  let started: OpenSmtpd | undefined;
  before(async () => {
    started = await startOpenSmtpd();
  });
  after(() => started?.stop());

  for (const pipelining of ['auto', 'standard'] as const) {
    test(`${pipelining}: commands go one at a time; the unknown are rejected, the greylisted tried again`, async (context) => {
      const { port, arrivals } = started ?? assert.fail('OpenSMTPD did not start');
      const tap = await startTap(port);
      context.after(() => tap.close());
      const list = makeList(pipelining, { reader: 25, [unknownPrefix]: 8, [greyPrefix]: 5 });
      const relay = { port: tap.port, auth: 'none', pipelining } as const;
      const folder = openMailing(context, pipelining, relay, list);
      assertCounts(await folder.run(resultArgs), 30, 8);
      for (const [email, row] of readResults(folder)) {
        const { status, attempts } = row;
        if (email.startsWith(unknownPrefix)) {
          assert.deepEqual([status, attempts, row['reply_code']], ['rejected', 1, 550]);
          assert.equal(row['classification'], 'no-such-recipient');
        } else {
          const attempt = email.startsWith(greyPrefix) ? 2 : 1;
          assert.deepEqual([email, status, attempts], [email, 'accepted', attempt]);
        }
      }
      await assertPersonalised(await arrivals(`${pipelining}.test`), 30, received);
      const offers = tap.connections.map(([, , ehlo]) => ehlo?.text ?? '');
      for (const offer of offers) assert.match(offer, /^250-(?!.*(?:PIPELINING|CHUNKING)).*250 HELP\r\n$/s);
      assertLockStep(tap.connections);
    });
  }
});
