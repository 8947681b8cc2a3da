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
import { systemClock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { EntryTroubles } from './entry_troubles.ts';
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
/** While the folder itself is in trouble. */
const [firstRetryMs, maxRetryMs] = [1000, 60_000];

/** States: watching → stopped. One entry is taken at a time; each look is at the whole folder; only troubles are remembered. */
export class Inbox {
  readonly #options: InboxOptions;
  readonly #stopped = new AbortController();
  readonly #watcher: FSWatcher;
  readonly #troubles = new EntryTroubles();
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
      const isDue = isSettled && this.#troubles.isDue(entry.name, systemClock.monotonic());
      if (isDue && existsSync(join(directory, entry.name))) await this.#tryToTake(entry);
    }
  }

  /** One entry's trouble keeps no other: of a disk that is nearly full, say, what is small can still be taken. */
  async #tryToTake(entry: InboxEntry): Promise<void> {
    try {
      await this.#take(entry);
    } catch (error) {
      this.#note(entry.name, error);
    }
  }

  #note(name: string, error: unknown): void {
    const isNew = this.#troubles.note(name, systemClock.monotonic());
    if (isNew)
      this.#options.log.warn({ entry: name, err: error }, 'an entry waits in the inbox; it stays there');
  }

  async #take(entry: InboxEntry): Promise<void> {
    const { directory, accept, log } = this.#options;
    try {
      await accept(entry, directory);
    } catch (error) {
      if (isPassing(error)) throw error;
      this.#reject(entry, error);
      return;
    }
    // Killed before this, the entry is there at the next start, is taken over again, and nobody gets anything twice.
    this.#move(entry, 'done');
    log.info({ entry: entry.name }, 'a campaign was taken from the inbox');
  }

  #reject(entry: InboxEntry, why: unknown): void {
    const where = this.#moveRejected(entry, why);
    this.#options.log.error({ entry: entry.name, err: why }, 'a campaign in the inbox was rejected');
    if (where !== undefined) writeFileSync(`${where}.reason.txt`, describe(why));
  }

  /** Where that fails, both are to be told: what was wrong with it, and why it is still there. */
  #moveRejected(entry: InboxEntry, why: unknown): string | undefined {
    try {
      return this.#move(entry, 'rejected');
    } catch (error) {
      throw new Error(`${messageOf(why)}; and it cannot be moved: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Returns where its first name went; undefined where somebody took all of it away meanwhile. */
  #move(entry: InboxEntry, to: 'done' | 'rejected'): string | undefined {
    const { directory } = this.#options;
    const at = Date.now();
    let where: string | undefined;
    for (const name of entry.names) {
      const path = movedName(this.#folder(to), name, at, existsSync);
      try {
        renameSync(join(directory, name), path);
        where ??= path;
      } catch (error) {
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
    const names = readdirSync(directory);
    this.#troubles.keep(names);
    return names.flatMap((name) => {
      try {
        return this.#lookAt(name);
      } catch (error) {
        // A mount that died, say.
        this.#note(name, error);
        return [];
      }
    });
  }

  #lookAt(name: string): InboxName[] {
    const path = join(this.#options.directory, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'other';
    // A file that is renamed has its own time, and a new change time.
    const changedAt = Math.max(stat.mtimeMs, kind === 'folder' ? this.#newest(path) : 0);
    return [{ name, kind, sizeBytes: stat.size, changedAt }];
  }

  /** The last change within a folder, one level down, which is where campaigns have their files. */
  #newest(folder: string): number {
    try {
      return readdirSync(folder).reduce(
        (newest, name) =>
          Math.max(newest, lstatSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0),
        0,
      );
    } catch {
      // Taken away meanwhile, or not to be read: who takes it over will say so.
      return 0;
    }
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
