// The command line: which commands there are, and how their errors become text and exit codes.
import { Command, CommanderError } from 'commander';
import { ExitCode } from '../base/error.ts';
import { addDemo } from './demo.ts';
import { printError } from './print.ts';
import { addSandbox } from './sandbox.ts';
import { addSend } from './send.ts';
import { version } from './version.ts';

/** Runs one command. Returns the exit code; prints everything that is to be said, errors on stderr. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  // Relay URLs may carry passwords: from here on ps and /proc show this instead of the arguments.
  process.title = `posthaste ${args.find((arg) => !arg.startsWith('-')) ?? ''}`.trimEnd();
  let exitCode: number = ExitCode.ok;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    return printError(error, args.includes('--json'));
  }
}

/** Takes the exit code of a command that ran to its end. */
export type SetExitCode = (code: ExitCode) => void;

function createProgram(setExitCode: SetExitCode): Command {
  const program = new Command('posthaste');
  program
    .description(
      'sends large personalised mailings through an SMTP relay, and knows what became of every recipient',
    )
    .version(version())
    .showHelpAfterError('(posthaste --help tells more)')
    // Inherited by the commands below: errors are thrown, runCommandLine ends the process.
    .exitOverride();
  addSend(program, setExitCode);
  addDemo(program, setExitCode);
  addSandbox(program);
  return program;
}
