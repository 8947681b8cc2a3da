// The inbox of a daemon under test: what is dropped there, and what becomes of it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Serving } from './serving.ts';

/** Nothing waits to settle. */
export const inboxConfig = 'inbox: { directory: inbox, settle: 0s }\n';

export function inboxOf(serving: Serving): string {
  return join(serving.folder.path, 'inbox');
}

/** As one should: made elsewhere on the same file system, and renamed. `finish` gets the folder before that. */
export function dropFolder(
  serving: Serving,
  name: string,
  files: Readonly<Record<string, string>>,
  finish: (staging: string) => void = () => {},
): void {
  const staging = join(serving.folder.path, `staging-${name}`);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(staging, file, '..'), { recursive: true });
    writeFileSync(join(staging, file), content);
  }
  finish(staging);
  renameSync(staging, join(inboxOf(serving), name));
}

export async function untilGone(serving: Serving, ...names: readonly string[]): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (!names.some((name) => existsSync(join(inboxOf(serving), name)))) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`still in the inbox: ${readdirSync(inboxOf(serving)).join(', ')}`);
}

export function namesIn(serving: Serving, folder: 'done' | 'rejected'): string[] {
  return readdirSync(join(inboxOf(serving), folder)).sort();
}

/** What a rejected entry's reason says. */
export function reasonOf(serving: Serving, entry: string): string {
  const name = namesIn(serving, 'rejected').find(
    (one) => one.startsWith(`${entry}.`) && one.endsWith('.reason.txt'),
  );
  assert.ok(name !== undefined, `no reason beside ${entry}: ${namesIn(serving, 'rejected').join(', ')}`);
  return readFileSync(join(inboxOf(serving), 'rejected', name), 'utf8');
}

export function makePipe(path: string): void {
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
}
