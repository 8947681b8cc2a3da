// The command line: which commands there are, and how their errors become text and exit codes.
import { Command, CommanderError } from 'commander';
import { ExitCode } from '../base/error.ts';
import { printError } from './print.ts';
import { watchStdout } from './stdout.ts';
import { version } from './version.ts';

/** Adds a command to the program. */
type AddCommand = (program: Command, setExitCode: SetExitCode) => void;

/** A command's file is loaded when it is called, or when somebody asks what there is: loading all takes half a second. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  send: async () => (await import('./send.ts')).addSend,
  serve: async () => (await import('./serve.ts')).addServe,
  submit: async () => (await import('./submit.ts')).addSubmit,
  status: async () => (await import('./status.ts')).addStatus,
  top: async () => (await import('./top.ts')).addTop,
  pause: async () => (await import('./steer.ts')).addPause,
  resume: async () => (await import('./steer.ts')).addResume,
  cancel: async () => (await import('./steer.ts')).addCancel,
  rate: async () => (await import('./steer.ts')).addRate,
  priority: async () => (await import('./steer.ts')).addPriority,
  complaints: async () => (await import('./steer.ts')).addComplaints,
  relays: async () => (await import('./relays.ts')).addRelays,
  events: async () => (await import('./events.ts')).addEvents,
  why: async () => (await import('./why.ts')).addWhy,
  reload: async () => (await import('./reload.ts')).addReload,
  audit: async () => (await import('./audit.ts')).addAudit,
  compact: async () => (await import('./compact.ts')).addCompact,
  demo: async () => (await import('./demo.ts')).addDemo,
  results: async () => (await import('./results.ts')).addResults,
  retry: async () => (await import('./retry.ts')).addRetry,
  sandbox: async () => (await import('./sandbox.ts')).addSandbox,
  completion: async () => (await import('./completion.ts')).addCompletion,
};

/** Runs one command. Returns the exit code; prints everything that is to be said, errors on stderr. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  // Relay URLs may carry passwords: from here on ps and /proc show this instead of the arguments.
  process.title = `posthaste ${args.find((arg) => !arg.startsWith('-')) ?? ''}`.trimEnd();
  let exitCode: number = ExitCode.ok;
  const program = createProgram();
  const checkStdout = watchStdout();
  try {
    for (const add of await loadCommands(args[0]))
      add(program, (code) => {
        exitCode = code;
      });
    await program.parseAsync([...args], { from: 'user' });
    await checkStdout();
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    return printError(error, args.includes('--json'));
  }
}

/** Takes the exit code of a command that ran to its end. */
export type SetExitCode = (code: ExitCode) => void;

/** The named command alone, or all where the name is none: then it is help that is wanted, or "did you mean". */
function loadCommands(name: string | undefined): Promise<AddCommand[]> {
  // Completion knows them all.
  const isNamed = name !== undefined && name !== 'completion' && Object.hasOwn(commands, name);
  const named = isNamed ? commands[name] : undefined;
  return Promise.all((named === undefined ? Object.values(commands) : [named]).map((load) => load()));
}

function createProgram(): Command {
  const program = new Command('posthaste');
  program
    .description(
      'sends large personalised mailings through an SMTP relay, and knows what became of every recipient',
    )
    .version(version())
    .showHelpAfterError('(posthaste --help tells more)')
    // Inherited by the commands below: errors are thrown, runCommandLine ends the process.
    .exitOverride();
  return program;
}
