// Reading a YAML file's bytes as text, or saying why not.
import { readFileSync } from 'node:fs';
import { messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { readPlainFile } from './plain_file.ts';
import type { Failure } from './problem.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  ENOTDIR: 'its folder does not exist',
  EISDIR: 'it is a directory',
  EACCES: 'reading it is not permitted',
  ELOOP: 'it is a link that cannot be followed',
};

/** Who names a file may mean a link or a pipe; of what strangers leave somewhere, only plain files are opened. */
export type Opens = 'anyFile' | 'plainFile';

/** Reads a file as UTF-8 without byte order mark. Throws with the given code and exit code; `title` is "the campaign". */
export function readTextFile(
  path: string,
  title: string,
  failure: Failure,
  opens: Opens = 'anyFile',
): string {
  const fail = (reason: string): PosthasteError =>
    new PosthasteError({ ...failure, message: `cannot read ${title} ${path}: ${reason}`, where: path });
  const bytes = readBytes(path, fail, opens);
  const text = decodeUtf8(bytes);
  if (text === undefined) throw fail('it is not UTF-8 text');
  return text;
}

/** Bytes as text without byte order mark; undefined where they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Why a file cannot be read: completes "cannot be read: …". */
export function whyUnreadable(error: unknown): string {
  const code = systemCodeOf(error) ?? '';
  return (
    (Object.hasOwn(reasons, code) ? reasons[code] : undefined) ?? (code === '' ? messageOf(error) : code)
  );
}

function readBytes(path: string, fail: (reason: string) => PosthasteError, opens: Opens): Uint8Array {
  try {
    return opens === 'plainFile' ? readPlainFile(path) : readFileSync(path);
  } catch (error) {
    throw fail(whyUnreadable(error));
  }
}
