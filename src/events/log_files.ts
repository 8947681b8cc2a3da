// The files of the event log: their names, their order, and what a file that is there ends with.
import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** Named by the first id in it, so that names sort as events come. */
export interface LogFile {
  readonly path: string;
  readonly firstId: number;
}

const pattern = /^events-(\d{15})\.ndjson$/;

export function nameLogFile(firstId: number): string {
  return `events-${String(firstId).padStart(15, '0')}.ndjson`;
}

/** Oldest first. Other files are none of ours. */
export function listLogFiles(directory: string): LogFile[] {
  return readdirSync(directory)
    .sort()
    .flatMap((name) => {
      const [, digits] = pattern.exec(name) ?? [];
      return digits === undefined ? [] : [{ path: join(directory, name), firstId: Number(digits) }];
    });
}

/** Longer than any line: a reply has at most 64 KiB. */
const tailBytes = 1_048_576;

/**
 * The id of a file's last whole line, and the file's size. What a killed process has left of a line is cut off; lines that
 * say nothing are passed over. `lastId` is one below the file's first where there is no line.
 */
export function mendTail({ path, firstId }: LogFile): {
  readonly lastId: number;
  readonly sizeBytes: number;
} {
  const file = openSync(path, 'r+');
  try {
    const { size } = fstatSync(file);
    const from = Math.max(0, size - tailBytes);
    const tail = Buffer.alloc(size - from);
    const read = readSync(file, tail, 0, tail.length, from);
    const wholeBytes = tail.subarray(0, read).lastIndexOf(0x0a) + 1;
    if (from + wholeBytes < size) ftruncateSync(file, from + wholeBytes);
    const lines = tail.toString('utf8', 0, wholeBytes).trimEnd().split('\n');
    const lastId = lines.reduce((last, line) => Math.max(last, idOf(line) ?? 0), firstId - 1);
    return { lastId, sizeBytes: from + wholeBytes };
  } finally {
    closeSync(file);
  }
}

/** The id of a line, without parsing all of it: it stands first. */
export function idOf(line: string): number | undefined {
  const [, digits] = /^\{"id":(\d{1,15})[,}]/.exec(line) ?? [];
  return digits === undefined ? undefined : Number(digits);
}
