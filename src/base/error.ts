// The one class of error that Posthaste throws on purpose, with what the reader needs to act on it.

/** The exit codes of the contract with users (sysexits.h); README lists them. */
export const ExitCode = {
  ok: 0,
  /** The command line is wrong. */
  usage: 64,
  /** The list or the campaign is bad. */
  dataError: 65,
  /** A named input does not exist or cannot be read. */
  noInput: 66,
  /** No relay could be used. */
  unavailable: 69,
  /** A bug of ours. */
  software: 70,
  /** The disk: full, broken, read-only. */
  ioError: 74,
  /** Stopped before the end; the same command again goes on. */
  tempFail: 75,
  /** The relay or the system does not allow it. */
  noPermission: 77,
  /** The configuration is wrong. */
  config: 78,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export interface ErrorDetail {
  /** Stable, upper case, for programs: `ERR_LIST_NO_ADDRESS_COLUMN`. */
  code: string;
  /** What happened, to what, and what was expected: one sentence. */
  message: string;
  /** What to do next: one sentence. */
  hint?: string | undefined;
  /** Where: `file:line:column`, as far as it is known. */
  where?: string | undefined;
  exitCode: ExitCode;
  cause?: unknown;
}

/** An error that says what happened, where, what to do next and how the process ends because of it. */
export class PosthasteError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly where: string | undefined;
  readonly exitCode: ExitCode;

  constructor(detail: ErrorDetail) {
    super(detail.message, { cause: detail.cause });
    this.name = 'PosthasteError';
    this.code = detail.code;
    this.hint = detail.hint;
    this.where = detail.where;
    this.exitCode = detail.exitCode;
  }
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The system's code of an error (`ENOENT`, `ECONNREFUSED`), or undefined. */
export function systemCodeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
