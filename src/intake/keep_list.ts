// A list that can be read more than once: a file as it is, what comes through a pipe from a copy without a name.
import { createHash } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { readUntil } from './read_until.ts';
import { chunkBytes, digestList, openSource, type ListSource } from './source.ts';

/** A list with its digest known before any of its rows is. */
export interface KeptList {
  /** SHA-256 of the decompressed bytes in hex. */
  readonly digest: string;
  /** Opens it from its beginning. */
  open(): Promise<ListSource>;
  /** Frees the copy, if there is one. */
  close(): Promise<void>;
}

/**
 * Reads a list to its end ("-" is standard input). What comes through a pipe is copied into `directory`, which must belong to
 * this process alone. Throws what `openSource` and reading throw, ERR_LIST_COPY (74), and the reason of `signal`.
 */
export async function keepList(
  path: string,
  directory: string,
  signal: AbortSignal,
  stdin?: Readable,
): Promise<KeptList> {
  const source = await openSource(path, stdin, signal);
  if (source.isPipe) return copyList(source, directory, signal);
  const digest = await digestList(source, signal);
  return { digest, open: () => openSource(path), close: () => Promise.resolve() };
}

async function copyList(source: ListSource, directory: string, signal: AbortSignal): Promise<KeptList> {
  const copy = await guard(directory, () => makeNamelessFile(join(directory, 'list.copy')));
  try {
    const hash = createHash('sha256');
    for await (const chunk of readUntil(source, signal)) {
      signal.throwIfAborted();
      hash.update(chunk);
      await guard(directory, () => copy.writeFile(chunk));
    }
    return {
      digest: hash.digest('hex'),
      open: () => Promise.resolve(openCopy(source.name, copy)),
      close: () => copy.close(),
    };
  } catch (error) {
    await copy.close();
    throw error;
  }
}

/** Its name goes at once, so that the system frees it however this process ends. */
async function makeNamelessFile(path: string): Promise<FileHandle> {
  await rm(path, { force: true });
  const file = await open(path, 'wx+', 0o600);
  await rm(path);
  return file;
}

/** The bytes are those that were decompressed, so nothing looks for another compression in them. */
function openCopy(name: string, copy: FileHandle): ListSource {
  const stream = copy.createReadStream({ start: 0, autoClose: false, highWaterMark: chunkBytes });
  return {
    name,
    isPipe: true,
    close: () => void stream.destroy(),
    [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
  };
}

async function guard<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new PosthasteError({
      code: 'ERR_LIST_COPY',
      message: `The list from the pipe cannot be copied into ${directory}: ${messageOf(cause)}.`,
      hint: 'Make room there, or give the list as a file, which needs no copy.',
      where: directory,
      exitCode: ExitCode.ioError,
      cause,
    });
  }
}
