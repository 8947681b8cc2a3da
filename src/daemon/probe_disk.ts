// Whether a disk takes what is written to it, by writing something.
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';

/** As much as a batch and its journal come to, several times over. */
const probeBytes = 1_048_576;

/** Throws ERR_STATE_FULL or ERR_STATE_IO (74) where the state directory does not take it. */
export function probeDisk(stateDir: string): void {
  const path = join(stateDir, 'probe.part');
  try {
    const file = openSync(path, 'w', 0o600);
    try {
      for (let left = probeBytes; left > 0;) left -= writeSync(file, Buffer.alloc(left, 1));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw explain(error);
  } finally {
    rmSync(path, { force: true });
  }
}

function explain(error: unknown): PosthasteError {
  const code = systemCodeOf(error);
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return new PosthasteError({
    code: isFull ? 'ERR_STATE_FULL' : 'ERR_STATE_IO',
    message: `the state directory cannot be written: ${messageOf(error)}`,
    hint: isFull ? 'Free some space; sending goes on by itself.' : "Check the disk and the kernel's log.",
    exitCode: ExitCode.ioError,
    cause: error,
  });
}
