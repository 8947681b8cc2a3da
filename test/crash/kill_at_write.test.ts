// Killed at chosen writes: of a journal's block, of a socket's bytes, of the ledger's log.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killAt, spread } from './kill_at_call.ts';
import { openMailing } from './mailing.ts';
import { skipUnlessTracing } from './strace.ts';

const skip = skipUnlessTracing();

for (const [inDoubt, count] of [
  ['resend', 7],
  ['hold', 5],
] as const) {
  test(
    `killed at a journal's block or a socket's bytes, ${inDoubt}: who gets it twice was named`,
    { skip },
    async (context) => {
      const mailing = await openMailing(context, { rows: 700, inDoubt });
      // A turn of the loop writes a block and then up to five sockets: places in a row usually have both.
      const struck = await killAt(context, mailing, { calls: 'write', at: spread(95, 95 + count, count) });
      const places = struck.filter((call) => call.includes('/journal/') || call.includes('<socket:'));
      assert.ok(places.length >= count - 2, struck.join('\n'));
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
