// The inbox without a daemon: one entry's trouble is its own, and no other waits for it.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { ExitCode, PosthasteError } from '../../src/base/error.ts';
import { CampaignStore } from '../../src/daemon/campaign_store.ts';
import { acceptEntry } from '../../src/daemon/inbox_accept.ts';
import { Inbox, type InboxOptions } from '../../src/daemon/inbox.ts';
import { openLog } from '../../src/daemon/log.ts';
import { campaignYaml, makeList } from '../cli/posthaste.ts';
import { makePipe } from './inbox_folder.ts';

/** Gone when the test ends, whatever its permissions are by then. */
function makeFolder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'posthaste-test-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** root may read anything; who is root is somebody else until the test ends. Before folders are made, which are his then. */
function beOrdinary(context: TestContext): void {
  if (process.geteuid?.() !== 0) return;
  context.after(() => process.seteuid?.(0));
  process.seteuid?.(65_534);
}

function openInbox(context: TestContext, directory: string, accept: InboxOptions['accept']) {
  const stream = new PassThrough();
  const log = openLog({ level: 'info', style: 'json', hide: undefined }, stream);
  const inbox = new Inbox({ directory, settleMs: 0, accept, log });
  context.after(() => inbox.close());
  return { inbox, said: () => String(stream.read() ?? '') };
}

/** With a store, and a daemon that accepts whatever is whole. */
function acceptingInto(state: string, accepted: string[]): InboxOptions['accept'] {
  const store = new CampaignStore(state);
  const accept = async (submission: string, { as }: { as: string }): Promise<void> => {
    accepted.push(as);
    store.abandon(submission);
    await Promise.resolve();
  };
  return (entry, directory) => acceptEntry({ store, accept }, entry, directory);
}

function drop(directory: string, name: string): string {
  const folder = join(directory, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'campaign.yaml'), campaignYaml.replace('name: spring', `name: ${name}`));
  writeFileSync(join(folder, 'list.csv'), makeList(1));
  return folder;
}

async function until(isMeant: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !isMeant(); tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(isMeant());
}

test('an entry in passing trouble keeps no other, and is taken when the trouble is over', async (context) => {
  const directory = makeFolder(context);
  for (const name of ['a', 'b', 'c']) drop(directory, name);
  let isTrouble = true;
  const tried: string[] = [];
  const { said } = openInbox(context, directory, async ({ name }) => {
    tried.push(name);
    await Promise.resolve();
    if (name !== 'a' || !isTrouble) return;
    throw new PosthasteError({ code: 'ERR_STATE_IO', message: 'a bad disk', exitCode: ExitCode.ioError });
  });
  await until(() => !existsSync(join(directory, 'b')) && !existsSync(join(directory, 'c')));
  assert.ok(existsSync(join(directory, 'a')));
  // What comes later is not kept either.
  drop(directory, 'd');
  await until(() => !existsSync(join(directory, 'd')) && tried.filter((one) => one === 'a').length > 1);
  assert.deepEqual(readdirSync(join(directory, 'rejected')), []);
  isTrouble = false;
  await until(() => !existsSync(join(directory, 'a')));
  const warnings = said()
    .split('\n')
    .filter((line) => line.includes('a bad disk'));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /"entry":"a"/);
});

test('a folder that may not be read is rejected, one that may not be moved stays, and others are taken', async (context) => {
  beOrdinary(context);
  const directory = makeFolder(context);
  const state = makeFolder(context);
  chmodSync(drop(directory, 'unreadable'), 0o300);
  chmodSync(drop(directory, 'unmovable'), 0o000);
  chmodSync(join(drop(directory, 'unlisted'), 'list.csv'), 0o000);
  // What may be read and not written to is as good as any.
  chmodSync(join(drop(directory, 'good'), 'list.csv'), 0o400);
  const accepted: string[] = [];
  const { said } = openInbox(context, directory, acceptingInto(state, accepted));
  await until(() => readdirSync(join(directory, 'rejected')).length === 4);
  await until(() => !existsSync(join(directory, 'good')));
  assert.deepEqual(accepted, ['good']);
  assert.deepEqual(
    readdirSync(join(directory, 'rejected')).map((name) => name.replace(/\.\d{4}-.*Z/, '')),
    ['unlisted', 'unlisted.reason.txt', 'unreadable', 'unreadable.reason.txt'],
  );
  assert.ok(existsSync(join(directory, 'unmovable')));
  assert.match(said(), /"entry":"unmovable".*cannot read .*not permitted; and it cannot be moved/);
});

test('what cannot be looked at is told of, and taken once it can', async (context) => {
  beOrdinary(context);
  const directory = makeFolder(context);
  const { said } = openInbox(context, directory, () => Promise.resolve());
  // Both before it looks again.
  drop(directory, 'a');
  chmodSync(directory, 0o600);
  let lines = '';
  await until(() => (lines += said()).includes('EACCES'));
  chmodSync(directory, 0o700);
  await until(() => !existsSync(join(directory, 'a')));
  assert.match(lines, /"entry":"a"/);
});

test('an entry that was taken away while it was read leaves no reason anywhere', async (context) => {
  const directory = makeFolder(context);
  const before = readdirSync('.').sort();
  drop(directory, 'gone');
  const { inbox, said } = openInbox(context, directory, async ({ name }) => {
    await Promise.resolve();
    rmSync(join(directory, name), { recursive: true });
    throw new PosthasteError({ code: 'ERR_FILE_READ', message: 'it is gone', exitCode: ExitCode.noInput });
  });
  await until(() => !existsSync(join(directory, 'gone')));
  await inbox.close();
  assert.deepEqual(readdirSync('.').sort(), before);
  assert.deepEqual(readdirSync(join(directory, 'rejected')), []);
  assert.match(said(), /it is gone/);
});

test('a file that is named by a way around is put into its own submission and nowhere else', async (context) => {
  const [directory, state] = [makeFolder(context), makeFolder(context)];
  const around = `../../${join(basename(dirname(directory)), basename(directory), 'letter.txt')}`;
  writeFileSync(join(directory, 'letter.txt'), 'a');
  writeFileSync(join(directory, 'a.csv'), makeList(1));
  writeFileSync(join(directory, 'a.yaml'), campaignYaml.replace(/text: .*/, `text: { file: ${around} }`));
  openInbox(context, directory, acceptingInto(state, []));
  await until(() => readdirSync(join(directory, 'done')).length === 2);
  const left = readdirSync(state, { recursive: true, encoding: 'utf8' });
  assert.deepEqual(
    left.filter((name) => name.endsWith('letter.txt')),
    [],
  );
});

test('of a copy, what is wrong with the source is no trouble of the disk, and the other way round', async (context) => {
  const folder = makeFolder(context);
  const store = new CampaignStore(join(folder, 'state'));
  const id = store.begin();
  const path = join(folder, 'source');
  const copy = (to: string) => store.copyInto(id, path, to);
  const ofSource = { code: 'ERR_FILE_READ', exitCode: ExitCode.noInput };
  await assert.rejects(copy('plan/a'), ofSource);
  makePipe(path);
  await assert.rejects(copy('plan/a'), ofSource);
  rmSync(path);
  mkdirSync(path);
  await assert.rejects(copy('plan/a'), ofSource);
  rmSync(path, { recursive: true });
  writeFileSync(path, 'here');
  await copy('plan/a');
  await assert.rejects(copy('plan/a/b'), { code: 'ERR_STATE_IO', exitCode: ExitCode.ioError });
  store.abandon(id);
});
