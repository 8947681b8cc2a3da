// Where the bytes of a list come from: a file, a pipe or standard input, plain or compressed.
import { createHash } from 'node:crypto';
import { pipeline, type Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { openInput, type Input } from './open_input.ts';
import { readUntil, type Bytes } from './read_until.ts';

/** Chunks are at most this long, so that no one chunk keeps the event loop for long. */
export const chunkBytes = 65_536;

/** The decompressed bytes of a list, to be read once. */
export interface ListSource extends AsyncIterable<Uint8Array> {
  /** The path, or "standard input", for messages. */
  readonly name: string;
  /** Whether a program writes it: it comes once, and where it ends that program may have died. */
  readonly isPipe: boolean;
  /** Ends a source that is not read, or not to its end. A source read to its end, or left by `break`, has ended. */
  close(): void;
}

/**
 * Opens a list; "-" is standard input. What is compressed shows in its first bytes, not in its name (gzip, zstd).
 * A named pipe waits for its writer, until `signal` is told: then its reason is thrown.
 * @throws PosthasteError ERR_LIST_NOT_FOUND or ERR_LIST_UNREADABLE (exit 66). Reading it may throw ERR_LIST_UNREADABLE
 * (66), ERR_LIST_CORRUPT for bad or truncated compressed data (65) and ERR_LIST_FORMAT for archives (65).
 */
export async function openSource(
  path: string,
  stdin: Readable = process.stdin,
  signal?: AbortSignal,
): Promise<ListSource> {
  if (path === '-') return makeSource('standard input', stdin, true);
  const { kind, stream } = await openPath(path, signal);
  if (kind !== 'directory') return makeSource(path, stream, kind === 'pipe');
  stream.destroy();
  throw new PosthasteError({
    code: 'ERR_LIST_UNREADABLE',
    message: `The list ${path} is a directory; a file was expected.`,
    hint: 'Name the list itself, or "-" for standard input.',
    where: path,
    exitCode: ExitCode.noInput,
  });
}

async function openPath(path: string, signal: AbortSignal | undefined): Promise<Input> {
  try {
    return await openInput(path, chunkBytes, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    throw openError(path, cause);
  }
}

/** The SHA-256 of a list's decompressed bytes in hex: the `digest` that taking the list in reports. */
export async function digestList(source: Bytes, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of readUntil(source, signal)) {
    signal?.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest('hex');
}

function makeSource(name: string, input: Readable, isPipe: boolean): ListSource {
  return {
    name,
    isPipe,
    close: () => void input.destroy(),
    [Symbol.asyncIterator]: () => readSource(name, input),
  };
}

async function* readSource(name: string, input: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = input[Symbol.asyncIterator]();
  try {
    const head = await readHead(chunks);
    const unpack = chooseDecompressor(head, name);
    const plain = replay(head, chunks);
    yield* unpack === undefined ? plain : decompress(plain, unpack);
  } catch (thrown) {
    throw thrown instanceof PosthasteError ? thrown : readError(name, thrown);
  } finally {
    input.destroy();
  }
}

/** The first four bytes or more; less where the list has less. */
async function readHead(chunks: AsyncIterator<unknown>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  while (head.length < 4) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = Buffer.concat([head, toBytes(next.value)]);
  }
  return head;
}

async function* replay(
  head: Uint8Array,
  chunks: AsyncIterator<unknown>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (head.length > 0) yield head;
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) return;
    yield toBytes(next.value);
  }
}

function toBytes(chunk: unknown): Uint8Array {
  return chunk instanceof Uint8Array ? chunk : Buffer.from(String(chunk));
}

/** By magic bytes: RFC 1952 §2.3.1, RFC 8878 §3.1.1. Archives of files are no lists. */
function chooseDecompressor(head: Buffer, name: string): Transform | undefined {
  const magic = head.toString('hex', 0, 4);
  if (magic.startsWith('1f8b')) return createGunzip({ chunkSize: chunkBytes });
  if (magic === '28b52ffd') return createZstdDecompress({ chunkSize: chunkBytes });
  if (magic !== '504b0304') return undefined;
  throw new PosthasteError({
    code: 'ERR_LIST_FORMAT',
    message: `The list ${name} is a zip archive or a spreadsheet (.xlsx); CSV or NDJSON was expected.`,
    hint: 'Save the sheet as CSV (UTF-8), or unzip the archive.',
    where: name,
    exitCode: ExitCode.dataError,
  });
}

async function* decompress(
  packed: AsyncIterable<Uint8Array>,
  unpack: Transform,
): AsyncGenerator<Uint8Array, void, undefined> {
  // Any error destroys `unpack` with it, and so reaches the loop below.
  pipeline(packed, unpack, () => undefined);
  for await (const chunk of unpack) yield toBytes(chunk);
}

function openError(path: string, cause: unknown): PosthasteError {
  const isMissing = systemCodeOf(cause) === 'ENOENT';
  return new PosthasteError({
    code: isMissing ? 'ERR_LIST_NOT_FOUND' : 'ERR_LIST_UNREADABLE',
    message: isMissing
      ? `The list ${path} does not exist.`
      : `The list ${path} cannot be opened: ${messageOf(cause)}.`,
    hint: isMissing
      ? 'Check the path; it is taken relative to the working directory.'
      : 'Check that its permissions let this user read it.',
    where: path,
    exitCode: ExitCode.noInput,
    cause,
  });
}

function readError(name: string, cause: unknown): PosthasteError {
  const isCorrupt = /^(Z_|ZSTD_)/.test(systemCodeOf(cause) ?? '');
  return new PosthasteError({
    code: isCorrupt ? 'ERR_LIST_CORRUPT' : 'ERR_LIST_UNREADABLE',
    message: `The ${isCorrupt ? 'compressed ' : ''}list ${name} cannot be read to its end: ${messageOf(cause)}.`,
    hint: isCorrupt
      ? 'The file is damaged or cut short; transfer it again.'
      : 'Check the disk or the program that writes the list.',
    where: name,
    exitCode: isCorrupt ? ExitCode.dataError : ExitCode.noInput,
    cause,
  });
}
