// Killed while it tidies up: at the ledger's syncs and checkpoint, at the removal of journals, at the results' rename.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseFault } from '../../src/sandbox/fault_text.ts';
import { killAt, killOnce, spread } from './kill_at_call.ts';
import { openMailing } from './mailing.ts';
import { skipUnlessTracing } from './strace.ts';

const skip = skipUnlessTracing();

test('killed at each sync of the ledger, of a new file and of a checkpoint', { skip }, async (context) => {
  // One sync further each time, until the ledger is made; then a checkpoint has two.
  const mailing = await openMailing(context, { rows: 300 });
  const struck = await killAt(context, mailing, {
    calls: 'fsync',
    at: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2],
  });
  for (const file of ['ledger.db-journal', 'ledger.db>', 'ledger.db-wal'])
    assert.ok(
      struck.some((call) => call.includes(file)),
      `${file} in ${struck.join('\n')}`,
    );
});

test(
  'killed as settled journals are removed, while it sends and when it recovers',
  { skip },
  async (context) => {
    // Replies that fill a segment of 1 MiB with some 1,900 rows.
    const faults = [parseFault(`end: 250 2.0.0 ${'x'.repeat(480)}`)];
    const mailing = await openMailing(context, { rows: 2700, sandbox: { faults } });
    const struck = await killAt(context, mailing, { calls: 'unlink', at: [1, 1, 1, 2, ...spread(2, 4, 1)] });
    const removed = struck.filter((call) => call.includes('/journal/'));
    assert.ok(removed.length >= 2, struck.join('\n'));
  },
);

test(
  'killed before the results get their name, the same command writes them, and sends nothing',
  { skip },
  async (context) => {
    const mailing = await openMailing(context, { rows: 300 });
    const struck = await killAt(context, mailing, { calls: 'rename', at: [1, 1] });
    assert.equal(struck.length, 2);
    assert.equal(mailing.sandbox.messages().length, 300);
    assert.equal(mailing.results().size, 300);
  },
);

test(
  'killed before a torn tail is cut off, the next start cuts it off and says so',
  { skip },
  async (context) => {
    const mailing = await openMailing(context, { rows: 700 });
    // Late enough for the journal to have something: a thread's own wake-ups are writes, too, and come sooner.
    await killOnce(mailing, { calls: 'write', at: 250 });
    const [journal = ''] = mailing.journals();
    appendFileSync(join(mailing.state, 'journal', journal), 'J1 200 12345678\nE 1 ');
    // Of this file: a checkpoint may shorten the ledger before.
    const cutting = { calls: 'ftruncate', files: [join('journal', journal)], at: 1 };
    assert.match((await killOnce(mailing, cutting)) ?? '', /\/journal\//);
    const last = await mailing.run();
    assert.match(last.stderr, /was cut off: 20 octets/);
    mailing.assertTruthful(last);
  },
);
