// For tests: files in a folder of their own, and the problems that loading them tells.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { PosthasteError } from '../../src/base/error.ts';

/** Writes files into a new folder that goes with the test; returns the folder's path. */
export function makeFolder(test: TestContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-config-'));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

/** The error that a function throws; fails where it is none of ours. */
export function errorOf(run: () => unknown): PosthasteError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof PosthasteError, `not our own error: ${String(error)}`);
    return error;
  }
  return assert.fail('nothing was thrown');
}

/** The lines of an error's message, without the folder's path. */
export function linesOf(error: PosthasteError, folder: string): string[] {
  return error.message.replaceAll(`${folder}/`, '').split('\n');
}
