// Reading the event log, from an id on and then as it grows.
import { open, type FileHandle } from 'node:fs/promises';
import { systemCodeOf } from '../base/error.ts';
import { idOf, listLogFiles } from './log_files.ts';

/** A line of the log. */
export interface LoggedEvent {
  readonly id: number;
  readonly at: string;
  readonly kind: string;
}

const chunkBytes = 65_536;

/** A place in the log: a file, and how much of it was read. */
interface Place {
  readonly path: string;
  readonly firstId: number;
  offset: number;
}

/** Ends with `signal`. `changed` resolves when there may be more. */
export async function* readLog(
  directory: string,
  since: number,
  changed: () => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<LoggedEvent, void, undefined> {
  let place = findPlace(directory, since);
  if (place !== undefined && place.firstId > since + 1) yield goneBefore(place.firstId);
  while (!signal.aborted) {
    // Asked for before it is read: what is written meanwhile is not missed.
    const more = changed();
    place ??= findPlace(directory, since);
    while (place !== undefined) {
      for await (const line of readLines(place, signal)) {
        const id = idOf(line);
        const event = id === undefined || id <= since ? undefined : parse(line);
        if (event !== undefined) yield event;
      }
      const next = nextPlace(directory, place);
      if (next === undefined) break;
      place = next;
    }
    await more;
  }
}

/** The file that `since` is in, or the oldest. */
function findPlace(directory: string, since: number): Place | undefined {
  const files = listLogFiles(directory);
  const file = files.findLast(({ firstId }) => firstId <= since + 1) ?? files[0];
  return file === undefined ? undefined : { ...file, offset: 0 };
}

/** Where a file was followed by another, nothing is added to it any more. */
function nextPlace(directory: string, { firstId }: Place): Place | undefined {
  const next = listLogFiles(directory).find((file) => file.firstId > firstId);
  return next === undefined ? undefined : { ...next, offset: 0 };
}

function goneBefore(id: number): LoggedEvent {
  return { id: id - 1, at: new Date(0).toISOString(), kind: 'eventsGone' };
}

/** Whole lines from a place on, which moves behind them. A file that was rotated away meanwhile has none. */
async function* readLines(place: Place, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
  const file = await openIfThere(place.path);
  if (file === undefined) return;
  try {
    let chunk = Buffer.alloc(chunkBytes);
    while (!signal.aborted) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, place.offset);
      const end = chunk.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
      if (end > 0) {
        place.offset += end;
        yield* chunk.toString('utf8', 0, end - 1).split('\n');
      } else if (bytesRead === chunk.length) {
        chunk = Buffer.alloc(chunk.length * 2);
      } else return;
    }
  } finally {
    await file.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Our own writing; a line that is damaged says nothing. */
function parse(line: string): LoggedEvent | undefined {
  try {
    const event: LoggedEvent = JSON.parse(line);
    return event;
  } catch {
    return undefined;
  }
}
