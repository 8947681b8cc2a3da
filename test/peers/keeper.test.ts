// A server goes with its test, and so do its files: where the test stops it, and where the test is killed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { keepServer } from './keeper.ts';
import { waitUntil } from './waiting.ts';

/** A server of two processes that would run for a minute, and says so. */
const server = { start: `sh -c 'echo $$ >"$1/pid"; sleep 60 & sleep 60' server "$1"` };

test('what is kept ends and its folder goes when it is stopped', { timeout: 20_000 }, async () => {
  const folder = makeFolder();
  const stop = keepServer(folder, server);
  const pid = await readPid(folder);
  await stop();
  assert.equal(existsSync(folder), false);
  assert.equal(isRunning(pid), false);
});

test(
  'what is kept ends and its folder goes when the one who keeps it is killed',
  { timeout: 20_000 },
  async () => {
    const folder = makeFolder();
    const [path, args] = [JSON.stringify(join(import.meta.dirname, 'keeper.ts')), JSON.stringify(server)];
    const script = `import { keepServer } from ${path}; keepServer(${JSON.stringify(folder)}, ${args});`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' });
    const pid = await readPid(folder);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await waitUntil(
      () => !existsSync(folder),
      10_000,
      () => `${folder} is gone`,
    );
    assert.equal(isRunning(pid), false);
  },
);

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-keeper-'));
  mkdirSync(join(folder, 'log'));
  return folder;
}

async function readPid(folder: string): Promise<number> {
  const file = join(folder, 'pid');
  const isWritten = (): boolean => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n');
  await waitUntil(isWritten, 10_000, () => `${file} is written`);
  return Number(readFileSync(file, 'utf8'));
}

/** What has ended and was not asked for by its parent counts as ended. */
function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
