// Faults of the journals' files as errors for people: the disk's, with what to do.
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';

/** What the system said of a file of the journals. */
export interface SystemFault {
  readonly code: string | undefined;
  readonly text: string;
}

/** The error for a journal that cannot be read or written; exit code 74. */
export function makeJournalError({ code, text }: SystemFault, cause?: unknown): PosthasteError {
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return new PosthasteError({
    code: isFull ? 'ERR_STATE_FULL' : 'ERR_STATE_IO',
    message: `the journal in the state directory cannot be read or written: ${text}`,
    hint: isFull
      ? 'Free some space; the same command again goes on from where it stopped.'
      : "Check the disk and the kernel's log; the same command again goes on from the last good state.",
    exitCode: ExitCode.ioError,
    cause,
  });
}

/** Runs work on the journals' files, with the system's errors explained. */
export function explainFaults<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const code = systemCodeOf(error);
    // ERR_… is Node's, for a bug of ours.
    const isSystems = code !== undefined && !code.startsWith('ERR_');
    throw !isSystems ? error : makeJournalError({ code, text: messageOf(error) }, error);
  }
}
