// The files that a column names for one recipient: found below a root that they cannot leave, read, encoded.
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { basename, isAbsolute, relative, resolve, sep } from 'node:path';
import { systemCodeOf } from '../base/error.ts';
import type { RowAttachments } from '../mail/campaign.ts';
import type { Cell } from '../mail/recipient.ts';
import { encodeBase64 } from './base64.ts';
import { isBlank, printCell, RenderFailure } from './cell.ts';

export interface RowFile {
  /** The file's own name, without folders. */
  readonly name: string;
  /** Base64 in lines. */
  readonly encoded: string;
}

/** Of one recipient and column. */
const mostFiles = 50;

/** Characters of encoded files that a reader keeps for the next recipients who get the same ones. */
const keptCharacters = 4 * 1_048_576;

interface KeptFile {
  /** Device, file, size and time of change: another file by this name is read anew. */
  readonly stamp: string;
  readonly encoded: string;
}

/**
 * Reads files synchronously: a message is composed when a session asks for it and not before, so what would be read
 * ahead would have to be kept. A thread waits for one file of at most `mostBytes`; others go on sending. Belongs to
 * one composer.
 */
export class RowFileReader {
  readonly #kept = new Map<string, KeptFile>();
  #keptCharacters = 0;

  /** The files that a cell names. Throws RenderFailure, whose reason names the column and never a path of this machine. */
  read(from: RowAttachments, cell: Cell | undefined): RowFile[] {
    const names = namesIn(from, cell);
    if (names.length === 0 && !from.isOptional)
      throw new RenderFailure(`column "${from.column}" names no file to attach`);
    if (names.length > mostFiles)
      throw new RenderFailure(
        `column "${from.column}" names ${names.length} files; at most ${mostFiles} can be attached`,
      );
    return names.map((name) => this.#readOne(from, name));
  }

  #readOne(from: RowAttachments, name: string): RowFile {
    try {
      const path = locate(from.root, name);
      return { name: basename(name), encoded: this.#encode(path, from.mostBytes) };
    } catch (thrown) {
      throw new RenderFailure(`the file "${shown(name)}" of column "${from.column}" ${whyNot(thrown)}`);
    }
  }

  #encode(path: string, mostBytes: number): string {
    // Opening a device can already do something, so it is looked at first; and again, for it may have been replaced.
    if (!statSync(path).isFile()) throw new Refusal('is not a regular file');
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { dev, ino, size, mtimeMs, ctimeMs, ...stat } = fstatSync(file);
      if ((stat.mode & constants.S_IFMT) !== constants.S_IFREG) throw new Refusal('is not a regular file');
      if (size > mostBytes) throw new Refusal(`is larger than ${mostBytes} bytes`);
      const stamp = `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
      return this.#recall(path, stamp) ?? this.#keep(path, stamp, encodeBase64(readAll(file, size)));
    } finally {
      closeSync(file);
    }
  }

  #recall(path: string, stamp: string): string | undefined {
    const known = this.#kept.get(path);
    if (known === undefined) return undefined;
    this.#forget(path, known);
    if (known.stamp !== stamp) return undefined;
    // The order of a Map is that of insertion: what was used last goes last.
    return this.#keep(path, stamp, known.encoded);
  }

  #keep(path: string, stamp: string, encoded: string): string {
    if (encoded.length > keptCharacters / 4) return encoded;
    this.#kept.set(path, { stamp, encoded });
    this.#keptCharacters += encoded.length;
    for (const [oldest, file] of this.#kept) {
      if (this.#keptCharacters <= keptCharacters) break;
      this.#forget(oldest, file);
    }
    return encoded;
  }

  #forget(path: string, file: KeptFile): void {
    this.#kept.delete(path);
    this.#keptCharacters -= file.encoded.length;
  }
}

/** Why a file is not attached; completes 'the file "x" of column "y" …'. */
class Refusal extends Error {}

function namesIn({ column, separator }: RowAttachments, cell: Cell | undefined): string[] {
  if (isBlank(cell)) return [];
  const written: readonly Cell[] = Array.isArray(cell) ? cell : printCell(cell, column).split(separator);
  return written.flatMap((one) => {
    if (typeof one !== 'string')
      throw new RenderFailure(`column "${column}" holds something else than names of files`);
    return one.trim() === '' ? [] : [one.trim()];
  });
}

/** The real path of a file below the root. Symbolic links count as where they lead. */
function locate(root: string, name: string): string {
  if (name.includes('\0')) throw new Refusal('has no name that a file can have');
  if (isAbsolute(name)) throw new Refusal('is not relative to the folder of the attachments');
  const written = resolve(root, name);
  // Told apart before the disk is asked, so that nobody learns of files elsewhere.
  if (!isWithin(root, written)) throw new Refusal('leads out of the folder of the attachments');
  const real = realpathSync(written);
  if (!isWithin(root, real)) throw new Refusal('leads out of the folder of the attachments');
  return real;
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function readAll(file: number, size: number): Buffer {
  const content = Buffer.allocUnsafeSlow(size);
  let length = 0;
  while (length < size) {
    const count = readSync(file, content, length, size - length, length);
    if (count === 0) throw new Refusal('changed while it was read');
    length += count;
  }
  return content;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'cannot be read: it is not permitted',
  ENAMETOOLONG: 'has a name that is too long',
  ELOOP: 'is a symbolic link that leads nowhere',
};

function whyNot(thrown: unknown): string {
  if (thrown instanceof Refusal) return thrown.message;
  const code = systemCodeOf(thrown);
  if (code === undefined) throw thrown;
  return reasons[code] ?? `cannot be read: ${code}`;
}

function shown(name: string): string {
  return name.replace(/\p{Cc}/gu, '?').slice(0, 200);
}
