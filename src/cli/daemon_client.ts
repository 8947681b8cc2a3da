// The client of the commands that talk to a daemon: where it is, and how they find it.
import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { findPlaces, type Places } from '../config/places.ts';
import { ControlClient } from '../control/client.ts';
import { configPlaces } from './send.ts';

/** Options of every command that talks to a daemon. */
export interface DaemonOptions {
  readonly config?: string;
  readonly state?: string;
  readonly socket?: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

export function addDaemonOptions(command: Command): Command {
  return command
    .option('--config <file>', `the configuration file (else ${configPlaces.join(' or ')})`)
    .option('--state <dir>', 'the state directory of the daemon')
    .option('--socket <path>', "the daemon's socket (else as the configuration says)")
    .option(
      '--url <url>',
      'a daemon on TCP, such as https://host:8025; its token is in $POSTHASTE_TOKEN or --token-file',
    )
    .option('--token-file <file>', 'file with the token for --url')
    .option('--json', 'JSON on stdout');
}

/** Throws ERR_TOKEN_MISSING (64) and what a bad configuration throws. */
export function openClient(options: DaemonOptions): ControlClient {
  const { socket, url, tokenFile } = options;
  if (url !== undefined) return new ControlClient({ kind: 'url', url, token: readToken(tokenFile) });
  if (socket !== undefined) return new ControlClient({ kind: 'socket', path: socket });
  return new ControlClient({ kind: 'socket', path: placesOf(options).socketPath });
}

/** Where the state and the daemon are, by the options or the configuration. */
export function placesOf({ config, state }: DaemonOptions): Places {
  return findPlaces(config ?? configPlaces.find(existsSync), process.env, { state });
}

function readToken(path: string | undefined): string {
  const token = path === undefined ? process.env['POSTHASTE_TOKEN'] : readTokenFile(path);
  if (token !== undefined && token !== '') return token;
  throw new PosthasteError({
    code: 'ERR_TOKEN_MISSING',
    message: 'a daemon on TCP wants a token, and there is none',
    hint: 'set POSTHASTE_TOKEN, or name a file with --token-file',
    exitCode: ExitCode.usage,
  });
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new PosthasteError({
      code: 'ERR_TOKEN_MISSING',
      message: `the token file ${path} cannot be read: ${messageOf(error)}`,
      hint: 'name a file that this user may read',
      where: path,
      exitCode: ExitCode.noInput,
      cause: error,
    });
  }
}
