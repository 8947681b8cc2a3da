// Reading what is copied into the store: what is wrong with it is its own fault, and not the disk's.
import { createReadStream, readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ExitCode, PosthasteError, systemCodeOf } from '../base/error.ts';
import { openPlainFile } from '../config/plain_file.ts';
import { whyUnreadable } from '../config/text_file.ts';

const chunkBytes = 1_048_576;

/** The bytes of a regular file. Throws ERR_FILE_READ (66). */
export async function* readCopied(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const fd = openPlainFile(path);
    yield* createReadStream('', { fd, highWaterMark: chunkBytes });
  } catch (error) {
    throw explain(path, error);
  }
}

/** The names in a folder. Throws ERR_FILE_READ (66). */
export function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw explain(folder, error);
  }
}

/** Paths of the regular files in a folder and below; links are neither listed nor followed. Throws ERR_FILE_READ (66). */
export async function listFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  } catch (error) {
    throw explain(folder, error);
  }
}

/** What this process is short of is no fault of the file's: 75 then. */
function explain(path: string, cause: unknown): PosthasteError {
  const isShort = ['EMFILE', 'ENFILE', 'ENOMEM'].includes(systemCodeOf(cause) ?? '');
  return new PosthasteError({
    code: 'ERR_FILE_READ',
    message: `cannot read ${path}: ${whyUnreadable(cause)}`,
    hint: 'Put the file itself there, and let the daemon read it; links and pipes are not opened.',
    where: path,
    exitCode: isShort ? ExitCode.tempFail : ExitCode.noInput,
    cause,
  });
}
