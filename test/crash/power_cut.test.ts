// The power fails: what the disk holds at an instant recovers to a truthful state, with `durability: power`.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { recoverCampaign } from '../../src/daemon/journals.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { mountImage, mountSnapshot } from './disk_image.ts';
import { isLong } from './kill_at_call.ts';
import { openMailing, until } from './mailing.ts';

const rows = 1500;
const cuts = isLong ? 100 : 12;
const config = 'durability: power\nlog: { level: info }\n';
const retry = { firstDelayMs: 200, factor: 1.5, maxDelayMs: 1000, giveUpAfterMs: 3_600_000, jitter: 0 };

/** What is left after a power cut. */
interface Cut {
  readonly disk: Buffer;
  /** Rows whose message the relay had taken. */
  readonly taken: ReadonlySet<number>;
}

/**
 * With `durability: process` the same cut may lose what was journalled since the file system last wrote by itself: rows that were taken
 * would be sent again, and nobody would be named. Whether it does is a matter of seconds, so no test says so.
 */
test('after a power cut whoever was taken before is known as accepted or named in doubt, and nobody is lost', async (context) => {
  const image = mountImage(context);
  if (image === undefined)
    return context.skip('this machine does not allow mounting a file system in a file');
  const state = join(image.path, 'state');
  const mailing = await openMailing(context, { rows, config, state, sandbox: { latencyMs: 4 } });
  const running = mailing.start();
  const found: Cut[] = [];
  for (let cut = 0; cut < cuts; cut += 1) {
    await until(() => mailing.sandbox.stats().taken > (cut * rows) / (cuts + 1));
    // Stopped, nobody writes but the file system itself; all that was sent before arrives while the disk is read.
    running.child.kill('SIGSTOP');
    const disk = image.snapshot();
    await new Promise((resolve) => setTimeout(resolve, 20));
    found.push({ disk, taken: new Set(mailing.taken().keys()) });
    running.child.kill('SIGCONT');
  }
  mailing.assertTruthful(await running.ended);
  let doubts = 0;
  for (const cut of found) doubts += await recover(context, cut);
  context.diagnostic(`${cuts} power cuts, ${doubts} in doubt, 0 lost`);
  await goOn(context, found[Math.floor(cuts / 2)]);
});

/** What the next start knows of those who were taken. Returns how many it names in doubt. */
async function recover(context: TestContext, cut: Cut): Promise<number> {
  const directory = join(mountSnapshot(context, cut.disk), 'state');
  const ledger = await openLedger({ directory, durability: 'power' });
  try {
    const campaign = await ledger.findCampaign('spring');
    assert.ok(campaign !== undefined, 'the campaign is gone');
    const named = new Set<number>();
    const noteDoubt = (inDoubt: readonly { row: number }[]): void =>
      inDoubt.forEach(({ row }) => named.add(row));
    const rules = { retry, inDoubt: 'resend', relay: 'relay', noteDoubt } as const;
    const place = { stateDir: directory, ownRun: 'none' };
    await recoverCampaign(place, ledger, campaign.id, rules, Date.now(), Math.random);
    assert.deepEqual((await ledger.auditCampaign(campaign.id)).differences, []);
    const accepted = await readAccepted(ledger, campaign.id);
    const unknown = [...cut.taken].filter((row) => !accepted.has(row) && !named.has(row));
    assert.deepEqual(unknown, [], 'taken before the cut, and neither accepted nor in doubt after it');
    assert.deepEqual(
      [...accepted].filter((row) => !cut.taken.has(row)),
      [],
      'accepted, and never taken',
    );
    return named.size;
  } finally {
    await ledger.close();
  }
}

async function readAccepted(ledger: Ledger, campaignId: number): Promise<Set<number>> {
  const accepted = new Set<number>();
  for await (const page of ledger.readResults(campaignId))
    for (const { row, delivery } of page) if (delivery?.fate === 'accepted') accepted.add(row);
  return accepted;
}

/** The same command goes on from a cut, with a relay of its own: what it sends can be told from what was taken before. */
async function goOn(context: TestContext, cut: Cut | undefined): Promise<void> {
  assert.ok(cut !== undefined);
  const state = join(mountSnapshot(context, cut.disk), 'state');
  const mailing = await openMailing(context, { rows, config, state });
  const last = await mailing.run();
  assert.equal(last.code, 0, last.stderr);
  const again = mailing.taken();
  const all = Array.from({ length: rows }, (_, index) => index + 1);
  assert.deepEqual(
    all.filter((row) => !cut.taken.has(row) && !again.has(row)),
    [],
    'lost',
  );
  const twice = all.filter((row) => cut.taken.has(row) && again.has(row));
  assert.deepEqual(
    twice.filter((row) => !mailing.reported.has(row)),
    [],
    'sent twice, and nobody was told',
  );
}
