// Opening a regular file and nothing else: links are not followed, pipes are not waited for.
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type Stats } from 'node:fs';

/** Returns its descriptor. Throws the system's error, or one that says what is there instead. */
export function openPlainFile(path: string): number {
  // Opening is more than looking: the writer of a pipe would go on, a device would begin.
  checkPlain(lstatSync(path));
  // Something else may have come there since.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    checkPlain(fstatSync(fd));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The bytes of a regular file; throws as `openPlainFile` does. */
export function readPlainFile(path: string): Uint8Array {
  const fd = openPlainFile(path);
  try {
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function checkPlain(stats: Stats): void {
  if (stats.isFile()) return;
  if (stats.isSymbolicLink()) throw new Error('it is a link');
  if (stats.isFIFO()) throw new Error('it is a pipe');
  if (stats.isDirectory()) throw new Error('it is a directory');
  throw new Error('it is no regular file');
}
