// A private mail server for tests; what it accepts it passes on to a sandbox, where the tests read it.
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemCodeOf } from '../../src/base/error.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import type { KeptMessage } from '../../src/sandbox/kept_message.ts';
import { makeCertificates } from './certificates.ts';
import { startGreylist } from './greylist.ts';
import { keepServer, type KeptServer } from './keeper.ts';
import { greyPrefix } from './policy.ts';
import { isListening } from './ports.ts';
import { waitUntil } from './waiting.ts';

/** Where a server's files are to be, and whom it talks to. */
export interface Site {
  /** Absolute, and open to all users of the machine; `log/` and `tls/` with a certificate are there. */
  readonly folder: string;
  /** On loopback: where accepted messages go, in plain text. */
  readonly nextPort: number;
  /** On loopback: the policy service that is asked about recipients. */
  readonly policyPort: number;
}

/** One kind of server. Paths are within the site's folder. */
export interface ServerKind extends KeptServer {
  /** For messages to people. */
  readonly name: string;
  /** On loopback; it is ready when it listens on all. */
  readonly ports: readonly number[];
  /** Writes everything that it reads. */
  readonly prepare: (site: Site) => void;
  readonly logFile: string;
  /** In the order in which files move through them, so that none is missed on its way. */
  readonly queueFolders: readonly string[];
}

export interface Peer {
  /** PEM file of the authority that signed its certificate, which is good for 127.0.0.1 and not for localhost. */
  readonly caFile: string;
  /** What it has logged so far. */
  readonly log: () => string;
  /** Waits until it has passed on all that it accepted, then returns what arrived for a domain. */
  readonly arrivals: (domain: string) => Promise<readonly KeptMessage[]>;
  /** Stops everything and removes its files. */
  readonly stop: () => Promise<void>;
}

const startTimeoutMs = 20_000;
const deliveryTimeoutMs = 60_000;

/** Starts a server with a queue, configuration and ports of its own, on loopback. Needs root, as these servers do. */
export async function startPeer(kind: ServerKind): Promise<Peer> {
  const opened = new AsyncDisposableStack();
  try {
    const sandbox = await startSandbox({ keep: 'messages' });
    opened.defer(() => sandbox.close());
    const greylist = await startGreylist(greyPrefix);
    opened.defer(() => greylist.close());
    const folder = makeFolder(kind);
    opened.defer(() => rmSync(folder, { recursive: true, force: true }));
    kind.prepare({ folder, nextPort: sandbox.port, policyPort: greylist.port });
    opened.defer(keepServer(folder, kind));
    const log = (): string => readFileSync(join(folder, kind.logFile), 'utf8');
    await waitUntilListening(folder, kind);
    return {
      caFile: join(folder, 'tls/ca.pem'),
      log,
      arrivals: async (domain) => {
        await waitUntilDelivered(folder, kind);
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

/** Servers read their files as users of their own, so the folder is opened to them. */
function makeFolder({ name, logFile }: ServerKind): string {
  const folder = mkdtempSync(join(tmpdir(), `posthaste-${name.toLowerCase()}-`));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'log'));
  for (const file of ['log/start.log', logFile]) writeFileSync(join(folder, file), '');
  makeCertificates(join(folder, 'tls'));
  return folder;
}

async function waitUntilListening(folder: string, kind: ServerKind): Promise<void> {
  const describe = (): string =>
    `${kind.name} listens on ${kind.ports.join(', ')}:\n${readLogs(folder, kind)}`;
  for (const port of kind.ports) await waitUntil(() => isListening(port), startTimeoutMs, describe);
}

async function waitUntilDelivered(folder: string, kind: ServerKind): Promise<void> {
  const describe = (): string => `${kind.name} has delivered everything:\n${readLogs(folder, kind)}`;
  const queues = kind.queueFolders.map((name) => join(folder, name));
  await waitUntil(() => areEmpty(queues), deliveryTimeoutMs, describe);
}

/** True when all that was accepted has left: the sandbox behind never defers, so no file goes backwards. */
function areEmpty(queues: readonly string[]): boolean {
  try {
    return queues.every((queue) => countFiles(queue) === 0);
  } catch (error) {
    // A folder of the queue that has gone while it was looked at: it had something in it.
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function countFiles(folder: string): number {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile()).length;
}

function readLogs(folder: string, { logFile }: ServerKind): string {
  const files = new Set(['log/start.log', logFile]);
  return [...files].map((file) => readFileSync(join(folder, file), 'utf8')).join('');
}
