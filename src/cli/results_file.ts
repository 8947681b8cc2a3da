// The results file: the list given back, with what happened to each row.
import { open, rename, rm, stat } from 'node:fs/promises';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import type { ResultRow } from '../ledger/ledger.ts';
import { fates } from '../mail/outcome.ts';
import { messageIdOf, messageIdPrefix } from '../mail/message_id.ts';
import type { Cell } from '../mail/recipient.ts';

export interface ResultsSource {
  readonly campaign: string;
  /** The domain of the from address, for Message-IDs; without it they have no column. */
  readonly fromDomain?: string | undefined;
  readonly columns: readonly string[];
  /** The name of a row's variant, where the campaign has variants: they get a column. */
  readonly variantOf?: ((row: number) => string) | undefined;
  readonly pages: AsyncIterable<readonly ResultRow[]>;
  /** All where it is absent. */
  readonly only?: ReadonlySet<ResultState> | undefined;
}

/** What a row may be in: a fate, or not there yet. */
export const resultStates = [...fates, 'deferred', 'pending'] as const;

export type ResultState = (typeof resultStates)[number];

/** Rows are gathered to about this much text for each write. */
const writeChars = 65_536;

const ourColumns = [
  'status',
  'reply_code',
  'enhanced_status',
  'reply',
  'classification',
  'relay',
  'attempts',
  'message_id',
  'finished_at',
  'variant',
] as const;

/**
 * Writes results as CSV, or as NDJSON where the name ends in .ndjson or .jsonl. The file appears when it is whole; `-` is
 * standard output.
 */
export async function writeResults(path: string, source: ResultsSource): Promise<void> {
  const ndjson = /\.(ndjson|jsonl)$/i.test(path);
  // A list's own column with one of our names is not overwritten.
  const { variantOf, fromDomain } = source;
  const unknown = new Set<string>([
    ...(variantOf === undefined ? ['variant'] : []),
    ...(fromDomain === undefined ? ['message_id'] : []),
  ]);
  const ours = ourColumns.filter((name) => !unknown.has(name));
  const columns = source.columns.map((name) => (ours.some((one) => one === name) ? `list_${name}` : name));
  try {
    const target = await openTarget(path);
    try {
      const prefix = messageIdPrefix(source.campaign);
      let text = ndjson ? '' : `${[...columns, ...ours].map(quote).join(',')}\r\n`;
      for await (const page of source.pages) {
        for (const row of page) {
          if (source.only?.has(stateOf(row)) === false) continue;
          const values = resultValues(
            row,
            fromDomain === undefined ? undefined : messageIdOf(prefix, row.row, fromDomain),
            variantOf?.(row.row),
          );
          text += ndjson
            ? ndjsonLine(columns, row.cells, values)
            : csvLine(columns.length, row.cells, values, ours);
        }
        if (text.length < writeChars) continue;
        await target.write(text);
        text = '';
      }
      await target.write(text);
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

type OurColumn = (typeof ourColumns)[number];
type ResultValues = Record<Exclude<OurColumn, 'variant' | 'message_id'>, string | number> & {
  variant: string | undefined;
  message_id: string | undefined;
};

function stateOf({ delivery, lastDeferral }: ResultRow): ResultState {
  return delivery?.fate ?? (lastDeferral === undefined ? 'pending' : 'deferred');
}

function resultValues(
  row: ResultRow,
  messageId: string | undefined,
  variant: string | undefined,
): ResultValues {
  const { delivery, lastDeferral } = row;
  const record = delivery ?? lastDeferral;
  const tried = record !== undefined && record.relay !== '';
  return {
    status: stateOf(row),
    reply_code: record === undefined || record.replyCode === 0 ? '' : record.replyCode,
    enhanced_status: record?.enhancedStatus ?? '',
    reply: record?.reply ?? '',
    classification: record?.classification ?? '',
    relay: record?.relay ?? '',
    attempts: delivery?.attempts ?? lastDeferral?.attempt ?? 0,
    // JSON leaves out what is undefined.
    message_id: messageId === undefined ? undefined : tried ? `<${messageId}>` : '',
    finished_at: delivery === undefined ? '' : formatInstant(delivery.finishedAt),
    variant,
  };
}

let lastInstant = { at: Number.NaN, text: '' };

/** ISO 8601, in ms. Neighbours often finished in the same one, and a Date costs more than the rest of the row. */
function formatInstant(at: number): string {
  if (lastInstant.at !== at) lastInstant = { at, text: new Date(at).toISOString() };
  return lastInstant.text;
}

/** RFC 4180. Rows with too few or too many cells are in the list as they were; only the file stays rectangular. */
function csvLine(
  width: number,
  cells: readonly Cell[],
  values: ResultValues,
  ours: readonly OurColumn[],
): string {
  let line = '';
  for (let index = 0; index < width; index += 1) line += `${quote(cellText(cells[index]))},`;
  for (const name of ours) {
    const value = values[name] ?? '';
    line += name === 'status' ? value : `,${typeof value === 'string' ? quote(value) : value}`;
  }
  return `${line}\r\n`;
}

function ndjsonLine(columns: readonly string[], cells: readonly Cell[], values: ResultValues): string {
  const own = columns.map((name, index) => [name, cells[index] ?? null] as const);
  return `${JSON.stringify({ ...Object.fromEntries(own), ...values })}\n`;
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined || cell === null) return '';
  return typeof cell === 'string' ? cell : JSON.stringify(cell);
}

function quote(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
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
