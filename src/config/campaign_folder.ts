// The files of a campaign: read from its folder and from nowhere else.
import { realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { systemCodeOf } from '../base/error.ts';
import { readPlainFile } from './plain_file.ts';
import { whyUnreadable } from './text_file.ts';

/** A file's bytes, or a predicate that says why there are none. */
export type ReadFile =
  | { kind: 'read'; bytes: Uint8Array; shownPath: string }
  | { kind: 'problem'; what: string; isMissing: boolean };

/**
 * Reads a regular file of at most `mostBytes` bytes. Symbolic links count as where they lead: a campaign that
 * somebody hands to the daemon must not be able to attach /etc/shadow.
 */
export function readFromFolder(campaignPath: string, path: string, mostBytes: number): ReadFile {
  const folder = dirname(campaignPath);
  try {
    const real = realpathSync(resolve(folder, path));
    if (!isWithin(realpathSync(folder), real)) return problem("leads out of the campaign's folder");
    const stat = statSync(real);
    if (!stat.isFile()) return problem('is not a regular file');
    if (stat.size > mostBytes) return problem(`is larger than ${mostBytes / 1_048_576} MiB`);
    return { kind: 'read', bytes: readPlainFile(real), shownPath: join(folder, path) };
  } catch (error) {
    const isMissing = systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR';
    return { kind: 'problem', what: `cannot be read: ${whyUnreadable(error)}`, isMissing };
  }
}

/** The real path of a folder inside of the campaign's, or a predicate that says why there is none. */
export function findFolder(
  campaignPath: string,
  path: string,
): { kind: 'found'; path: string } | Extract<ReadFile, { kind: 'problem' }> {
  const folder = dirname(campaignPath);
  try {
    const real = realpathSync(resolve(folder, path));
    if (!isWithin(realpathSync(folder), real)) return problem("is not inside of the campaign's folder");
    return statSync(real).isDirectory() ? { kind: 'found', path: real } : problem('is not a folder');
  } catch (error) {
    const isMissing = systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR';
    return { kind: 'problem', what: `cannot be used: ${whyUnreadable(error)}`, isMissing };
  }
}

/** The absolute path of a file that is read later; undefined where it would be outside of the campaign's folder. */
export function resolveInFolder(campaignPath: string, path: string): string | undefined {
  const folder = resolve(dirname(campaignPath));
  const whole = resolve(folder, path);
  if (!isWithin(folder, whole)) return undefined;
  try {
    return isWithin(realpathSync(folder), realpathSync(whole)) ? whole : undefined;
  } catch {
    // It is not there yet; who reads it will say so.
    return whole;
  }
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function problem(what: string): Extract<ReadFile, { kind: 'problem' }> {
  return { kind: 'problem', what, isMissing: false };
}
