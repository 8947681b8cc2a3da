// Which programs a test needs: without them it is skipped at home, and fails in CI.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian keeps servers where the PATH of a plain user does not look. */
const systemFolders = ['/usr/sbin', '/sbin'];

/**
 * For `test(name, { skip })`: false where the program is installed, else the reason for skipping. Throws instead of
 * giving a reason where CI is set, for a skipped test looks like a passed one.
 */
export function skipUnlessInstalled(program: string): string | false {
  if (isInstalled(program)) return false;
  if (isSet(process.env['CI'])) throw new Error(`CI is set, and ${program} is not installed: .ci/run installs it`);
  return `${program} is not installed`;
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== 'false';
}

function isInstalled(program: string): boolean {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...path, ...systemFolders].some((folder) => isExecutable(join(folder, program)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
