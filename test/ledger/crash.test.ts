// Real processes: killed in the middle of their work, and kept out of one another's.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sumTally } from '../../src/mail/outcome.ts';
import { makeDirectory, openFor, storeList } from './fixture.ts';

const childFile = fileURLToPath(new URL('crash_child.ts', import.meta.url));

interface Child {
  /** Waits for the line that begins so. */
  waitFor(start: string): Promise<string>;
  /** Kills it as a power button would, and returns all lines it said. */
  kill(): Promise<string[]>;
}

function startChild(t: TestContext, directory: string, task: 'try' | 'claim' | 'settle'): Child {
  const child = spawn(process.execPath, [childFile, directory, task], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  const closed = once(reader, 'close');
  return {
    waitFor: async (start) => {
      for (;;) {
        const line = lines.find((one) => one.startsWith(start));
        if (line !== undefined) return line;
        await once(reader, 'line', { signal: AbortSignal.timeout(10_000) });
      }
    },
    kill: async () => {
      child.kill('SIGKILL');
      await closed;
      return lines;
    },
  };
}

test('a second process is refused while the first lives, and let in when it was killed', async (t) => {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  const { id } = await storeList(ledger, [[1], [2], [3], [4]]);
  await ledger.close();

  const first = startChild(t, directory, 'claim');
  assert.equal(await first.waitFor('claimed'), 'claimed 1 2 3');
  await assert.rejects(openFor(t, directory), { code: 'ERR_STATE_IN_USE', exitCode: 75 });
  await first.kill();

  const reopened = await openFor(t, directory);
  const claimed = await reopened.claimDue(id, 0, 9);
  assert.deepEqual(
    claimed.map((one) => one.id),
    [1, 2, 3, 4],
    'the claims of the dead process come back',
  );
});

test('a refused attempt to open does not take away the lock of the process that made it', async (t) => {
  const directory = makeDirectory(t);
  await openFor(t, directory);
  await assert.rejects(openFor(t, directory), { code: 'ERR_STATE_IN_USE' });
  const other = startChild(t, directory, 'try');
  await other.waitFor('ERR_STATE_IN_USE');
});

test('a process killed while it settles leaves every batch either settled or pending', async (t) => {
  const directory = makeDirectory(t);
  const batches = Array.from({ length: 1500 }, (_, n) =>
    Array.from({ length: 20 }, (_, k) => n * 20 + k + 1),
  );
  const { id, rows } = await withLedger(t, directory, (ledger) => storeList(ledger, batches));
  const settled = new Set<number>();
  for (const delayMs of [0, 3, 7, 15, 30]) {
    const child = startChild(t, directory, 'settle');
    await child.waitFor('settled');
    await sleep(delayMs);
    const lines = await child.kill();
    for (const line of lines) if (line.startsWith('settled ')) settled.add(Number(line.slice(8)));

    await withLedger(t, directory, async (ledger) => {
      const audit = await ledger.auditCampaign(id);
      assert.deepEqual(audit.differences, []);
      assert.equal(sumTally(audit.tally) + audit.pendingRecipients, rows);
      const due = (await ledger.claimDue(id, 0, 2000)).map((one) => one.id);
      assert.deepEqual(
        due.filter((one) => settled.has(one)),
        [],
        'what was said to be settled is settled',
      );
      assert.ok(due.length >= 1500 - settled.size - 2, 'at most one transaction is ahead of what was said');
      for (let batch = 1; batch <= 1500; batch++) if (!due.includes(batch)) settled.add(batch);
    });
  }
  assert.ok(settled.size < 1500, 'every child was killed in the middle');
});

async function withLedger<T>(
  t: TestContext,
  directory: string,
  work: (ledger: Awaited<ReturnType<typeof openFor>>) => Promise<T>,
): Promise<T> {
  const ledger = await openFor(t, directory);
  const result = await work(ledger);
  await ledger.close();
  return result;
}
