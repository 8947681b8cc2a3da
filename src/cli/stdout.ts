// Standard output: what goes wrong with it is an error of ours, and not the end of the process.
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';

/**
 * From here on a full disk, or a reader that goes away, ends nothing by itself. Returns what throws it as ERR_OUTPUT (74), once all is
 * written that was to be.
 */
export function watchStdout(): () => Promise<void> {
  let fault: Error | undefined;
  process.stdout.on('error', (error) => (fault ??= error));
  return async () => {
    await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
    if (fault !== undefined) throw makeOutputError(fault);
  };
}

function makeOutputError(cause: Error): PosthasteError {
  return new PosthasteError({
    code: 'ERR_OUTPUT',
    message: `standard output cannot be written: ${messageOf(cause)}`,
    hint: 'What the command did is done, only its answer is lost: posthaste status tells where campaigns stand.',
    exitCode: ExitCode.ioError,
    cause,
  });
}
