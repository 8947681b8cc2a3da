// A recovery that is killed is repeated, as often as it takes: who was in doubt has been named, whoever settled it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLong, killAt } from './kill_at_call.ts';
import { openMailing, until } from './mailing.ts';
import { skipUnlessTracing } from './strace.ts';

test(
  'a recovery killed ten times in a row, a few writes further each time',
  { skip: skipUnlessTracing() },
  async (context) => {
    // Five batches under way, so that there is much to settle.
    const config = 'threads: 3\nlog: { level: info }\n';
    const relay = 'maxConnections=6&maxMessages=1000';
    const mailing = await openMailing(context, {
      rows: 1250,
      inDoubt: 'hold',
      config,
      relay,
      sandbox: { latencyMs: 10 },
    });
    const running = mailing.start();
    await until(() => mailing.sandbox.stats().taken > 400);
    running.child.kill('SIGKILL');
    assert.doesNotMatch((await running.ended).stderr, /campaign recovered/);
    const before = mailing.sandbox.stats().taken;
    const kills = isLong ? 40 : 10;
    // Several batches' worth of writes, and fewer than all have: each kill is within the recovery.
    const at = Array.from({ length: kills }, (_, index) => 1 + Math.floor((index * 30) / kills));
    const struck = await killAt(context, mailing, { calls: 'pwrite64', files: ['ledger.db-wal'], at }, () =>
      assert.equal(mailing.sandbox.stats().taken, before, 'killed while it recovered, before it sent'),
    );
    assert.equal(struck.length, kills);
  },
);
