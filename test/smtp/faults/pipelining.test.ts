// F50: a relay that offers PIPELINING and loses what stands behind the first command of a group.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { SendingMode } from '../../../src/smtp/dialogue.ts';
import { openBed, openSandbox, until, type Bed } from './bench.ts';
import { greeted, startRawRelay, type Step } from './raw_relay.ts';

const soon = { commandTimeoutMs: 200, endOfDataTimeoutMs: 3000 };

async function open(
  context: TestContext,
  mode: SendingMode,
  faults: readonly string[],
  more = {},
): Promise<Bed & { readonly taken: () => string[] }> {
  const bed = await openSandbox(context, mode, faults, {}, { ...soon, ...more });
  const taken = (): string[] =>
    bed.sandbox.messages().map(({ recipients: [first = ''] }) => first.replace('@b.example', ''));
  return { ...bed, taken };
}

// They wait for clocks more than they work, so they wait together.
describe('groups', { concurrency: true }, () => {
  test('F50: commands lost behind MAIL cost time, not the row; from then on it is one command at a time', async (context) => {
    const { work, send, taken } = await open(context, 'standard', ['mail: lose-rest']);
    await send(1);
    assert.equal(work.outcomes(), '1 unsent');
    await send(2, 3, 4);
    assert.equal(work.outcomes(), '1 unsent, 2 accepted, 3 accepted, 4 accepted');
    assert.deepEqual(taken(), ['r2', 'r3', 'r4']);
  });

  test('F50: a group lost behind the end of data is noticed, too, and remembered', async (context) => {
    const { work, send, taken } = await open(context, 'standard', ['end: lose-rest']);
    await send(1, 2);
    assert.equal(work.outcomes(), '1 accepted, 2 unsent');
    await send(3, 4, 5);
    assert.equal(work.outcomes(), '1 accepted, 2 unsent, 3 accepted, 4 accepted, 5 accepted');
    assert.deepEqual(taken(), ['r1', 'r3', 'r4', 'r5']);
  });

  test('F50: deep tries one group before it sends more, so that lost transactions are not taken for answered', async (context) => {
    const { work, send, taken } = await open(context, 'deep', ['end: lose-rest']);
    const numbers = Array.from({ length: 20 }, (_, index) => index + 1);
    await send(...numbers);
    const kinds = new Map(work.settled.map((one) => [one.transaction.number, one.kind]));
    for (const number of numbers) {
      const kind = kinds.get(number);
      assert.equal(kind === 'accepted', taken().includes(`r${number}`), `${number} ${kind}`);
    }
    // One was behind the first end of data, one is where standard found out.
    assert.ok(work.settled.filter((one) => one.kind !== 'accepted').length <= 2, work.outcomes());
  });

  test('F50: replies out of order end a session before anybody gets another one’s', async (context) => {
    // RCPT's reply comes after DATA's 354.
    const { work, send, taken } = await open(context, 'standard', ['rcpt r2@ first: swap']);
    await send(1, 2, 3);
    // The reply to the end of 1 may have been the one to the MAIL of 2, for all that shows.
    assert.equal(work.outcomes(), '1 inDoubt, 2 deferred, 3 accepted');
    assert.deepEqual(taken(), ['r1', 'r3']);
  });

  test('a deep session whose replies come apart is followed by one that does not go deep', async (context) => {
    const bed = await openSandbox(
      context,
      'deep',
      ['end first per reverse-path every 4: extra 250 ok'],
      {},
      soon,
    );
    await bed.send(...Array.from({ length: 12 }, (_, index) => index + 1));
    const sessions = bed.sandbox
      .messages()
      .map(({ session, chunked }) => `${session} ${chunked ? 'BDAT' : 'DATA'}`);
    assert.ok(sessions.includes('1 BDAT') && sessions.includes('2 DATA'), sessions.join(', '));
    assert.ok(!sessions.includes('2 BDAT'));
  });

  test('F42: a relay that refuses RSET gets a fresh session; nobody is lost and nobody rejected for it', async (context) => {
    const refused: readonly Step[] = [
      ...greeted,
      /DATA\r\n/,
      '250 m\r\n550 5.1.1 who\r\n554 none\r\n',
      /RSET\r\n/,
      '502 5.5.1 not now\r\n',
      2000,
    ];
    const fine: readonly Step[] = [
      ...greeted,
      /DATA\r\n/,
      '250 m\r\n250 r\r\n354 d\r\n',
      /\r\n\.\r\n/,
      '250 taken\r\n',
    ];
    const relay = await startRawRelay(context, refused, fine);
    const { work, send } = openBed(context, relay.port, { pipelining: 'standard' });
    await send(1, 2);
    assert.equal(work.outcomes(), '1 rejected, 2 unsent');
    await send(3);
    assert.equal(work.outcomes(), '1 rejected, 2 unsent, 3 accepted');
  });

  test('F53: a stall of one session does not make the pool forget that sessions with other relays go deep', async (context) => {
    const stalled = await open(context, 'deep', ['rcpt r1@ first: silence']);
    const other = await openSandbox(context, 'deep', []);
    await Promise.all([stalled.send(1), other.send(1)]);
    await other.send(2);
    await until(() => stalled.work.settled.length === 1);
    assert.ok(other.sandbox.messages().every((message) => message.chunked));
  });
});
