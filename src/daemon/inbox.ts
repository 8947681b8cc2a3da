// The inbox folder: campaigns that are dropped there by rename are taken over, and moved to done or rejected.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  watch,
  writeFileSync,
  type FSWatcher,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { findEntries, movedName, type InboxEntry, type InboxName } from './inbox_entry.ts';
import type { Log } from './log.ts';
import { syncFolder } from './sync_folder.ts';

export interface InboxOptions {
  readonly directory: string;
  /** An entry must have been as it is for so long. */
  readonly settleMs: number;
  /**
   * Takes an entry over. When it resolves, all of it is in the daemon's own store, and on disk. Throws PosthasteErrors: of the
   * disk and of what is over by itself (74, 69, 75) the entry is tried again, else it is rejected.
   */
  readonly accept: (entry: InboxEntry, directory: string) => Promise<void>;
  readonly log: Log;
}

/** Beside the system's word that something has changed, which not every file system gives. */
const lookEveryMs = 1000;
/** A bad moment for one is a bad moment for all. */
const [firstRetryMs, maxRetryMs] = [1000, 60_000];

/** States: watching → stopped. One entry is taken at a time; each look is at the whole folder, so nothing is remembered. */
export class Inbox {
  readonly #options: InboxOptions;
  readonly #stopped = new AbortController();
  readonly #watcher: FSWatcher;
  #isRoused = false;
  #wake: () => void = () => {};
  #running: Promise<void>;

  /** Makes its folders. Throws ERR_INBOX (78) where that, or moving between them, is not possible. */
  constructor(options: InboxOptions) {
    this.#options = options;
    this.#prepare();
    this.#watcher = watch(options.directory, () => this.#rouse());
    // The folder may be taken away; looking will say so.
    this.#watcher.on('error', () => {});
    this.#running = this.#run();
  }

  /** Begins nothing more; what is being taken over is finished. */
  async close(): Promise<void> {
    this.#stopped.abort();
    this.#watcher.close();
    this.#rouse();
    await this.#running;
  }

  #prepare(): void {
    const { directory } = this.#options;
    try {
      for (const folder of [directory, this.#folder('done'), this.#folder('rejected')])
        mkdirSync(folder, { recursive: true });
      const devices = new Set(
        [directory, this.#folder('done'), this.#folder('rejected')].map((one) => lstatSync(one).dev),
      );
      if (devices.size > 1) throw new Error('done and rejected are on another file system');
    } catch (error) {
      throw new PosthasteError({
        code: 'ERR_INBOX',
        message: `the inbox ${directory} cannot be used: ${messageOf(error)}`,
        hint: 'See that it is a folder that this user may write to, and that done/ and rejected/ in it are folders and no mounts.',
        where: directory,
        exitCode: ExitCode.config,
        cause: error,
      });
    }
  }

  async #run(): Promise<void> {
    let retryMs = 0;
    while (!this.#stopped.signal.aborted) {
      try {
        await this.#takeAll();
        retryMs = 0;
      } catch (error) {
        const isNew = retryMs === 0;
        retryMs = Math.min(Math.max(retryMs * 2, firstRetryMs), maxRetryMs);
        if (isNew) this.#options.log.warn({ err: error }, 'the inbox waits; what is in it stays there');
      }
      await this.#pause(Math.max(retryMs, lookEveryMs), retryMs > 0);
    }
  }

  async #takeAll(): Promise<void> {
    const { directory, settleMs } = this.#options;
    for (const entry of findEntries(this.#look())) {
      if (this.#stopped.signal.aborted) return;
      // A clock that was set back makes what is old look new, for ever.
      const isSettled = Math.abs(Date.now() - entry.changedAt) >= settleMs;
      if (isSettled && existsSync(join(directory, entry.name))) await this.#take(entry);
    }
  }

  async #take(entry: InboxEntry): Promise<void> {
    const { directory, accept, log } = this.#options;
    try {
      await accept(entry, directory);
    } catch (error) {
      if (isPassing(error)) throw error;
      const where = this.#move(entry, 'rejected');
      writeFileSync(`${where}.reason.txt`, describe(error));
      log.error({ entry: entry.name, err: error }, 'a campaign in the inbox was rejected');
      return;
    }
    // Killed before this, the entry is there at the next start, is taken over again, and nobody gets anything twice.
    this.#move(entry, 'done');
    log.info({ entry: entry.name }, 'a campaign was taken from the inbox');
  }

  /** Returns where its first name went. */
  #move(entry: InboxEntry, to: 'done' | 'rejected'): string {
    const { directory } = this.#options;
    const at = Date.now();
    let where = '';
    for (const name of entry.names) {
      const path = movedName(this.#folder(to), name, at, existsSync);
      try {
        renameSync(join(directory, name), path);
        where ||= path;
      } catch (error) {
        // Somebody took it away meanwhile.
        if (systemCodeOf(error) !== 'ENOENT') throw error;
      }
    }
    syncFolder(this.#folder(to));
    syncFolder(directory);
    return where;
  }

  /** Links are looked at and not followed. */
  #look(): InboxName[] {
    const { directory } = this.#options;
    return readdirSync(directory).flatMap((name) => {
      const stat = lstatSync(join(directory, name), { throwIfNoEntry: false });
      if (stat === undefined) return [];
      const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'other';
      // A file that is renamed has its own time, and a new change time.
      const changedAt = Math.max(stat.mtimeMs, kind === 'folder' ? this.#newest(join(directory, name)) : 0);
      return [{ name, kind, sizeBytes: stat.size, changedAt }];
    });
  }

  /** The last change within a folder, one level down, which is where campaigns have their files. */
  #newest(folder: string): number {
    const times = readdirSync(folder).map(
      (name) => lstatSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0,
    );
    return Math.max(0, ...times);
  }

  #folder(name: 'done' | 'rejected'): string {
    return join(this.#options.directory, name);
  }

  #rouse(): void {
    this.#isRoused = true;
    this.#wake();
  }

  /** In trouble the folder's changes do not count. */
  async #pause(forMs: number, isTrouble: boolean): Promise<void> {
    const { signal } = this.#stopped;
    if (isTrouble) return sleep(forMs, undefined, { signal }).catch(() => {});
    if (!this.#isRoused) {
      await Promise.race([
        new Promise<void>((resolve) => (this.#wake = resolve)),
        sleep(forMs, undefined, { signal }).catch(() => {}),
      ]);
    }
    this.#isRoused = false;
  }
}

/** Over by itself, or once somebody has made room: the entry is good. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof PosthasteError)) return true;
  const { ioError, tempFail, unavailable } = ExitCode;
  return [ioError, tempFail, unavailable].some((code) => code === error.exitCode);
}

function describe(error: unknown): string {
  const { code, hint } = error instanceof PosthasteError ? error : { code: 'ERR_INTERNAL', hint: undefined };
  return `${code}: ${messageOf(error)}\n${hint === undefined ? '' : `${hint}\n`}`;
}
