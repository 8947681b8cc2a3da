// Journal records: what one block of a journal says, as text.
import type { Outcome } from '../mail/outcome.ts';
import type { OutcomePattern } from '../mail/packed_outcomes.ts';

/** A batch as the journal names it; campaign and attempt make sure that it is the one that the ledger has. */
export interface JournalBatch {
  readonly batchId: number;
  readonly campaignId: number;
  readonly attempt: number;
}

export type JournalRecord =
  | ({ readonly kind: 'batch' } & JournalBatch)
  | { readonly kind: 'end'; readonly batchId: number; readonly row: number }
  | { readonly kind: 'outcome'; readonly batchId: number; readonly outcome: Outcome };

export function formatBatch({ batchId, campaignId, attempt }: JournalBatch): string {
  return `B ${batchId} ${campaignId} ${attempt}\n`;
}

export function formatEnd(batchId: number, row: number): string {
  return `E ${batchId} ${row}\n`;
}

/** Writes outcomes of one segment: each pattern once, before the first outcome that has it. */
export class OutcomeFormat {
  readonly #patterns = new Map<string, number>();

  format(batchId: number, { row, kind, at, verdict }: Outcome): string {
    // The verdict's code and stage decide most of it; all that varies is in the key.
    const { code, stage, replyCode, enhancedStatus, session } = verdict;
    const key = `${kind} ${code} ${stage} ${replyCode} ${enhancedStatus} ${session} ${verdict.kind}`;
    const known = this.#patterns.get(key);
    const pattern = known ?? this.#patterns.size;
    const outcome = `O ${batchId} ${row} ${at} ${pattern} ${oneLine(verdict.text)}\n`;
    if (known !== undefined) return outcome;
    this.#patterns.set(key, pattern);
    const { text: _ownText, ...shared } = verdict;
    return `P ${pattern} ${JSON.stringify({ kind, verdict: shared })}\n${outcome}`;
  }
}

/** Replies are one line already; what we say ourselves need not be. */
function oneLine(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]+/g, ' ') : text;
}

/** Reads the records of one segment, block by block. */
export class RecordReader {
  readonly #patterns = new Map<number, OutcomePattern>();

  /** The records of a whole block, whose check sum was right: our own writing, so its shape is trusted. */
  read(block: string): JournalRecord[] {
    const records: JournalRecord[] = [];
    for (const line of block.split('\n')) {
      const record = line === '' ? undefined : this.#readLine(line);
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  #readLine(line: string): JournalRecord | undefined {
    const fields = line.split(' ');
    const number = (index: number): number => Number(fields[index]);
    switch (fields[0] ?? '') {
      case 'B':
        return { kind: 'batch', batchId: number(1), campaignId: number(2), attempt: number(3) };
      case 'E':
        return { kind: 'end', batchId: number(1), row: number(2) };
      case 'P':
        this.#patterns.set(number(1), JSON.parse(fields.slice(2).join(' ')));
        return undefined;
      case 'O':
        return this.#readOutcome(fields);
      default:
        return undefined;
    }
  }

  /** Undefined where the pattern stood in a damaged block: such a row is in doubt. */
  #readOutcome([, batchId, row, at, patternIndex, ...words]: readonly string[]): JournalRecord | undefined {
    const pattern = this.#patterns.get(Number(patternIndex));
    if (pattern === undefined) return undefined;
    const verdict = { ...pattern.verdict, text: words.join(' ') };
    const outcome = { row: Number(row), kind: pattern.kind, at: Number(at), verdict };
    return { kind: 'outcome', batchId: Number(batchId), outcome };
  }
}
