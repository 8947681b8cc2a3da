// A full disk, at every point: sending stops, the exit code is the disk's, nothing is marked that is not so, and on space it goes on.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type TestContext } from 'node:test';
import type { Ended } from '../cli/posthaste.ts';
import { spread } from './kill_at_call.ts';
import { assertKnown, openMailing, type Mailing } from './mailing.ts';
import { mountSmall } from './small_disk.ts';
import { countInjected, skipUnlessTracing, strace } from './strace.ts';

const skip = skipUnlessTracing();
const preload = fileURLToPath(new URL('break_journal.ts', import.meta.url));
/** Batches that a thread has at once, of 250 recipients each. */
const underWay = 500;

/** Runs once on a disk that fails. Returns false where the run came to its end before it did. */
async function failOnce(run: () => Promise<Ended>): Promise<boolean> {
  const ended = await run();
  if (ended.code === 0) return false;
  assert.equal(ended.code, 74, ended.stderr);
  assert.match(ended.stderr, /posthaste: .*(full|no space).*\n {2}Free some space/is);
  return true;
}

async function finish(context: TestContext, mailing: Mailing, failures: number): Promise<void> {
  mailing.assertTruthful(await mailing.run());
  context.diagnostic(
    `full ${failures} times, ${mailing.reported.size} named in doubt, ${mailing.sentTwice().length} sent twice, 0 lost`,
  );
}

test('a file system that is full again and again, a few pages further each time', async (context) => {
  const disk = mountSmall(context, 300);
  if (disk === undefined) return context.skip('this machine does not allow mounting a tmpfs');
  const mailing = await openMailing(context, { rows: 700, state: join(disk.path, 'state') });
  let failures = 0;
  for (const kilobytes of spread(300, 700, 3)) {
    disk.resize(kilobytes);
    if (await failOnce(() => mailing.run())) failures += 1;
  }
  assert.ok(failures >= 2, String(failures));
  disk.resize(65_536);
  await assertKnown(mailing);
  await finish(context, mailing, failures);
});

test('the ledger cannot be written from the k-th write on', { skip }, async (context) => {
  const mailing = await openMailing(context, { rows: 900 });
  const trace = join(mailing.folder.path, 'trace');
  const paths = ['ledger.db-wal', 'ledger.db'].map((name) => join(mailing.state, name));
  let failures = 0;
  for (const count of [...spread(1, 12, 2), ...spread(12, 200, 2)]) {
    const fault = { calls: 'pwrite64', when: `${count}+`, what: 'error=ENOSPC', paths };
    const before = mailing.taken().size;
    if (!(await failOnce(() => mailing.run({ under: strace(fault, trace) })))) break;
    assert.ok(countInjected(trace) > 0);
    failures += 1;
    await assertKnown(mailing);
    // At most what was settled in between by the writes that went well, and what the thread had at hand.
    assert.ok(count > 12 || mailing.taken().size - before <= underWay + 250);
  }
  assert.ok(failures >= 3, String(failures));
  await finish(context, mailing, failures);
});

test('a journal that cannot be written from the k-th block on: not one message more is ended', async (context) => {
  const mailing = await openMailing(context, { rows: 1500 });
  const at = spread(1, 200, 3);
  for (const count of at) {
    const env = { NODE_OPTIONS: `--import ${preload}`, BREAK_HOW: 'full', BREAK_AT: String(count) };
    const before = mailing.taken().size;
    assert.ok(await failOnce(() => mailing.run({ env })), `it came to its end before block ${count}`);
    // A block names at most one end for each of the five sessions.
    assert.ok(
      mailing.taken().size - before <= (count - 1) * 5,
      `${mailing.taken().size - before} by ${count - 1} blocks`,
    );
    await assertKnown(mailing);
  }
  await finish(context, mailing, at.length);
});
