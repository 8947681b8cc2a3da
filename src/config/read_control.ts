// The control API's configuration: where it listens, and what those who come by TCP must show.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type * as z from 'zod';
import type { controlSchema } from './control_schema.ts';
import type { Endpoint } from './endpoint.ts';
import { isLoopback } from './loopback.ts';
import { usualSocket } from './places.ts';
import type { Origin, Problem } from './problem.ts';
import { readSecret, readSecretText, type Surroundings } from './secret.ts';
import { whyUnreadable } from './text_file.ts';

/** Holds secrets, never to be logged. */
export interface ControlConfig {
  /** Absolute path. */
  readonly socketPath: string;
  readonly socketMode: number;
  readonly tcp:
    | (Endpoint & {
        readonly token: string;
        readonly tls: { readonly key: string; readonly cert: string } | undefined;
        readonly hosts: readonly string[];
        readonly origins: readonly string[];
      })
    | undefined;
}

interface Around extends Surroundings {
  readonly stateDir: string;
  readonly origin: Origin;
  readonly problems: Problem[];
}

const leastTokenChars = 16;

/** Pushes every problem. */
export function readControl(written: z.output<typeof controlSchema>, around: Around): ControlConfig {
  const { directory, env, stateDir } = around;
  const usual = usualSocket(env, stateDir);
  return {
    socketPath: written.socket === undefined ? usual : resolve(directory, written.socket),
    socketMode: Number.parseInt(written.mode, 8),
    tcp: readTcp(written, around),
  };
}

function readTcp(written: z.output<typeof controlSchema>, around: Around): ControlConfig['tcp'] {
  const { listen, hosts, origins } = written;
  if (listen === undefined) return undefined;
  const token = readToken(written, around);
  const tls = readTls(written, around);
  if (tls === undefined && !written.allowPlaintext && !isLoopback(listen.host))
    tell(around, 'listen', {
      what: 'is beyond loopback, and there is no tls',
      expected: 'control.tls, or allowPlaintext where something in front of it encrypts',
    });
  return { ...listen, token, tls, hosts: hosts.map((host) => host.toLowerCase()), origins };
}

function readToken({ token }: z.output<typeof controlSchema>, around: Around): string {
  if (token === undefined) {
    tell(around, 'token', { what: 'is missing', expected: 'a token, since there is control.listen' });
    return '';
  }
  const found = readSecret(token, around);
  if (found.kind === 'problem') {
    tell(around, 'token', found);
    return '';
  }
  if (found.text.length < leastTokenChars || /\s/.test(found.text))
    tell(around, 'token', {
      what: 'is too short, or has blanks in it',
      expected: `${leastTokenChars} characters or more, such as openssl rand -hex 32 gives`,
    });
  return found.text;
}

function readTls({ tls }: z.output<typeof controlSchema>, around: Around) {
  if (tls === undefined) return undefined;
  const key = readSecretText(tls.key, around);
  if (key.kind === 'problem') tell(around, 'tls', { what: `key ${key.what}`, expected: key.expected });
  return { key: key.kind === 'found' ? key.text : '', cert: readCertificate(tls.cert, around) };
}

function readCertificate(path: string, around: Around): string {
  try {
    return readFileSync(resolve(around.directory, path), 'utf8');
  } catch (error) {
    tell(around, 'tls', { what: `cert cannot be read: ${whyUnreadable(error)}` });
    return '';
  }
}

function tell(
  { origin, problems }: Around,
  part: string,
  { what, expected }: { readonly what: string; readonly expected?: string | undefined },
): void {
  const path = ['control', part];
  problems.push({ place: origin.place(path, 'value'), what: `${origin.nameOf(path)} ${what}`, expected });
}
