// The results file: the list given back, with what happened to each row.
import { open, rename, rm, stat } from 'node:fs/promises';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { formatResults, type ResultsFormat, type ResultsSource } from '../daemon/results_text.ts';

/**
 * Writes results as CSV, or as NDJSON where the name ends in .ndjson or .jsonl. The file appears when it is whole; `-` is
 * standard output.
 */
export function writeResults(path: string, source: ResultsSource): Promise<void> {
  return writePieces(path, formatResults(formatOf(path), source));
}

/** By the name's ending. */
export function formatOf(path: string): ResultsFormat {
  return /\.(ndjson|jsonl)$/i.test(path) ? 'ndjson' : 'csv';
}

/** Writes results that are text already. */
export async function writePieces(path: string, pieces: AsyncIterable<string>): Promise<void> {
  try {
    const target = await openTarget(path);
    try {
      for await (const text of pieces) await target.write(text);
    } catch (error) {
      await target.abandon();
      throw error;
    }
    await target.finish();
  } catch (error) {
    if (error instanceof PosthasteError) throw error;
    throw new PosthasteError({
      code: 'ERR_RESULTS_WRITE',
      message: `cannot write the results to ${path}: ${messageOf(error)}`,
      hint: 'the campaign itself is safe; run the same command again with another --results FILE',
      exitCode: ExitCode.ioError,
      cause: error,
    });
  }
}

interface Target {
  write(text: string): Promise<void>;
  /** Everything is written. */
  finish(): Promise<void>;
  /** What is written is of no use. */
  abandon(): Promise<void>;
}

async function openTarget(path: string): Promise<Target> {
  if (path === '-') return { write: writeToStdout, finish: nothing, abandon: nothing };
  const found = await stat(path).catch(() => undefined);
  // A device or a pipe takes the text itself: a rename would put a file in the place of /dev/null.
  const isFile = found === undefined || found.isFile();
  const partial = isFile ? `${path}.partial` : path;
  const file = await open(partial, 'w', 0o600);
  return {
    write: (text) => file.writeFile(text),
    finish: async () => {
      await file.close();
      if (isFile) await rename(partial, path);
    },
    abandon: async () => {
      await file.close();
      if (isFile) await rm(partial, { force: true });
    },
  };
}

const nothing = (): Promise<void> => Promise.resolve();

function writeToStdout(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error instanceof Error) reject(error);
      else resolve();
    });
  });
}
