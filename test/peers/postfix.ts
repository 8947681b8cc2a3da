// A private Postfix for tests; what it accepts it relays to a sandbox, where the tests read it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import type { KeptMessage } from '../../src/sandbox/kept_message.ts';
import { startGreylist } from './greylist.ts';
import { greyPrefix, systemPath, writePostfixFiles, type PostfixSettings } from './postfix_files.ts';

type Ports = Pick<PostfixSettings, 'submissionPort' | 'smtpsPort' | 'impatientPort' | 'narrowPort'>;

export interface Postfix extends Ports {
  /** PEM file of the authority that signed Postfix's certificate, which is good for 127.0.0.1 and not for localhost. */
  readonly caFile: string;
  /** What Postfix has logged so far. */
  readonly log: () => string;
  /** Waits until Postfix has passed on all that it accepted, then returns what arrived for a domain. */
  readonly arrivals: (domain: string) => Promise<readonly KeptMessage[]>;
  /** Stops everything and removes its files. */
  readonly stop: () => Promise<void>;
}

const startTimeoutMs = 20_000;
const deliveryTimeoutMs = 20_000;
const pollEveryMs = 50;

/** Starts a Postfix of its own queue, configuration and ports, on loopback. Needs root, as Postfix does. */
export async function startPostfix(): Promise<Postfix> {
  const opened = new AsyncDisposableStack();
  try {
    const sandbox = await startSandbox({ keep: 'messages' });
    opened.defer(() => sandbox.close());
    const greylist = await startGreylist(greyPrefix);
    opened.defer(() => greylist.close());
    const folder = mkdtempSync(join(tmpdir(), 'posthaste-postfix-'));
    opened.defer(() => rmSync(folder, { recursive: true, force: true }));
    const ports = await findFreePorts();
    writePostfixFiles({ folder, ...ports, nextPort: sandbox.port, policyPort: greylist.port });
    opened.defer(runPostfix(folder));
    await waitUntilListening(folder, Object.values(ports));
    return {
      ...ports,
      caFile: join(folder, 'tls/ca.pem'),
      log: () => readLog(folder, 'mail.log'),
      arrivals: async (domain) => {
        await waitUntilDelivered(folder);
        return sandbox
          .messages()
          .filter(({ recipients }) => recipients.some((one) => one.endsWith(`@${domain}`)));
      },
      stop: () => opened.disposeAsync(),
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** Keeps Postfix until its own standard input ends, so that Postfix goes with the test, however the test ends. */
const keeper =
  'exec >"$1/log/start.log" 2>&1; postfix -c "$1/etc" start-fg & cat; postfix -c "$1/etc" stop; wait; rm -rf "$1"';

/** Starts Postfix and returns what stops it. In a session of its own: Ctrl-C must not end the keeper half-way. */
function runPostfix(folder: string): () => Promise<void> {
  const child = spawn('/bin/sh', ['-c', keeper, 'keeper', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: systemPath(),
    detached: true,
  });
  const exited = once(child, 'exit');
  return async () => {
    child.stdin.end();
    await exited;
  };
}

async function waitUntilListening(folder: string, ports: readonly number[]): Promise<void> {
  const describe = (): string =>
    `Postfix listens on ${ports.join(', ')}:\n${readLog(folder, 'start.log')}${readLog(folder, 'mail.log')}`;
  for (const port of ports) await waitUntil(() => isListening(port), startTimeoutMs, describe);
}

async function waitUntilDelivered(folder: string): Promise<void> {
  const describe = (): string => `Postfix has delivered everything:\n${readLog(folder, 'mail.log')}`;
  await waitUntil(() => isQueueEmpty(folder), deliveryTimeoutMs, describe);
}

/**
 * True when all that was accepted has left. The queues are looked at in the order in which files move through them, so
 * that none is missed on its way; the sandbox behind never defers, so none goes backwards.
 */
function isQueueEmpty(folder: string): boolean {
  return ['incoming', 'active', 'deferred'].every((name) => countFiles(join(folder, 'queue', name)) === 0);
}

function countFiles(folder: string): number {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile()).length;
}

function readLog(folder: string, name: string): string {
  return readFileSync(join(folder, 'log', name), 'utf8');
}

/** Throws with what did not come true. */
async function waitUntil(
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs: number,
  describe: () => string,
): Promise<void> {
  const endsAt = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > endsAt) throw new Error(`not true within ${timeoutMs / 1000} s: ${describe()}`);
    await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

/** All are held at once, so that they differ. */
async function findFreePorts(): Promise<Ports> {
  const servers = [createServer(), createServer(), createServer(), createServer()];
  const [submissionPort = 0, smtpsPort = 0, impatientPort = 0, narrowPort = 0] = await Promise.all(
    servers.map(async (server) => {
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return { submissionPort, smtpsPort, impatientPort, narrowPort };
}
