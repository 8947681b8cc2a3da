// A disk that can be full: a tmpfs of a few kilobytes, and more when it is given more.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export interface SmallDisk {
  readonly path: string;
  readonly resize: (kilobytes: number) => void;
}

/** A file system of so many kilobytes, gone when the test ends; undefined where there can be none. */
export function mountSmall(context: TestContext, kilobytes: number): SmallDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), 'posthaste-test-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', path], { stdio: 'pipe' });
  } catch {
    rmdirSync(path);
    return undefined;
  }
  context.after(() => {
    execFileSync('umount', ['-l', path]);
    rmdirSync(path);
  });
  const resize = (size: number): void =>
    void execFileSync('mount', ['-o', `remount,size=${size}k`, path], { stdio: 'pipe' });
  return { path, resize };
}
