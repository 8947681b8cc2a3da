// Opening a list by its path: files, and pipes, which may be silent and which have no beginning before their writer comes.
import { close, closeSync, constants, createReadStream, fstatSync, open, openSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';

export interface Input {
  readonly kind: 'file' | 'pipe' | 'directory';
  readonly stream: Readable;
}

/** Opens what is at `path`. A pipe without a writer is waited for until `signal` is told. Rejects with the system's error, or its reason. */
export async function openInput(path: string, chunkBytes: number, signal?: AbortSignal): Promise<Input> {
  const fd = await openFor(path, signal);
  const status = fstatSync(fd);
  // A read of a pipe would hold a thread until its writer says something; a socket can be closed meanwhile.
  if (status.isFIFO()) return { kind: 'pipe', stream: new Socket({ fd, readable: true, writable: false }) };
  const stream = createReadStream('', { fd, highWaterMark: chunkBytes });
  if (status.isDirectory()) return { kind: 'directory', stream };
  return { kind: status.isFile() ? 'file' : 'pipe', stream };
}

async function openFor(path: string, signal: AbortSignal | undefined): Promise<number> {
  signal?.throwIfAborted();
  const rouse = (): void => beWriter(path);
  signal?.addEventListener('abort', rouse, { once: true });
  try {
    const fd = await new Promise<number>((resolve, reject) => {
      open(path, 'r', (error, opened) => {
        if (error === null) resolve(opened);
        else reject(error);
      });
    });
    if (signal?.aborted === true) close(fd);
    signal?.throwIfAborted();
    return fd;
  } finally {
    signal?.removeEventListener('abort', rouse);
  }
}

/** open(2) of a pipe waits for a writer, and nothing else ends it: so we are that writer, for a moment. */
function beWriter(path: string): void {
  try {
    if (statSync(path).isFIFO()) closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch {
    // Nobody waits there any more.
  }
}
