// Secrets: from where the configuration says they are (environment, file, systemd credential), and never shown.
import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import * as z from 'zod';
import { messageOf, systemCodeOf } from '../base/error.ts';
import { expects, key } from './key.ts';
import { line } from './value.ts';

/** Where relative paths, variables and credentials are looked up. */
export interface Surroundings {
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
}

/** A text, or why there is none: a sentence without subject that completes "relays.x.auth.pass …". */
export type Found = { kind: 'found'; text: string } | { kind: 'problem'; what: string; expected?: string };

const environmentName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** How a secret is written: the text itself, or where it is. */
export function secret() {
  return expects(
    z.union([z.string().min(1), secretPlace()]),
    'text, { env: NAME }, { file: PATH } or { credential: NAME }',
  );
}

/** Where a private key is. Not the text itself: keys have many lines, and configuration files many readers. */
export function keyPlace() {
  return expects(secretPlace(), '{ env: NAME }, { file: PATH } or { credential: NAME }');
}

function secretPlace() {
  return z
    .strictObject({
      env: key(line('the name of an environment variable').optional(), 'Environment variable that holds it.'),
      file: key(
        line('the path of a file').optional(),
        'File that holds it, relative to this file; one newline at its end is dropped.',
      ),
      credential: key(
        line('the name of a systemd credential').optional(),
        'Name of a systemd credential (`LoadCredential=`), read from `$CREDENTIALS_DIRECTORY`.',
      ),
    })
    .refine((value) => Object.values(value).filter((one) => one !== undefined).length === 1, {
      error: 'does not name exactly one place',
    });
}

export type SecretPlace = z.output<ReturnType<typeof secret>>;

/** Reads a secret. It has no NUL, CR or LF: AUTH PLAIN (RFC 4616 §2) has no place for NUL, and people none for the others. */
export function readSecret(written: SecretPlace, around: Surroundings): Found {
  const found = readSecretText(written, around);
  if (found.kind === 'problem') return found;
  // oxlint-disable-next-line no-control-regex -- they are what it looks for
  if (/[\u0000\r\n]/.test(found.text))
    return { kind: 'problem', what: 'has more than one line', expected: 'one line' };
  return found;
}

/** Reads a secret that may have many lines, such as a private key. */
export function readSecretText(written: SecretPlace, around: Surroundings): Found {
  const found =
    typeof written === 'string' ? ({ kind: 'found', text: written } as const) : look(written, around);
  return found.kind === 'found' && found.text === '' ? { kind: 'problem', what: 'is empty' } : found;
}

/**
 * Replaces every `${NAME}` by the environment's NAME; `$${` stands for `${`. An unset variable and an
 * unfinished `${` are problems, for what follows would work with half a value.
 */
export function interpolate(written: string, env: NodeJS.ProcessEnv): Found {
  let what: string | undefined;
  const text = written.replace(
    /\$\$\{|\$\{([^}]*)(\}?)/g,
    (match: string, name: string | undefined, end: string) => {
      if (match === '$${') return '${';
      const found =
        end === '}' && environmentName.test(name ?? '') ? readVariable(name ?? '', env) : unfinished;
      if (found.kind === 'found') return found.text;
      what ??= found.what;
      return '';
    },
  );
  return what === undefined ? { kind: 'found', text } : { kind: 'problem', what };
}

const unfinished: Found = {
  kind: 'problem',
  what: 'has "${" without a variable name and "}" behind it (write "$${" for a literal "${")',
};

function look(written: Exclude<SecretPlace, string>, around: Surroundings): Found {
  if (written.env !== undefined) return readVariable(written.env, around.env);
  if (written.file !== undefined)
    return readSecretFile(resolve(around.directory, written.file), `file ${written.file}`);
  return readCredential(written.credential ?? '', around.env);
}

function readVariable(name: string, env: NodeJS.ProcessEnv): Found {
  if (!environmentName.test(name)) {
    return {
      kind: 'problem',
      what: 'has a name that no environment variable has',
      expected: 'a name such as SMTP_PASSWORD',
    };
  }
  const text = Object.hasOwn(env, name) ? env[name] : undefined;
  if (text === undefined)
    return { kind: 'problem', what: `needs the environment variable ${name}, which is not set` };
  return { kind: 'found', text };
}

function readCredential(name: string, env: NodeJS.ProcessEnv): Found {
  const directory = env['CREDENTIALS_DIRECTORY'];
  if (directory === undefined || directory === '') {
    return {
      kind: 'problem',
      what: `needs the systemd credential ${name}, yet $CREDENTIALS_DIRECTORY is not set`,
      expected: 'LoadCredential= in the unit',
    };
  }
  if (basename(name) !== name || name === '..') {
    return { kind: 'problem', what: 'names a credential with a path', expected: 'a bare name' };
  }
  return readSecretFile(join(directory, name), `systemd credential ${name}`);
}

function readSecretFile(path: string, title: string): Found {
  try {
    return { kind: 'found', text: readFileSync(path, 'utf8').replace(/\r?\n$/, '') };
  } catch (error) {
    return {
      kind: 'problem',
      what: `needs the ${title}, which cannot be read (${systemCodeOf(error) ?? messageOf(error)})`,
    };
  }
}
