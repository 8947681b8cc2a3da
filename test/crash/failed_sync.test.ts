// A sync that fails: nobody knows what is on the disk, so nothing is claimed any more.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { killOnce, spread } from './kill_at_call.ts';
import { assertKnown, openMailing } from './mailing.ts';
import { countInjected, skipUnlessTracing, strace } from './strace.ts';

const skip = skipUnlessTracing();
const config = 'durability: power\nlog: { level: info }\n';

for (const { name, calls, at, rows } of [
  // SQLite calls fsync, the journals fdatasync; libuv's four threads count for themselves.
  { name: 'a journal', calls: 'fdatasync', at: spread(1, 30, 2), rows: 900 },
  { name: 'the ledger', calls: 'fsync', at: [1, 5, 9, 3], rows: 3000 },
]) {
  test(
    `durability: power, and a sync of ${name} fails: 74, no success is claimed, the next run is truthful`,
    { skip },
    async (context) => {
      const mailing = await openMailing(context, { rows, config });
      const trace = join(mailing.folder.path, 'trace');
      let failed = 0;
      for (const count of at) {
        const fault = { calls, when: `${count}+`, what: 'error=EIO' };
        const ended = await mailing.run({ under: strace(fault, trace) });
        // A commit whose sync failed may be there all the same: when it was the last one, there is nothing left to sync.
        if (countInjected(trace) === 0) break;
        failed += 1;
        assert.equal(ended.code, 74, ended.stderr);
        assert.match(ended.stderr, /posthaste: .*(could not|cannot).*\n {2}Check /s);
        assert.doesNotMatch(ended.stdout, /"type":"summary"/);
        await assertKnown(mailing);
      }
      assert.ok(failed >= 2, `${failed} runs met a sync that failed`);
      mailing.assertTruthful(await mailing.run());
      context.diagnostic(
        `${failed} runs failed, ${mailing.reported.size} named in doubt, ${mailing.sentTwice().length} sent twice, 0 lost`,
      );
    },
  );
}

test('durability: power syncs the directories above whatever is created', { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-test-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const state = join(folder, 'a/b');
  const mailing = await openMailing(context, { rows: 10, config, state });
  const trace = join(mailing.folder.path, 'trace');
  const nothing = { calls: 'fsync', when: '60000', what: 'error=EIO' };
  mailing.assertTruthful(await mailing.run({ under: strace(nothing, trace) }));
  const traced = readFileSync(trace, 'utf8');
  for (const directory of [folder, join(folder, 'a'), state, join(state, 'journal')])
    assert.ok(traced.includes(`<${directory}>`), `${directory} in\n${traced}`);
});

test(
  'a journal that cannot be removed is the disk’s fault and no bug: 74, and the next run removes it',
  { skip },
  async (context) => {
    const mailing = await openMailing(context, { rows: 700 });
    await killOnce(mailing, { calls: 'write', at: 120 });
    const fault = { calls: 'unlink', when: '1+', what: 'error=EIO' };
    const ended = await mailing.run({ under: strace(fault, join(mailing.folder.path, 'trace')) });
    assert.equal(ended.code, 74, ended.stderr);
    assert.match(ended.stderr, /the journal in the state directory cannot be .*\n {2}Check the disk/);
    mailing.assertTruthful(await mailing.run());
  },
);
