// The event log: one line of JSON for each event, in files that are rotated and bounded.
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { listLogFiles, mendTail, nameLogFile } from './log_files.ts';
import { readLog, type LoggedEvent } from './log_reader.ts';

export interface EventLogOptions {
  /** Made where it is missing. Belongs to one process. */
  readonly directory: string;
  /** A file is followed by the next when it is larger. */
  readonly mostBytes: number;
  /** So many files are kept; the oldest go. */
  readonly keptFiles: number;
  /** In ms since the epoch. */
  readonly now: () => number;
  /** Told once that it cannot be written, and once (with nothing) that it can again. */
  readonly onTrouble: (thrown: unknown) => void;
}

/** Written at the latest after so long, or when so much is gathered. */
const flushEveryMs = 100;
const flushChars = 65_536;
/** While nothing can be written, so much is kept; what comes then is counted and not kept. */
const mostWaitingChars = 4_194_304;
const retryEveryMs = 1000;

/**
 * The log is not the truth, the ledger is: where the disk refuses, sending goes on, and the log tells how many events it
 * lacks once it can be written again.
 */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #followers = new Set<() => void>();
  #file: number | undefined;
  #bytes = 0;
  #lastId = 0;
  #waiting = '';
  #dropped = 0;
  #lost = 0;
  #isInTrouble = false;
  #timer: NodeJS.Timeout | undefined;

  /** Throws the system's error where the directory cannot be used. */
  constructor(options: EventLogOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true, mode: 0o750 });
    const last = listLogFiles(options.directory).at(-1);
    if (last === undefined) return;
    const { lastId, sizeBytes } = mendTail(last);
    this.#lastId = lastId;
    this.#bytes = sizeBytes;
    this.#file = openSync(last.path, 'a', 0o640);
  }

  get lastId(): number {
    return this.#lastId;
  }

  /** Whether it can be written, as far as was tried. */
  get isSound(): boolean {
    return !this.#isInTrouble;
  }

  /** Events that the log lacks, since it was opened. */
  get lost(): number {
    return this.#lost;
  }

  /** Events that were not kept while the log could not be written. */
  get dropped(): number {
    return this.#dropped;
  }

  /** `fields` is what JSON makes of it; `kind` is among them. */
  append(fields: { readonly kind: string }): void {
    if (this.#waiting.length > mostWaitingChars) {
      this.#dropped += 1;
      this.#lost += 1;
      return;
    }
    this.#waiting += this.#format(fields);
    if (this.#waiting.length > flushChars && !this.#isInTrouble) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), this.#isInTrouble ? retryEveryMs : flushEveryMs);
  }

  /**
   * Events with a higher id than `since`, those from before and then as they come, until `signal`. Where some of them are gone
   * with their files, `eventsGone` comes first, with the id of the first that is there. Reads files, so however slowly it is
   * read it holds nothing up.
   */
  follow(since: number, signal: AbortSignal): AsyncIterable<LoggedEvent> {
    this.#flush();
    const changed = (): Promise<void> => this.#nextFlush(signal);
    return readLog(this.#options.directory, since, changed, signal);
  }

  close(): void {
    this.#flush();
    clearTimeout(this.#timer);
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    this.#tellFollowers();
  }

  #format(fields: { readonly kind: string }): string {
    this.#lastId += 1;
    const at = new Date(this.#options.now()).toISOString();
    return `${JSON.stringify({ id: this.#lastId, at, ...fields })}\n`;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting === '') return;
    try {
      this.#write(this.#waiting);
      this.#waiting = '';
      this.#recover();
    } catch (error) {
      if (!this.#isInTrouble) this.#options.onTrouble(error);
      this.#isInTrouble = true;
      this.#timer = setTimeout(() => this.#flush(), retryEveryMs);
      this.#timer.unref();
    }
    this.#tellFollowers();
  }

  #recover(): void {
    if (!this.#isInTrouble) return;
    this.#isInTrouble = false;
    this.#options.onTrouble(undefined);
    const count = this.#dropped;
    this.#dropped = 0;
    if (count > 0) this.append(countOf(count));
  }

  /** A full disk may take a part: the rest follows when it takes more, so that lines stay whole. */
  #write(text: string): void {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) {
      const file = this.#openFile(text, at);
      try {
        const written = writeSync(file, bytes, at);
        this.#bytes += written;
        at += written;
      } catch (error) {
        this.#waiting = bytes.toString('utf8', at);
        throw error;
      }
    }
    if (this.#bytes > this.#options.mostBytes) this.#rotate();
  }

  #openFile(text: string, at: number): number {
    if (this.#file !== undefined) return this.#file;
    const [, digits = '1'] = at === 0 ? (/^\{"id":(\d+)/.exec(text) ?? []) : [];
    this.#file = openSync(join(this.#options.directory, nameLogFile(Number(digits))), 'a', 0o640);
    this.#bytes = 0;
    return this.#file;
  }

  #rotate(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    const { directory, keptFiles } = this.#options;
    // One is about to be begun.
    for (const { path } of listLogFiles(directory).slice(0, -Math.max(1, keptFiles - 1)))
      rmSync(path, { force: true });
  }

  #nextFlush(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#followers.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#followers.add(done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }

  #tellFollowers(): void {
    for (const tell of this.#followers) tell();
  }
}

function countOf(count: number): { readonly kind: string; readonly count: number } {
  return { kind: 'eventsDropped', count };
}
