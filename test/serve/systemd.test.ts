// The units as systemd's own tools judge them, and the daemon as systemd would start it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { skipUnlessReady } from '../peers/required.ts';
import { isFinished, openServing } from './serving.ts';

const units = resolve(import.meta.dirname, '../../systemd');
const skip = skipUnlessReady(['systemd-analyze', 'systemd-notify', 'systemd-sysusers', 'python3', 'strace']);

function makeFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-units-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The units where systemd would find them, with a program that is there on every machine. */
function copyUnits(folder: string): string[] {
  return [
    ['posthaste.service', 'posthaste.service'],
    ['posthaste@.service', 'posthaste@.service'],
    ['posthaste@.service', 'posthaste@one.service'],
  ].map(([from = '', to = '']) => {
    const path = join(folder, to);
    writeFileSync(path, readFileSync(join(units, from), 'utf8').replace('/usr/bin/posthaste', '/bin/true'));
    return path;
  });
}

function run(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

test('systemd finds nothing wrong with the units, and little that they expose', { skip }, (context) => {
  const [daemon = '', , instance = ''] = copyUnits(makeFolder(context));
  assert.equal(run('systemd-analyze', 'verify', daemon, instance), '');
  for (const unit of [daemon, instance]) {
    const report = run('systemd-analyze', 'security', '--offline=true', unit);
    const [, exposure] = /exposure level for \S+: ([\d.]+)/.exec(report) ?? [];
    context.diagnostic(`exposure ${exposure}`);
    assert.ok(Number(exposure) <= 1.5, report);
  }
});

test('the user and the folders are made', { skip }, (context) => {
  const root = makeFolder(context);
  mkdirSync(join(root, 'etc'));
  run('systemd-sysusers', `--root=${root}`, join(units, 'posthaste.sysusers'));
  assert.match(readFileSync(join(root, 'etc/passwd'), 'utf8'), /^posthaste:.*nologin$/m);
  run('systemd-tmpfiles', '--create', `--root=${root}`, join(units, 'posthaste.tmpfiles'));
  assert.equal(run('stat', '-c', '%a', join(root, 'etc/posthaste')).trim(), '750');
});

/** Calls that are refused there and done without: chown is root's, and libuv has other ways than io_uring. */
const doneWithout = new Set(['fchown', 'io_uring_setup', 'io_uring_enter', 'io_uring_register']);

test('the daemon makes no system call that its unit filters', { skip }, async (context) => {
  const serving = await openServing(context, 500);
  const counts = join(serving.folder.path, 'calls');
  const daemon = await serving.start({ under: ['strace', '-f', '-qq', '-c', '-o', counts] });
  await serving.ok(['submit', 'campaign.yaml', 'list.csv']);
  await serving.until(isFinished);
  spawnSync('pkill', ['-TERM', '-P', String(daemon.child.pid)]);
  assert.equal((await daemon.ended).code, 0);
  const made = [...readFileSync(counts, 'utf8').matchAll(/ ([a-z][a-z0-9_]+)$/gm)]
    .map(([, name = '']) => name)
    .filter((name) => name !== 'total' && name !== 'syscall');
  assert.ok(made.length > 40, made.join());
  const allowed = expandFilter();
  assert.deepEqual(
    made.filter((name) => !allowed.has(name) && !doneWithout.has(name)),
    [],
  );
});

/** The names that `SystemCallFilter=` of the unit leaves. */
function expandFilter(): Set<string> {
  const lines = readFileSync(join(units, 'posthaste.service'), 'utf8').matchAll(
    /^SystemCallFilter=(~?)(.*)$/gm,
  );
  const allowed = new Set<string>();
  for (const [, tilde, words = ''] of lines)
    for (const name of words.split(' ').flatMap((word) => expandSet(word))) {
      if (tilde === '~') allowed.delete(name);
      else allowed.add(name);
    }
  return allowed;
}

function expandSet(name: string): string[] {
  if (!name.startsWith('@')) return [name];
  const lines = run('systemd-analyze', 'syscall-filter', name).split('\n').slice(1);
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap((line) => expandSet(line));
}

/** What came at a notification socket, in order. */
async function listen(context: TestContext, path: string) {
  const program = spawn('python3', [join(import.meta.dirname, 'notify.py'), path], { stdio: 'pipe' });
  context.after(() => program.kill('SIGKILL'));
  const messages: Record<string, string>[] = [];
  const lines = createInterface({ input: program.stdout });
  const listening = new Promise<void>((done) => lines.once('line', () => done()));
  await listening;
  lines.on('line', (line) => messages.push(JSON.parse(line)));
  const until = async (
    isMeant: (message: Record<string, string>) => boolean,
  ): Promise<Record<string, string>> => {
    for (let tries = 0; tries < 1000; tries += 1) {
      const found = messages.find(isMeant);
      if (found !== undefined) return found;
      await new Promise((again) => setTimeout(again, 20));
    }
    return assert.fail(`not told: ${JSON.stringify(messages)}`);
  };
  return { messages, until };
}

test(
  'systemd is told that it is ready, how it is, that it lives, reloads and stops',
  { skip },
  async (context) => {
    const serving = await openServing(context, 200);
    const socket = join(serving.folder.path, 'notify');
    const { messages, until } = await listen(context, socket);
    const daemon = await serving.start({ env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '1000000' } });
    await until((message) => message['READY'] === '1');
    await until((message) => message['WATCHDOG'] === '1');
    daemon.child.kill('SIGHUP');
    const reloading = await until((message) => message['RELOADING'] === '1');
    assert.match(reloading['MONOTONIC_USEC'] ?? '', /^\d+$/);
    await until(
      (message) => message['READY'] === '1' && messages.indexOf(message) > messages.indexOf(reloading),
    );
    await until((message) => message['STATUS'] === 'idle');
    assert.equal((await serving.stop()).code, 0);
    await until((message) => message['STOPPING'] === '1');
  },
);

test('in the journal a line is text with a priority; elsewhere it is JSON', { skip }, async (context) => {
  const serving = await openServing(context, 1);
  const words = 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$0" "$@"';
  const daemon = serving.folder.start(['serve'], { under: ['sh', '-c', words] });
  await daemon.said(/<6>ready socket=\S+\n/);
  daemon.child.kill('SIGTERM');
  assert.equal((await daemon.ended).code, 0);
});
