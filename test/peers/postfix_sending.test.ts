// Against a real Postfix: all three ways of sending, one long session, and fewer sessions than were asked for.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { summaryIn } from '../cli/posthaste.ts';
import { codeOf, environment, makeList, makeMixedList, openMailing, resultArgs } from './mailing.ts';
import { startPostfix, type Postfix } from './postfix.ts';
import { countSessions } from './postfix_log.ts';
import { unknownPrefix } from './policy.ts';
import {
  assertAllAccepted,
  assertCounts,
  assertEachAttempted,
  assertOncePerRecipient,
  assertPersonalised,
  readResults,
} from './proof.ts';
import { skipUnlessReady } from './required.ts';

const skip = skipUnlessReady(['postfix', 'saslpasswd2', 'openssl']);

describe('sending through a real Postfix', { skip, timeout: 240_000 }, () => {
  let started: Postfix | undefined;
  before(async () => {
    started = await startPostfix();
  });
  after(() => started?.stop());
  const postfix = (): Postfix => started ?? assert.fail('Postfix did not start');

  for (const pipelining of ['off', 'standard', 'deep'] as const) {
    test(`${pipelining}: of a list with 30 % unknown recipients all others get theirs, once`, async (context) => {
      const { submissionPort: port, caFile: ca, arrivals, log } = postfix();
      const list = makeMixedList(pipelining, 300, unknownPrefix);
      const folder = openMailing(context, pipelining, { port, ca, pipelining }, list);
      const logged = log().length;
      assertCounts(await folder.run(resultArgs, { env: environment }), 210, 90);
      for (const [email, { status, attempts }] of readResults(folder)) {
        const fate = email.startsWith(unknownPrefix) ? 'rejected' : 'accepted';
        assert.deepEqual([email, status, attempts], [email, fate, 1]);
      }
      await assertPersonalised(await arrivals(`${pipelining}.test`), 210);
      const { data, bdat } = await countSessions(() => log().slice(logged), 300);
      // Without pipelining there is no DATA for whom RCPT has refused.
      const contents = pipelining === 'off' ? 210 : 300;
      assert.deepEqual([data, bdat], pipelining === 'deep' ? [0, contents] : [contents, 0]);
    });
  }

  test('5,000 messages go through one deep session, each once', async (context) => {
    const { submissionPort: port, caFile: ca, arrivals, log } = postfix();
    const rows = 5000;
    const relay = { port, ca, pipelining: 'deep', maxConnections: 1, maxMessages: 1_000_000 } as const;
    const folder = openMailing(context, 'long', relay, makeList('long', { reader: rows }));
    const logged = log().length;
    const ended = await folder.run(resultArgs, { env: environment });
    assertAllAccepted(ended, rows);
    context.diagnostic(`${summaryIn(ended).perSecond} messages/s`);
    assertEachAttempted(readResults(folder), 1);
    const arrived = await arrivals('long.test');
    assert.deepEqual(await countSessions(() => log().slice(logged), rows), {
      sessions: 1,
      mail: rows,
      rcpt: rows,
      data: 0,
      bdat: rows,
    });
    assertOncePerRecipient(arrived, rows);
    for (const { recipients, data } of arrived) {
      const recipient = recipients[0] ?? '';
      assert.ok(data.includes(`\r\nTo: ${recipient}\r\n`), recipient);
      assert.ok(data.includes(`<b>${codeOf(recipient)}</b>`), recipient);
    }
  });

  test('where 50 of 200 sessions are let in, the list goes through these, and nobody is charged', async (context) => {
    const { broadPort: port, caFile: ca, arrivals, log } = postfix();
    const rows = 300;
    const relay = { port, ca, maxConnections: 200 };
    const folder = openMailing(context, 'broad', relay, makeList('broad', { reader: rows }));
    const logged = log().length;
    assertAllAccepted(await folder.run(resultArgs, { env: environment }), rows);
    const said = log().slice(logged);
    assert.match(said, /Connection concurrency limit exceeded: 51 /, 'Postfix refused no connection');
    assertEachAttempted(readResults(folder), 1);
    await assertPersonalised(await arrivals('broad.test'), rows);
  });
});
