// Results as text: the list given back, with what happened to each row, as CSV or NDJSON.
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

/** Rows are gathered to about this much text for each piece. */
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

export type ResultsFormat = 'csv' | 'ndjson';

/** Pieces of some 64 KiB. */
export async function* formatResults(
  format: ResultsFormat,
  source: ResultsSource,
): AsyncGenerator<string, void, undefined> {
  const { variantOf, fromDomain, only } = source;
  const unknown = new Set<string>([
    ...(variantOf === undefined ? ['variant'] : []),
    ...(fromDomain === undefined ? ['message_id'] : []),
  ]);
  const ours = ourColumns.filter((name) => !unknown.has(name));
  // A list's own column with one of our names is not overwritten.
  const columns = source.columns.map((name) => (ours.some((one) => one === name) ? `list_${name}` : name));
  const prefix = messageIdPrefix(source.campaign);
  let text = format === 'ndjson' ? '' : `${[...columns, ...ours].map(quote).join(',')}\r\n`;
  for await (const page of source.pages) {
    for (const row of page) {
      if (only?.has(stateOf(row)) === false) continue;
      const messageId = fromDomain === undefined ? undefined : messageIdOf(prefix, row.row, fromDomain);
      const values = resultValues(row, messageId, variantOf?.(row.row));
      text +=
        format === 'ndjson'
          ? ndjsonLine(columns, row.cells, values)
          : csvLine(columns.length, row.cells, values, ours);
    }
    if (text.length < writeChars) continue;
    yield text;
    text = '';
  }
  yield text;
}

type OurColumn = (typeof ourColumns)[number];
type ResultValues = Record<Exclude<OurColumn, 'variant' | 'message_id'>, string | number> & {
  variant: string | undefined;
  message_id: string | undefined;
};

/** What a row is in. */
export function stateOf({ delivery, lastDeferral }: ResultRow): ResultState {
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
