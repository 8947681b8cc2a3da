// What a test needs of its machine: without it the test is skipped at home, and fails in CI.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian keeps servers where the PATH of a plain user does not look. */
const systemFolders = ['/usr/sbin', '/sbin'];
/** Where .ci/run unpacks the servers that cannot be installed beside Postfix. */
const unpackedFolders = ['/var/cache/posthaste-peers/usr/sbin'];

/**
 * For `test(name, { skip })`: false where the program is installed, else the reason for skipping. Throws instead of
 * giving a reason where CI is set, for a skipped test looks like a passed one.
 */
export function skipUnlessInstalled(program: string): string | false {
  return findProgram(program) === undefined ? giveReason(`${program} is not installed`) : false;
}

/** As `skipUnlessInstalled`, for a server: it needs root, and these programs. */
export function skipUnlessReady(programs: readonly string[]): string | false {
  const missing = programs.map((program) => skipUnlessInstalled(program)).find((reason) => reason !== false);
  if (missing !== undefined) return missing;
  return process.getuid?.() === 0 ? false : giveReason('only root may run it');
}

function giveReason(reason: string): string {
  const ci = process.env['CI'] ?? '';
  if (ci !== '' && ci !== 'false') throw new Error(`CI is set, and ${reason}; .ci/run prepares the machine`);
  return reason;
}

/** Its path; undefined where it is not installed. */
export function findProgram(program: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...systemFolders, ...unpackedFolders];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, program))
    .find((path) => isExecutable(path));
}

/** The environment of a program that is looked for where Debian keeps servers. */
export function systemPath(): NodeJS.ProcessEnv {
  return { PATH: [...systemFolders, process.env['PATH'] ?? '/usr/bin:/bin'].join(delimiter) };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
