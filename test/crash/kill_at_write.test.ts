// Killed at chosen writes: of a journal's block, of a socket's bytes, of the ledger's log.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLong, killAt, killOnce, spread } from './kill_at_call.ts';
import { openMailing } from './mailing.ts';
import { skipUnlessTracing } from './strace.ts';

const skip = skipUnlessTracing();
/** Before it is given up that both kinds of writes are met; the list must be long enough for so many runs. */
const mostKills = isLong ? 70 : 45;

for (const [inDoubt, count] of [
  ['resend', isLong ? 70 : 7],
  ['hold', isLong ? 50 : 5],
] as const) {
  test(
    `killed at a journal's block or a socket's bytes, ${inDoubt}: who gets it twice was named`,
    { skip },
    async (context) => {
      const mailing = await openMailing(context, { rows: 3000, inDoubt });
      // A turn of the loop writes a block and then up to five sockets, so places in a row have both, sooner or later.
      const kinds = ['/journal/', '<socket:'];
      const struck: string[] = [];
      const isMet = (kind: string): boolean => struck.some((call) => call.includes(kind));
      for (let at = 60; at < 60 + mostKills && (struck.length < count || !kinds.every(isMet)); at += 1)
        struck.push((await killOnce(mailing, { calls: 'write', at })) ?? '');
      mailing.assertTruthful(await mailing.run());
      for (const kind of kinds) assert.ok(isMet(kind), `${kind} in ${struck.join('\n')}`);
      context.diagnostic(
        `${struck.length} kills, ${mailing.reported.size} named in doubt, ${mailing.sentTwice().length} sent twice, 0 lost`,
      );
    },
  );
}

for (const inDoubt of ['resend', 'hold'] as const) {
  test(
    `killed within the ledger's commits, ${inDoubt}: who gets it twice was named`,
    { skip },
    async (context) => {
      const mailing = await openMailing(context, { rows: 700, inDoubt });
      const at = spread(1, 70, 4);
      const struck = await killAt(context, mailing, { calls: 'pwrite64', files: ['ledger.db-wal'], at });
      assert.ok(
        struck.length >= 3 && struck.every((call) => call.includes('ledger.db-wal')),
        struck.join('\n'),
      );
    },
  );
}
