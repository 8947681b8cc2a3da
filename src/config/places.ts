// Where the state and the control socket are: for commands that only look or ask, and need nothing else of the configuration.
import { existsSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { ExitCode } from '../base/error.ts';
import { failureOf, formatPath, type Failure, type Problem } from './problem.ts';
import { interpolate } from './secret.ts';
import { readTextFile } from './text_file.ts';
import { parseYaml } from './yaml_file.ts';

/** Both absolute. Whether anything is there is another matter. */
export interface Places {
  readonly stateDir: string;
  readonly socketPath: string;
}

const unreadable: Failure = {
  code: 'ERR_CONFIG_READ',
  hint: 'Name a configuration file with --config, or the daemon’s socket with --socket.',
  exitCode: ExitCode.config,
};

/** Where the units of systemd/ have the configurations, the states and the sockets of daemons. */
const unitRoots = { config: '/etc/posthaste', state: '/var/lib/posthaste', runtime: '/run/posthaste' };

/**
 * Reads two keys of a configuration and lets the rest be: its secrets may be for the daemon alone, and a file that has become
 * bad must not hide the daemon that still runs with what it was. Throws ERR_CONFIG_READ and ERR_CONFIG_INVALID (78).
 */
export function findPlaces(
  path: string | undefined,
  env: NodeJS.ProcessEnv,
  overrides: { readonly state?: string | undefined } = {},
  roots: typeof unitRoots = unitRoots,
): Places {
  const written = path === undefined ? {} : readPlaces(path, env);
  const directory = resolve(dirname(path ?? '.'));
  const named = stateDirectory(overrides.state, written.state, directory, env);
  // The directories that systemd makes are in the environment of the daemon, and not of whoever asks it.
  const unit =
    path === undefined || overrides.state !== undefined ? undefined : unitPlaces(resolve(path), roots);
  const isUnits =
    written.state === undefined && unit !== undefined && !existsSync(named) && existsSync(unit.stateDir);
  const stateDir = isUnits ? unit.stateDir : named;
  if (written.socket !== undefined) return { stateDir, socketPath: resolve(directory, written.socket) };
  const usual = usualSocket(env, stateDir);
  const isElsewhere = !existsSync(usual) && unit !== undefined && existsSync(unit.socketPath);
  return { stateDir, socketPath: isElsewhere ? unit.socketPath : usual };
}

/**
 * What the command line names is relative to the working directory, what the file names to the file; else it is where systemd has
 * made a directory for it.
 */
export function stateDirectory(
  typed: string | undefined,
  written: string | undefined,
  directory: string,
  env: NodeJS.ProcessEnv,
): string {
  if (typed !== undefined) return resolve(typed);
  if (written !== undefined) return resolve(directory, written);
  const [given = ''] = (env['STATE_DIRECTORY'] ?? '').split(':');
  return resolve(given === '' ? '.posthaste' : given);
}

/** systemd may name several directories, separated by ":" (systemd.exec(5)). */
export function usualSocket(env: NodeJS.ProcessEnv, stateDir: string): string {
  const [runtime = ''] = (env['RUNTIME_DIRECTORY'] ?? '').split(':');
  return join(runtime === '' ? stateDir : runtime, 'control.sock');
}

/** posthaste.service has posthaste.yaml, posthaste@NAME.service has NAME.yaml, and directories of that name below. */
function unitPlaces(path: string, { config, state, runtime }: typeof unitRoots): Places | undefined {
  if (dirname(path) !== config) return undefined;
  const name = basename(path, extname(path));
  const own = name === 'posthaste' ? '' : name;
  return { stateDir: join(state, own), socketPath: join(runtime, own, 'control.sock') };
}

function readPlaces(path: string, env: NodeJS.ProcessEnv): { state?: string; socket?: string } {
  const problems: Problem[] = [];
  const text = readTextFile(path, 'the configuration', unreadable);
  const file = parseYaml(
    path,
    text,
    (written, place, keys) => {
      const found = interpolate(written, env);
      if (found.kind === 'found') return found.text;
      const name = formatPath(keys);
      if (['state', 'control.socket'].includes(name)) problems.push({ place, what: `${name} ${found.what}` });
      return written;
    },
    problems,
  );
  if (problems.length > 0) throw failureOf(problems, { ...unreadable, code: 'ERR_CONFIG_INVALID' });
  const [state, socket] = [textAt(file.value, ['state']), textAt(file.value, ['control', 'socket'])];
  return { ...(state === undefined ? {} : { state }), ...(socket === undefined ? {} : { socket }) };
}

function textAt(root: unknown, path: readonly string[]): string | undefined {
  let value = root;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = new Map<string, unknown>(Object.entries(value)).get(name);
  }
  return typeof value === 'string' && value !== '' ? value : undefined;
}
