// A list on its way to a daemon: its bytes as they are, from a file or standard input.
import { createReadStream } from 'node:fs';
import { openSource } from '../intake/source.ts';

export interface ListBytes {
  readonly body: AsyncIterable<Uint8Array>;
  /** For the daemon, which looks at the ending. */
  readonly fileName: string;
}

/** A file goes compressed as it is; what comes through a pipe is read as `send` reads it. Throws what opening a list throws. */
export async function openList(path: string, format: 'csv' | 'ndjson' | undefined): Promise<ListBytes> {
  const source = await openSource(path);
  const fileName = path === '-' ? `list.${format ?? 'csv'}` : path;
  if (source.isPipe) return { body: source, fileName };
  // Opened, so it is there.
  source.close();
  return { body: createReadStream(path), fileName };
}
