// The journal of one thread: appended to before ends of data go out, and as replies are read.
import { closeSync, fdatasync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Outcome } from '../mail/outcome.ts';
import {
  addTransactionTime,
  emptyTransactionTimes,
  type TransactionTimes,
} from '../mail/transaction_times.ts';
import { makeBlock } from './block.ts';
import { formatBatch, formatEnd, OutcomeFormat, type JournalBatch } from './record.ts';
import { formatSegmentName } from './segment.ts';

export interface JournalOptions {
  /** Created where it is missing, for this user alone. */
  readonly directory: string;
  readonly run: string;
  readonly writer: number;
  /** process: survives the process. power: also a power cut. */
  readonly durability: 'process' | 'power';
}

/** A new segment is begun once one is larger, between two blocks. */
const segmentBytes = 1_048_576;

/**
 * States: open → failed (a write or a sync failed; nothing is written any more, `commit` throws the same again) → closed.
 * Records are gathered and written by `commit`, all in one write.
 */
export class JournalWriter {
  readonly #options: JournalOptions;
  #records = '';
  #outcomes = new OutcomeFormat();
  #file: number | undefined;
  #segment = 0;
  #bytes = 0;
  /** Batches that are being sent → the first segment that names them. */
  readonly #firstSegments = new Map<JournalBatch, number>();
  /** Batches that the block being gathered names. */
  readonly #named = new Set<JournalBatch>();
  #failure: Error | undefined;
  readonly #commitTimes: TransactionTimes;

  /** `commitTimes` gets how long it took until what was noted was kept. */
  constructor(options: JournalOptions, commitTimes = emptyTransactionTimes()) {
    this.#options = options;
    this.#commitTimes = commitTimes;
  }

  /** The number of this thread's journal among those of the run. */
  get writer(): number {
    return this.#options.writer;
  }

  /** The lowest segment that a batch still needs which has not ended; those below hold nothing of this thread's work. */
  get oldestNeeded(): number {
    return Math.min(this.#segment, ...this.#firstSegments.values());
  }

  /** The end of this row's data goes out with what is written after the next `commit`. */
  noteEnd(batch: JournalBatch, row: number): void {
    this.#nameBatch(batch);
    this.#records += formatEnd(batch.batchId, row);
  }

  noteOutcome(batch: JournalBatch, outcome: Outcome): void {
    this.#nameBatch(batch);
    this.#records += this.#outcomes.format(batch.batchId, outcome);
  }

  /** The batch has all its outcomes. They are on disk after the next `commit`. */
  endBatch(batch: JournalBatch): void {
    this.#firstSegments.delete(batch);
  }

  /**
   * Writes what was noted. Returns undefined once it survives what `durability` says, or a promise of it. Throws, and rejects with,
   * the system's error: then nothing of it may be acted upon.
   */
  commit(): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#records === '') return undefined;
    const begunAt = performance.now();
    try {
      const file = this.#openFile();
      writeWhole(file, makeBlock(this.#records), (bytes) => (this.#bytes += bytes));
      this.#records = '';
      // Each block names its batches, lest the loss of one take the meaning of the others with it.
      this.#named.clear();
      const durable = this.#options.durability === 'power' ? this.#sync(file, begunAt) : undefined;
      if (durable === undefined) this.#countCommit(begunAt);
      if (this.#bytes > segmentBytes) this.#rotate(durable);
      return durable;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #nameBatch(batch: JournalBatch): void {
    if (this.#named.has(batch)) return;
    this.#named.add(batch);
    if (!this.#firstSegments.has(batch)) this.#firstSegments.set(batch, this.#segment);
    this.#records += formatBatch(batch);
  }

  #openFile(): number {
    if (this.#file !== undefined) return this.#file;
    const { directory, run, writer, durability } = this.#options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, formatSegmentName({ run, writer, segment: this.#segment }));
    // O_EXCL: a segment is nobody else's.
    this.#file = openSync(path, 'ax', 0o600);
    if (durability === 'power') {
      syncDirectory(directory);
      // Its own name is in the one above, and any thread may have made it.
      syncDirectory(dirname(directory));
    }
    return this.#file;
  }

  #sync(file: number, begunAt: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(file, (error) => {
        this.#countCommit(begunAt);
        if (error === null) resolve();
        else reject(this.#fail(error));
      });
    });
  }

  /** One reading of the clock for all that was noted in a turn, however many messages that was of. */
  #countCommit(begunAt: number): void {
    addTransactionTime(this.#commitTimes, (performance.now() - begunAt) / 1000);
  }

  /** The next record goes into a new segment. The old one is closed when nothing is done to it any more. */
  #rotate(durable: Promise<void> | undefined): void {
    const file = this.#file;
    this.#file = undefined;
    this.#bytes = 0;
    this.#segment += 1;
    this.#named.clear();
    this.#outcomes = new OutcomeFormat();
    if (file === undefined) return;
    if (durable === undefined) return closeSync(file);
    const close = (): void => closeSync(file);
    durable.then(close, close);
  }

  /** RFC-like rule of disks: after a failed fsync nobody knows what is written; so nothing is claimed any more. */
  #fail(error: unknown): Error {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    return this.#failure;
  }
}

/** A full disk may take a part first and refuse the rest; the part is cut off at the next start. */
function writeWhole(file: number, block: Buffer, count: (bytes: number) => void): void {
  for (let at = 0; at < block.length;) {
    const written = writeSync(file, block, at);
    count(written);
    at += written;
  }
}

/** A file's name is in its directory, which has a cache of its own. */
function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
