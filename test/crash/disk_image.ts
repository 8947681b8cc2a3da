// A file system in a file, and what of it had been written at an instant: what a power cut leaves.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemPath } from '../peers/required.ts';

const imageBytes = 24 * 1_048_576;

/** An ext4 in a file, mounted, gone when the test ends. */
export interface DiskImage {
  /** Where it is mounted. */
  readonly path: string;
  /**
   * The file's bytes, as the file system had written them. What is in the page cache of the mounted file system alone is not in them,
   * and that is what a power cut loses. (A disk may also lose what it was given and not told to flush; this one does not.) It is read
   * until two readings are alike: then nobody wrote meanwhile, and it is what one instant left.
   */
  readonly snapshot: () => Buffer;
}

/** Undefined where this machine lets nobody mount. */
export function mountImage(context: TestContext): DiskImage | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-test-'));
  const file = join(folder, 'disk.img');
  writeFileSync(file, '');
  truncateSync(file, imageBytes);
  const path = run('mkfs.ext4', ['-q', '-F', file]) ? mountIn(context, folder) : undefined;
  if (path === undefined) rmSync(folder, { recursive: true });
  return path === undefined ? undefined : { path, snapshot: () => readAtRest(file) };
}

/** Mounts what a snapshot holds: the file system goes through its own journal first, as after a power cut. */
export function mountSnapshot(context: TestContext, bytes: Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-test-'));
  writeFileSync(join(folder, 'disk.img'), bytes);
  const path = mountIn(context, folder);
  if (path === undefined) throw new Error('the snapshot cannot be mounted');
  return path;
}

/** Mounts disk.img of a folder within it; both go when the test ends. */
function mountIn(context: TestContext, folder: string): string | undefined {
  const path = join(folder, 'mounted');
  mkdirSync(path);
  if (!run('mount', ['-o', 'loop', join(folder, 'disk.img'), path])) return undefined;
  context.after(() => {
    run('umount', ['-l', path]);
    rmSync(folder, { recursive: true });
  });
  return path;
}

function run(program: string, words: readonly string[]): boolean {
  return spawnSync(program, words, { env: systemPath(), stdio: 'ignore' }).status === 0;
}

function readAtRest(file: string): Buffer {
  for (let last = readFileSync(file); ;) {
    const again = readFileSync(file);
    if (again.equals(last)) return again;
    last = again;
  }
}
