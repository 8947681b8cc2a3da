// Takes a list in for tests, out of memory, and keeps all that intake stored of it.
import { EarlierLists } from '../../src/intake/earlier.ts';
import type { NewBatch } from '../../src/intake/batch_cutter.ts';
import { takeIn, type IntakePart, type IntakeResult, type ListOptions } from '../../src/intake/intake.ts';
import { unpackRecipients } from '../../src/mail/batch.ts';
import type { Recipient, RefusedRow } from '../../src/mail/recipient.ts';

export interface TakenList {
  /** Undefined where it was refused; `error` says why. */
  readonly result: IntakeResult | undefined;
  readonly error: unknown;
  readonly batches: readonly NewBatch[];
  readonly recipients: readonly Recipient[];
  readonly refused: readonly RefusedRow[];
}

/** `isPipe`: it comes as from standard input. */
export async function takeList(
  chunks: readonly Uint8Array[],
  options: Partial<ListOptions> = {},
  isPipe = false,
): Promise<TakenList> {
  const parts: IntakePart[] = [];
  const sink = { begin: async () => {}, store: async (part: IntakePart) => void parts.push(part) };
  const source = Object.assign(
    (async function* yieldChunks() {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
    })(),
    { name: 'list.csv', isPipe },
  );
  let [result, error]: [IntakeResult | undefined, unknown] = [undefined, undefined];
  try {
    result = await takeIn(source, { batchRows: 3, ...options }, sink);
  } catch (thrown) {
    error = thrown;
  }
  const batches = parts.flatMap((part) => part.batches);
  const recipients = batches.flatMap(({ payload }) => unpackRecipients(payload));
  return { result, error, batches, recipients, refused: parts.flatMap((part) => part.refused) };
}

/** What a list leaves for those that come after it. */
export function earlierOf({ result, recipients, refused }: TakenList): EarlierLists {
  const earlier = new EarlierLists(result?.columns ?? [], result?.rows ?? 0);
  for (const one of recipients) earlier.add(one);
  for (const { cells } of refused) earlier.add({ address: undefined, cells });
  return earlier;
}

export function recipientOf(row: number, domain = 'example.com'): Recipient {
  return { row, line: row + 1, address: `reader${row}@${domain}`, cells: [] };
}
