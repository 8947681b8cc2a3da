// What a test needs of its machine: without it the test is skipped at home, and fails in CI.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian keeps servers where the PATH of a plain user does not look. */
const systemFolders = ['/usr/sbin', '/sbin'];

/**
 * For `test(name, { skip })`: false where the program is installed, else the reason for skipping. Throws instead of
 * giving a reason where CI is set, for a skipped test looks like a passed one.
 */
export function skipUnlessInstalled(program: string): string | false {
  return isInstalled(program) ? false : giveReason(`${program} is not installed`);
}

/** As `skipUnlessInstalled`: false for root. */
export function skipUnlessRoot(): string | false {
  return process.getuid?.() === 0 ? false : giveReason('only root may run it');
}

function giveReason(reason: string): string {
  const ci = process.env['CI'] ?? '';
  if (ci !== '' && ci !== 'false') throw new Error(`CI is set, and ${reason}; .ci/run prepares the machine`);
  return reason;
}

function isInstalled(program: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...systemFolders];
  return folders.some((folder) => folder !== '' && isExecutable(join(folder, program)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
