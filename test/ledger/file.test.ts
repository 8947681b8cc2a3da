// The file: whose it is, who may open it, and what a bad disk does.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { PosthasteError } from '../../src/base/error.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import { formatVersion } from '../../src/ledger/schema.ts';
import { batchOf, columns, makeDirectory, openFor, settlementOf, storeList } from './fixture.ts';
import { makeFormat1 } from './format_1.ts';

/** Checks a rejection: its code, its exit code, and that it tells the reader what to do. */
async function assertFails(promise: Promise<unknown>, code: string, exitCode: number): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof PosthasteError, String(error));
    assert.equal(error.code, code);
    assert.equal(error.exitCode, exitCode);
    assert.ok(error.hint);
    return true;
  });
}

test('the directory and its file are for their owner only', async (t) => {
  const directory = join(makeDirectory(t), 'a', 'b');
  const ledger = await openFor(t, directory);
  await storeList(ledger, [[1]]);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.equal(statSync(join(directory, 'ledger.db')).mode & 0o777, 0o600);
  assert.equal(statSync(join(directory, 'ledger.db-wal')).mode & 0o777, 0o600);
});

test('what was committed is there after closing, and closing twice is nothing', async (t) => {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  const before = await storeList(ledger, [[1, 2]]);
  await ledger.close();
  await ledger.close();
  const reopened = await openFor(t, directory);
  assert.deepEqual(await reopened.findCampaign('spring'), before);
});

test('a ledger that is open is refused in the same process', async (t) => {
  const directory = makeDirectory(t);
  await openFor(t, directory);
  await assertFails(openLedger({ directory }), 'ERR_STATE_IN_USE', 75);
});

test('a directory that cannot be made is named as such', async () => {
  await assertFails(openLedger({ directory: '/dev/null/state' }), 'ERR_STATE_CANNOT_OPEN', 74);
});

test('a file that is a directory cannot be opened', async (t) => {
  const directory = makeDirectory(t);
  mkdirSync(join(directory, 'ledger.db'));
  await assertFails(openLedger({ directory }), 'ERR_STATE_CANNOT_OPEN', 74);
});

test('a newer format is refused and left as it is', async (t) => {
  const directory = makeDirectory(t);
  await (await openLedger({ directory })).close();
  runSql(directory, `PRAGMA user_version = ${formatVersion + 1}`);
  await assertFails(openLedger({ directory }), 'ERR_STATE_NEWER', 78);
  runSql(directory, `PRAGMA user_version = ${formatVersion}`);
  await openFor(t, directory);
});

test('a file that was not made to shrink says so, and is left as large as it is', async (t) => {
  const directory = makeDirectory(t);
  makeFormat1(directory);
  const ledger = await openFor(t, directory);
  assert.equal((await ledger.readSpace()).canShrink, false);
  assert.equal(await ledger.shrink(), false);
});

test("another program's database is refused and left as it is", async (t) => {
  const directory = makeDirectory(t);
  runSql(directory, 'CREATE TABLE theirs (x); PRAGMA user_version = 1');
  await assertFails(openLedger({ directory }), 'ERR_STATE_UNKNOWN_FILE', 78);
  const database = new DatabaseSync(join(directory, 'ledger.db'));
  assert.equal(database.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'delete');
  database.close();
});

test('a file that is no database is refused', async (t) => {
  const directory = makeDirectory(t);
  writeFileSync(join(directory, 'ledger.db'), 'Dear diary, '.repeat(500));
  await assertFails(openLedger({ directory }), 'ERR_STATE_UNKNOWN_FILE', 78);
});

test('a file that a process left before it made the tables is taken as new', async (t) => {
  const directory = makeDirectory(t);
  runSql(directory, 'PRAGMA journal_mode = WAL');
  await storeList(await openFor(t, directory), [[1]]);
});

test('a damaged page is said to be damage', async (t) => {
  const directory = makeDirectory(t);
  await (await openLedger({ directory })).close();
  const path = join(directory, 'ledger.db');
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, Buffer.alloc(statSync(path).size - 8192, 0xa5), 0, undefined, 8192);
  closeSync(descriptor);
  const ledger = await openFor(t, directory);
  await assertFails(ledger.listCampaigns(), 'ERR_STATE_CORRUPT', 74);
});

test('a value of the wrong kind is said to be damage', async (t) => {
  const directory = makeDirectory(t);
  const ledger = await openFor(t, directory);
  await storeList(ledger, [[1]]);
  await ledger.close();
  runSql(directory, `UPDATE campaign SET columns = '{}'`);
  const reopened = await openFor(t, directory);
  await assertFails(reopened.findCampaign('spring'), 'ERR_STATE_CORRUPT', 74);
});

test('a full disk undoes what did not fit, and the ledger goes on when there is room again', async (t) => {
  const directory = mountSmallDisk(t);
  if (directory === undefined) return;
  const ledger = await openLedger({ directory });
  t.after(() => ledger.close());
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  const filler = fillDisk(directory);
  const stored = await storeUntilFull(ledger, id);
  assert.equal((await ledger.findCampaign('spring'))?.batchesTaken, stored);
  assert.equal((await ledger.pending(id)).batches, stored);
  // More at once than a batch takes: what the last one did not fit into may be room enough for a smaller write.
  const settlements = (await ledger.claimDue(id, 0, 8)).map((batch) => settlementOf(batch));
  await assertFails(ledger.settle(settlements), 'ERR_STATE_FULL', 74);
  assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
  rmSync(filler);
  await storeNext(ledger, id, stored);
  await ledger.settle(settlements);
  assert.equal((await ledger.findCampaign('spring'))?.tally.accepted, 2000);
  assert.deepEqual((await ledger.auditCampaign(id)).differences, []);
});

test('closing on a full disk loses nothing that was stored', async (t) => {
  const directory = mountSmallDisk(t);
  if (directory === undefined) return;
  const ledger = await openLedger({ directory });
  t.after(() => ledger.close());
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: '', createdAt: 0 });
  const filler = fillDisk(directory);
  const stored = await storeUntilFull(ledger, id);
  await ledger.close();
  rmSync(filler);
  const reopened = await openLedger({ directory });
  t.after(() => reopened.close());
  assert.equal((await reopened.pending(id)).batches, stored);
  assert.deepEqual((await reopened.auditCampaign(id)).differences, []);
});

test('a disk too small for a new ledger is full, not broken', async (t) => {
  const directory = mountSmallDisk(t);
  if (directory === undefined) return;
  const filler = join(directory, 'filler');
  writeFileSync(filler, Buffer.alloc(3 * 1_048_576 - 8192));
  await assertFails(openLedger({ directory }), 'ERR_STATE_FULL', 74);
  rmSync(filler);
  await (await openLedger({ directory })).close();
});

/** Leaves room for some thirty batches on a small disk, and returns the file to remove for more. */
function fillDisk(directory: string): string {
  const filler = join(directory, 'filler');
  writeFileSync(filler, Buffer.alloc(1_500_000));
  return filler;
}

/** Stores batches until the disk is full, and returns how many it took. */
async function storeUntilFull(ledger: Ledger, campaignId: number): Promise<number> {
  for (let stored = 0; stored < 200; stored++) {
    const storing = storeNext(ledger, campaignId, stored);
    const isFull = await storing.then(
      () => false,
      () => true,
    );
    if (!isFull) continue;
    await assertFails(storing, 'ERR_STATE_FULL', 74);
    return stored;
  }
  throw new Error('the disk never got full');
}

/** Stores the batch that comes after `stored` others. */
async function storeNext(ledger: Ledger, campaignId: number, stored: number): Promise<void> {
  const rows = Array.from({ length: 250 }, (_, index) => stored * 250 + index + 1);
  const part = { batches: [batchOf(rows)], refused: [], rows: (stored + 1) * 250, columns };
  await ledger.storeIntake(campaignId, part, 0);
}

/** A file system of 3 MiB; skips the test visibly where this user may not mount one. */
function mountSmallDisk(t: TestContext): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-small-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    rmdirSync(directory);
    t.skip('mounting a small tmpfs is not allowed here');
    return undefined;
  }
  // Lazily: after a failed test the ledger may be open still.
  t.after(() => {
    execFileSync('umount', ['--lazy', directory]);
    rmdirSync(directory);
  });
  return directory;
}

function runSql(directory: string, sql: string): void {
  const database = new DatabaseSync(join(directory, 'ledger.db'));
  database.exec(sql);
  database.close();
}
