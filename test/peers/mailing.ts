// A mailing of Posthaste through a peer: its campaign, list and configuration, in a folder that goes with the test.
import { execFile } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { Folder, type Ended } from '../cli/posthaste.ts';
import { account } from './policy.ts';

/** A relay as the configuration file has it; `ca` is a PEM file. Its credentials are in the environment where none are here. */
export interface Relay {
  readonly host?: string;
  readonly port: number;
  readonly secure?: boolean;
  readonly auth?: Readonly<Record<string, unknown>> | 'none';
  readonly ca?: string;
  readonly pipelining?: Pipelining;
  readonly inFlight?: number;
  readonly maxConnections?: number;
  readonly maxMessages?: number;
  readonly rateLimit?: number;
  readonly rateDelta?: string;
}

export type Pipelining = 'auto' | 'off' | 'standard' | 'deep';

/** Sends without a configuration file: the relay comes with `--relay`. */
export const bareArgs = ['send', 'campaign.yaml', 'list.csv', '--state', 'state', '--json'];
export const args = [...bareArgs, '--config', 'relay.yaml'];
export const resultArgs = [...args, '--results', 'results.ndjson'];

/** Where a relay without `auth` has its credentials from. */
export const environment = { SMTP_USER: account.user, SMTP_PASS: account.pass };

/** A campaign of this name to recipients at NAME.test. */
export function openMailing(context: TestContext, name: string, relay: Relay, list: string): Folder {
  const campaign = {
    name,
    from: 'Shop <hello@mail.example.com>',
    subject: '{{ first_name }}, spring is here',
    text: 'Dear {{ first_name }}, your code is {{ code }}.\n',
    html: '<p>Dear {{ first_name }}, your code is <b>{{ code }}</b>.</p>',
    list: { address: 'email' },
    // A run whose relay is gone ends, too: it must not outlive its test for two days.
    retry: { first: '1s', factor: 1, jitter: 0, giveUpAfter: '1m' },
  };
  return new Folder(context, {
    'campaign.yaml': JSON.stringify(campaign),
    'relay.yaml': writeConfig(relay),
    'list.csv': list,
  });
}

/** The configuration file: JSON is YAML. */
export function writeConfig({ ca, auth = fromEnvironment, ...relay }: Relay): string {
  const credentials = auth === 'none' ? {} : { auth };
  const tls = ca === undefined ? {} : { tls: { ca: { file: ca } } };
  return JSON.stringify({ relays: { peer: { host: '127.0.0.1', ...relay, ...credentials, ...tls } } });
}

const fromEnvironment = { user: '${SMTP_USER}', pass: '${SMTP_PASS}' };

/** prefix1@NAME.test and so on, for each prefix as many as it says; what a row holds follows from its address. */
export function makeList(name: string, rowsByPrefix: Readonly<Record<string, number>>): string {
  const lines = ['email,first_name,code'];
  for (const [prefix, rows] of Object.entries(rowsByPrefix)) {
    for (let row = 1; row <= rows; row += 1) {
      const address = `${prefix}${row}@${name}.test`;
      lines.push(`${address},${firstNameOf(address)},${codeOf(address)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** As `makeList`: `rows` recipients, of whom 30 of every hundred begin with `otherPrefix` and stand between the rest. */
export function makeMixedList(name: string, rows: number, otherPrefix: string): string {
  const [head = '', ...lines] = makeList(name, { reader: rows }).trimEnd().split('\n');
  const mixed = lines.map((line, row) => (row % 10 < 3 ? line.replaceAll('reader', otherPrefix) : line));
  return `${[head, ...mixed].join('\n')}\n`;
}

/** The name that the list has for an address: not ASCII, and to be escaped in HTML. */
export function firstNameOf(address: string): string {
  return `Zoë ${address.slice(0, address.indexOf('@'))} & Co`;
}

export function codeOf(address: string): string {
  return `C-${Number(/\d+/.exec(address)?.[0]) * 7}`;
}

/** Runs a line of bash in the folder, where `posthaste` is the program. Fails when any part of a pipe fails. */
export function runShell(folder: Folder, line: string): Promise<Ended> {
  const main = resolve(import.meta.dirname, '../../src/main.ts');
  folder.write('bin/posthaste', `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
  chmodSync(join(folder.path, 'bin/posthaste'), 0o755);
  const path = [join(folder.path, 'bin'), process.env['PATH'] ?? '/usr/bin:/bin'].join(delimiter);
  const options = { cwd: folder.path, env: { ...environment, PATH: path }, timeout: 60_000 };
  const bashArgs = ['--norc', '-o', 'pipefail', '-c', line];
  return new Promise((done) => {
    const child = execFile('bash', bashArgs, options, (_, stdout, stderr) =>
      done({ code: child.exitCode, signal: child.signalCode, stdout, stderr }),
    );
  });
}
