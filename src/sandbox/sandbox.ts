// Runs a sandbox: an SMTP relay of our own that accepts, throttles, fails and lies on demand.
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { systemClock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { type CertificatePair, makeCertificate } from './certificate.ts';
import { unreachable } from '../base/invariant.ts';
import { Connection } from './connection.ts';
import { FaultPlan } from './fault_plan.ts';
import type { KeptMessage } from './kept_message.ts';
import { type CertificateFlaw, type SandboxOptions, settleSession } from './options.ts';
import { Session, type SessionHome } from './session.ts';
import { emptyStats, type SandboxStats } from './stats.ts';

const dayMs = 86_400_000;

export interface Sandbox {
  readonly host: string;
  /** The one it listens on, also where 0 was asked for. */
  readonly port: number;
  /** PEM, for clients to trust; undefined without TLS. */
  readonly certificate: string | undefined;
  /** The counts as they are now. */
  stats(): SandboxStats;
  /** What was kept, in the order of arrival; empty where `keep` is 'none'. */
  messages(): readonly KeptMessage[];
  /** Cuts all connections and stops listening; nothing of it is left when the promise resolves. */
  close(): Promise<void>;
}

/**
 * Starts a sandbox and resolves when it listens.
 *
 * @throws PosthasteError ERR_SANDBOX_LISTEN where the address cannot be had, ERR_SANDBOX_CERTIFICATE where the given
 * certificate and key are no pair of PEM.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const host = options.host ?? '127.0.0.1';
  const pair = findCertificate(options, host);
  const secureContext = pair === undefined ? undefined : readCertificate(pair);
  const stats = emptyStats();
  const messages: KeptMessage[] = [];
  const plan = new FaultPlan(options.faults ?? [], options.seed ?? 1, () => systemClock.monotonic());
  const keep = (message: KeptMessage): void => void messages.push(message);
  const home = { settings: settleSession(options), plan, stats, keep };
  const reception = new Reception(home, options.latencyMs ?? 0, secureContext);
  const port = await reception.listen(host, options.port ?? 0);
  return {
    host,
    port,
    certificate: pair?.cert,
    stats: () => ({ ...stats, refused: { ...stats.refused }, violations: { ...stats.violations } }),
    messages: () => messages,
    close: () => reception.close(),
  };
}

function findCertificate(options: SandboxOptions, host: string): CertificatePair | undefined {
  if (options.tls === undefined || options.tls === 'none') return undefined;
  return options.certificate ?? generateCertificate(host, options.certificateFlaw);
}

function generateCertificate(host: string, flaw: CertificateFlaw | undefined): CertificatePair {
  const names = [...new Set(['localhost', '127.0.0.1', '::1', host])];
  switch (flaw) {
    case undefined:
      return makeCertificate({ names });
    case 'wrong-name':
      return makeCertificate({ names: ['other.example'] });
    case 'expired': {
      const now = Date.now();
      return makeCertificate({ names, notBeforeAt: now - 2 * dayMs, notAfterAt: now - dayMs });
    }
    default:
      return unreachable(flaw);
  }
}

function readCertificate(pair: CertificatePair): SecureContext {
  try {
    return createSecureContext({ key: pair.key, cert: pair.cert });
  } catch (cause) {
    throw new PosthasteError({
      code: 'ERR_SANDBOX_CERTIFICATE',
      message: `The sandbox's certificate cannot be used (${messageOf(cause)}), expected a PEM certificate and its PEM key.`,
      hint: 'Leave both out to have a certificate for localhost generated.',
      exitCode: ExitCode.config,
      cause,
    });
  }
}

/** The listening socket and the connections that came of it. */
class Reception {
  readonly #home: SessionHome;
  readonly #latencyMs: number;
  readonly #secureContext: SecureContext | undefined;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  /** Open connections by IP address; none where there are none. */
  readonly #openByClient = new Map<string, number>();

  constructor(home: SessionHome, latencyMs: number, secureContext: SecureContext | undefined) {
    this.#home = home;
    this.#latencyMs = latencyMs;
    this.#secureContext = secureContext;
    this.#server = createServer({ noDelay: true }, (socket) => this.#welcome(socket));
  }

  async listen(host: string, port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    try {
      this.#server.listen({ host, port, backlog: 1024 }, resolve);
      await promise;
    } catch (cause) {
      throw listenError(host, port, cause);
    }
    // Accepting may still fail later, for want of file descriptors: the clients notice, and it goes on.
    this.#server.off('error', reject).on('error', () => {});
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  #welcome(socket: Socket): void {
    const { stats } = this.#home;
    stats.connections += 1;
    stats.openConnections += 1;
    const client = socket.remoteAddress ?? '';
    this.#count(client, 1);
    const countFromClient = (): number => this.#openByClient.get(client) ?? 0;
    const session = new Session(this.#home, stats.connections, countFromClient);
    const connection: Connection = new Connection(socket, session, {
      latencyMs: this.#latencyMs,
      secureContext: this.#secureContext,
      onClosed: () => {
        stats.openConnections -= 1;
        this.#count(client, -1);
        this.#connections.delete(connection);
      },
    });
    this.#connections.add(connection);
  }

  #count(client: string, change: 1 | -1): void {
    const open = (this.#openByClient.get(client) ?? 0) + change;
    if (open > 0) this.#openByClient.set(client, open);
    else this.#openByClient.delete(client);
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    // It calls back when the last connection is gone; an error says only that it was closed before.
    this.#server.close(() => resolve());
    for (const connection of this.#connections) connection.destroy();
    await promise;
  }
}

function listenError(host: string, port: number, cause: unknown): PosthasteError {
  const systemCode = systemCodeOf(cause);
  return new PosthasteError({
    code: 'ERR_SANDBOX_LISTEN',
    message: `The sandbox cannot listen on ${host}:${port} (${systemCode ?? messageOf(cause)}), expected a free address of this machine.`,
    hint:
      systemCode === 'EACCES'
        ? 'Ports below 1024 need a privilege: take a higher one, or port 0 for any free one.'
        : 'Take another port, or port 0 for any free one.',
    exitCode: systemCode === 'EACCES' ? ExitCode.noPermission : ExitCode.unavailable,
    cause,
  });
}
