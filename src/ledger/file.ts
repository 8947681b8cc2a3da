// The ledger's file: opened, locked for this process, written to in whole transactions, closed.
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { systemCodeOf } from '../base/error.ts';
import { addTransactionTime, emptyTransactionTimes } from '../mail/transaction_times.ts';
import { invariant } from '../base/invariant.ts';
import { explainSqlite, makeCannotOpen, makeMissing, makeNewerFormat, makeUnknownFile } from './fault.ts';
import { integerOf } from './reader.ts';
import type { LedgerSpace } from './ledger.ts';
import { migrationsFrom } from './migrations.ts';
import { applicationId, createTables, formatVersion } from './schema.ts';

/** For new files. A payload takes three pages of 8 KiB; bench/ledger.ts ran a tenth faster than with 4 or 16 KiB. */
const pageBytes = 8192;

/** SQLite's number for files that can give pages back one by one (sqlite.org/pragma.html#pragma_auto_vacuum). */
const incrementalVacuum = 2;

/** 16 MiB of WAL between two syncs: about 100,000 delivery rows, and a pause of some 40 ms on a cloud disk. */
const checkpointPages = 2000;

/** Pages that one step of `shrink` moves or cuts off: a few milliseconds, but for the checkpoint that it may bring about. */
const shrinkPages = 200;

/** One open ledger file. Whoever makes it closes it. */
export class LedgerFile {
  readonly #path: string;
  readonly #database: DatabaseSync;
  /** How long transactions took, since the file was opened. */
  readonly commitTimes = emptyTransactionTimes();

  /**
   * Opens or creates `ledger.db` in the directory, which is created too, and locks it until `close`. Throws PosthasteErrors
   * ERR_STATE_IN_USE (75), ERR_STATE_UNKNOWN_FILE, ERR_STATE_NEWER (78) and those of the disk (74).
   */
  constructor(directory: string, durability: 'process' | 'power') {
    // mkdir says absolutely what it made.
    this.#path = join(resolve(directory), 'ledger.db');
    createFile(resolve(directory), this.#path, durability);
    this.#database = openDatabase(this.#path);
    try {
      this.read(() => this.#settleIn(durability));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A prepared statement; it ends with the file. */
  prepare(sql: string): StatementSync {
    return this.#database.prepare(sql);
  }

  /** Runs reads, with faults of SQLite explained. They see one state, because nothing else runs meanwhile. */
  read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw explainSqlite(error, this.#path);
    }
  }

  /** Runs `work` in one transaction: committed when it returns, rolled back wholly when it throws. */
  write<T>(work: () => T): T {
    const begunAt = performance.now();
    try {
      return this.#transact(work);
    } finally {
      addTransactionTime(this.commitTimes, (performance.now() - begunAt) / 1000);
    }
  }

  #transact<T>(work: () => T): T {
    return this.read(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        // SQLite has rolled back by itself after some faults of the disk; a second ROLLBACK would hide the first error.
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /** Counted in whole pages, the write-ahead log left out. */
  readSpace(): LedgerSpace {
    const pages = this.#readInteger('SELECT page_count AS value FROM pragma_page_count');
    const free = this.#readInteger('SELECT freelist_count AS value FROM pragma_freelist_count');
    const bytes = this.#readInteger('SELECT page_size AS value FROM pragma_page_size');
    const mode = this.#readInteger('SELECT auto_vacuum AS value FROM pragma_auto_vacuum');
    return { fileBytes: pages * bytes, freeBytes: free * bytes, canShrink: mode === incrementalVacuum };
  }

  /** One step of giving free pages back to the file system, a transaction of its own. */
  shrink(): void {
    this.read(() => this.#database.exec(`PRAGMA incremental_vacuum(${shrinkPages})`));
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  /** The order matters: lock, look whose file it is, and only then change anything. */
  #settleIn(durability: 'process' | 'power'): void {
    this.#database.exec('PRAGMA locking_mode = EXCLUSIVE');
    this.#database.exec(`PRAGMA page_size = ${pageBytes}`);
    const version = this.#checkFormat();
    // Before the first table, or never: later it would take a VACUUM, with room for all of it twice.
    if (version === 0) this.#database.exec(`PRAGMA auto_vacuum = ${incrementalVacuum}`);
    this.#database.exec('PRAGMA journal_mode = WAL');
    // WAL: NORMAL syncs checkpoints, FULL every commit too.
    this.#database.exec(`PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}`);
    this.#database.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`);
    this.write(() => {
      // One transaction: a process that dies in the middle leaves the file in the format that it had.
      for (const sql of version === 0 ? [createTables] : migrationsFrom(version)) this.#database.exec(sql);
    });
    // What an earlier process wrote and could not sync may be in the system's cache alone, which then calls it synced.
    // Copied into the database and synced there it is on the disk, before anybody is told that it is so.
    if (durability === 'power') this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  /** The format; 0 for a file without anything in it. Throws for what is not a ledger of a format that we know. */
  #checkFormat(): number {
    const owner = this.#readInteger('SELECT application_id AS value FROM pragma_application_id');
    const version = this.#readInteger('SELECT user_version AS value FROM pragma_user_version');
    const tables = this.#readInteger('SELECT count(*) AS value FROM sqlite_schema');
    if (owner === 0 && tables === 0) return 0;
    if (owner !== applicationId || version < 1) throw makeUnknownFile(this.#path);
    if (version > formatVersion) throw makeNewerFormat(this.#path, version, formatVersion);
    return version;
  }

  #readInteger(sql: string): number {
    const row = this.#database.prepare(sql).get();
    invariant(row !== undefined, `no answer to ${sql}`);
    return integerOf(row, 'value');
  }
}

/** Throws ERR_STATE_MISSING (66) where a directory has no ledger. */
export function checkLedgerExists(directory: string): void {
  if (!existsSync(join(directory, 'ledger.db'))) throw makeMissing(directory);
}

/**
 * Creates the directory (0700) and the file (0600) where they are missing. O_EXCL opens no existing file: closing one would
 * drop the lock that another ledger of this process holds on it (POSIX fcntl).
 */
function createFile(directory: string, path: string, durability: 'process' | 'power'): void {
  try {
    const topmost = mkdirSync(directory, { recursive: true, mode: 0o700 });
    // Also where it is there: its maker may have died, or its sync failed.
    if (durability === 'power') syncNames(directory, topmost ?? directory);
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw makeCannotOpen(path, error);
  }
}

/** A directory's name is in the one above it. SQLite syncs what is in the lowest, and none above. */
function syncNames(directory: string, topmost: string): void {
  for (let made = directory; made.length >= topmost.length; made = dirname(made)) {
    const above = openSync(dirname(made), 'r');
    try {
      fsyncSync(above);
    } finally {
      closeSync(above);
    }
  }
}

function openDatabase(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 0 });
  } catch (error) {
    throw explainSqlite(error, path);
  }
}
