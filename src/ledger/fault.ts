// Faults of SQLite as errors for people: which ones are the disk's, which another process's, and what to do.
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';

interface Fault {
  readonly code: string;
  readonly what: string;
  readonly hint: string;
  readonly exitCode: ExitCode;
}

/** The shape of node:sqlite's errors. */
interface SqliteError extends Error {
  /** Extended result code; its low byte is the primary one. */
  readonly errcode: number;
}

const cannotOpen: Fault = {
  code: 'ERR_STATE_CANNOT_OPEN',
  what: 'cannot be opened',
  hint: 'Check that the directory exists or can be created, and that this user may write in it.',
  exitCode: ExitCode.ioError,
};

const unknownFile: Fault = {
  code: 'ERR_STATE_UNKNOWN_FILE',
  what: 'is not a ledger of Posthaste',
  hint: 'Choose another state directory, or move this file away if nobody needs it.',
  exitCode: ExitCode.config,
};

/** By primary result code (sqlite.org/rescode.html). */
const faultByCode: Readonly<Record<number, Fault>> = {
  3: cannotOpen,
  5: {
    code: 'ERR_STATE_IN_USE',
    what: 'is in use by another process',
    hint: 'Wait for the other posthaste or stop it, or use another state directory.',
    exitCode: ExitCode.tempFail,
  },
  8: {
    code: 'ERR_STATE_READ_ONLY',
    what: 'cannot be written to',
    hint: 'Check the permissions of the file and its directory, and that the file system is mounted read-write.',
    exitCode: ExitCode.ioError,
  },
  10: {
    code: 'ERR_STATE_IO',
    what: 'could not be read or written',
    hint: "Check the disk and the kernel's log; the same command again goes on from the last good state.",
    exitCode: ExitCode.ioError,
  },
  11: {
    code: 'ERR_STATE_CORRUPT',
    what: 'is damaged',
    hint: 'Stop, keep a copy of the state directory, and restore it from a backup.',
    exitCode: ExitCode.ioError,
  },
  13: {
    code: 'ERR_STATE_FULL',
    what: 'cannot grow: the disk or the quota is full',
    hint: 'Free some space; the same command again goes on from where it stopped.',
    exitCode: ExitCode.ioError,
  },
  14: cannotOpen,
  26: unknownFile,
};

/** What was thrown, as an error for people where it is a known fault of SQLite; `path` is the ledger's file. */
export function explainSqlite(thrown: unknown, path: string): unknown {
  if (!isSqliteError(thrown)) return thrown;
  const fault = faultByCode[thrown.errcode & 0xff];
  return fault === undefined ? thrown : makeFault(fault, path, thrown);
}

/** Whether SQLite refused a row because its primary key is taken (SQLITE_CONSTRAINT_PRIMARYKEY). */
export function isKeyTaken(thrown: unknown): boolean {
  return isSqliteError(thrown) && thrown.errcode === 1555;
}

/** The error for a state directory or file that the system does not let us make. */
export function makeCannotOpen(path: string, cause: unknown): PosthasteError {
  return makeFault(cannotOpen, path, cause);
}

/** The error for a directory without a ledger, where one was to be read. */
export function makeMissing(directory: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_STATE_MISSING',
    message: `there is no ledger in ${directory}`,
    hint: 'Name the state directory of the campaign with --state; the first "posthaste send" makes one.',
    exitCode: ExitCode.noInput,
  });
}

/** The error for a file that some other program wrote. */
export function makeUnknownFile(path: string): PosthasteError {
  return makeFault(unknownFile, path, undefined);
}

/** The error for a ledger that a later Posthaste wrote. */
export function makeNewerFormat(path: string, found: number, known: number): PosthasteError {
  return new PosthasteError({
    code: 'ERR_STATE_NEWER',
    message: `the ledger ${path} has format ${found}, and this Posthaste knows formats up to ${known}`,
    hint: 'Use the Posthaste that wrote it or a later one, or another state directory.',
    exitCode: ExitCode.config,
  });
}

function makeFault(fault: Fault, path: string, cause: unknown): PosthasteError {
  const detail = cause === undefined ? '' : `: ${messageOf(cause)}`;
  return new PosthasteError({
    code: fault.code,
    message: `the ledger ${path} ${fault.what}${detail}`,
    hint: fault.hint,
    exitCode: fault.exitCode,
    cause,
  });
}

function isSqliteError(thrown: unknown): thrown is SqliteError {
  return thrown instanceof Error && 'errcode' in thrown && typeof thrown.errcode === 'number';
}
