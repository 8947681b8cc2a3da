// The handshake: nodemailer connects, secures and authenticates; then the socket passes to us.
import { isIPv6, type Socket } from 'node:net';
import { TLSSocket, type ConnectionOptions } from 'node:tls';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import openHttpTunnel from 'nodemailer/lib/smtp-connection/http-proxy-client';
import { messageOf } from '../base/error.ts';
import { invariant, unreachable } from '../base/invariant.ts';
import type { Stage } from '../mail/verdict.ts';
import { AccessTokens } from './access_token.ts';
import { parseExtensions, type Extensions } from './extensions.ts';
import {
  describeTrouble,
  findTrouble,
  HandshakeError,
  timeoutReasonOf,
  type FailureDescription,
  type Trouble,
} from './handshake_failure.ts';
import { ehloLinesOf, takeSocket } from './handover.ts';
import { HandshakeWatch, watchForInjection } from './handshake_watch.ts';
import { chooseMechanism } from './mechanism.ts';
import type { OAuth2, PasswordAuth, RelayOptions, RelayProxy } from './relay.ts';
import { openSocksTunnel, SocksError } from './socks.ts';
import { encodeToken, logInWithToken } from './xoauth2.ts';

/** A session that may begin transactions. The socket has no listeners and no timeout. */
export interface OpenSession {
  readonly kind: 'open';
  readonly socket: Socket;
  readonly extensions: Extensions;
}

/** Why no session could be opened. Plain data: it crosses threads. */
export interface HandshakeFailure extends FailureDescription {
  readonly kind: 'failed';
}

/** What a thread keeps of a relay between sessions. */
interface Memory {
  /** Of the last session whose certificate was verified for these very options, so it need not be again. */
  tlsSession: Buffer | undefined;
  readonly tokens: AccessTokens | undefined;
}

/** By the options themselves: other options for the same host share nothing. */
const memories = new WeakMap<RelayOptions, Memory>();

/**
 * Opens one session. Takes at most the relay's connection, greeting and command timeouts together, twice that where the
 * relay stumbles over a resumed TLS session and `mayConnectAgain`; never throws; destroys what it cannot use.
 */
export async function openSession(
  relay: RelayOptions,
  mayConnectAgain: () => Promise<boolean> = async () => true,
): Promise<OpenSession | HandshakeFailure> {
  const memory = recall(relay);
  const resumed = memory.tlsSession;
  let ended = await new Handshake(relay, memory).run();
  if (ended.kind === 'trouble' && resumed !== undefined) {
    memory.tlsSession = undefined;
    if (ended.trouble.reason === 'tlsFailed' && (await mayConnectAgain()))
      ended = await new Handshake(relay, memory).run();
  }
  if (ended.kind === 'open') return ended;
  return { kind: 'failed', ...describeTrouble(ended.trouble, relay, tokenSecretsOf(relay, memory)) };
}

function recall(relay: RelayOptions): Memory {
  const known = memories.get(relay);
  if (known !== undefined) return known;
  const tokens = relay.auth?.type === 'OAuth2' ? new AccessTokens(relay.auth) : undefined;
  const memory = { tlsSession: undefined, tokens };
  memories.set(relay, memory);
  return memory;
}

/** Tokens as they are and as they go over the wire. */
function tokenSecretsOf({ auth }: RelayOptions, { tokens }: Memory): string[] {
  if (auth?.type !== 'OAuth2') return [];
  const secrets = [...(tokens?.secrets ?? []), auth.accessToken ?? ''].filter((secret) => secret !== '');
  return secrets.flatMap((secret) => [secret, encodeToken(auth.user, secret)]);
}

/** Bounds an answer to EHLO of a thousand lines generously, and stops one without end. */
const maxReplyBytes = 262_144;
/** Our name for a mechanism that nodemailer does not know, lest it take its own XOAUTH2. */
const tokenHandler = 'POSTHASTE-XOAUTH2';

type Ended = OpenSession | { readonly kind: 'trouble'; readonly trouble: Trouble };

/** One attempt, from the connection to the hand-over. */
class Handshake {
  readonly #relay: RelayOptions;
  readonly #memory: Memory;
  readonly #watch: HandshakeWatch;
  /** Rejects with what ends the attempt from outside: the socket, the clock, a relay that misbehaves. */
  readonly #broken = Promise.withResolvers<never>();
  #connection: SMTPConnection | undefined;
  #isLoggingIn = false;

  constructor(relay: RelayOptions, memory: Memory) {
    this.#relay = relay;
    this.#memory = memory;
    this.#watch = new HandshakeWatch(
      () => this.#guardUpgrade(),
      () => this.#broken.reject(new HandshakeError('authGarbled')),
    );
    // It may reject when nobody waits any more.
    this.#broken.promise.catch(() => {});
  }

  async run(): Promise<Ended> {
    const { security, connectionTimeoutMs, greetingTimeoutMs, commandTimeoutMs } = this.#relay;
    // nodemailer's timeouts begin anew with every byte of a relay that drips.
    const timer = setTimeout(
      () => this.#broken.reject(new HandshakeError(timeoutReasonOf(this.#stage))),
      connectionTimeoutMs + greetingTimeoutMs + commandTimeoutMs,
    );
    try {
      return await this.#open();
    } catch (error) {
      const { offersStartTls } = this.#watch;
      const trouble = findTrouble(error, { stage: this.#stage, security, offersStartTls });
      this.#connection?.close();
      return { kind: 'trouble', trouble };
    } finally {
      clearTimeout(timer);
    }
  }

  get #stage(): Stage {
    if (this.#isLoggingIn) return 'auth';
    return this.#watch.stage ?? (this.#connection?.stage === 'connected' ? 'greeting' : 'connect');
  }

  async #open(): Promise<OpenSession> {
    const { auth, security } = this.#relay;
    if (auth !== undefined && security === 'plain') throw new HandshakeError('plainCredentials');
    const tunnel = await openTunnel(this.#relay);
    const connection = new SMTPConnection(this.#connectionOptions(tunnel));
    this.#connection = connection;
    await Promise.race([this.#broken.promise, this.#connect(connection)]);
    const ehloLines = this.#watch.isHelo ? [] : ehloLinesOf(connection);
    if (auth !== undefined) {
      this.#isLoggingIn = true;
      await Promise.race([this.#broken.promise, this.#authenticate(connection, auth, ehloLines)]);
    }
    const socket = takeSocket(connection);
    this.#memory.tlsSession = socket instanceof TLSSocket ? socket.getSession() : undefined;
    return {
      kind: 'open',
      socket,
      extensions: parseExtensions(ehloLines, socket instanceof TLSSocket && socket.authorized),
    };
  }

  #connect(connection: SMTPConnection): Promise<void> {
    // Both stay on: an 'error' event without a listener would throw.
    connection.on('error', (error: unknown) => this.#broken.reject(error));
    // A session that ends while nothing is waited for makes no error. Later than the reply that explains it.
    connection.on('end', () => setImmediate(() => this.#broken.reject(new HandshakeError('closed'))));
    return new Promise((resolve, reject) => {
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
  }

  #authenticate(
    connection: SMTPConnection,
    auth: PasswordAuth | OAuth2,
    ehloLines: readonly string[],
  ): Promise<void> {
    if (!(connection._socket instanceof TLSSocket)) throw new HandshakeError('plainCredentials');
    const method = chooseMechanism(ehloLines, auth);
    return new Promise((resolve, reject) => {
      const done = (error: unknown): void => (error === null ? resolve() : reject(error));
      const credentials = auth.type === 'OAuth2' ? {} : { user: auth.user, pass: auth.pass };
      connection.login(
        { user: auth.user, method: auth.type === 'OAuth2' ? tokenHandler : method, credentials },
        done,
      );
    });
  }

  /** nodemailer's own XOAUTH2 takes a fresh token after a challenge only, and follows challenges for ever. */
  #logInWithToken(context: SMTPConnection.CustomAuthenticationContext): void {
    const { tokens } = this.#memory;
    invariant(tokens !== undefined, 'a token login without tokens');
    const send = async (command: string): Promise<string> => (await context.sendCommand(command)).response;
    logInWithToken(this.#relay.auth?.user ?? '', tokens, send).then(
      () => context.resolve(),
      // Not to nodemailer: it would write the reply into the error's message.
      (error: unknown) => this.#broken.reject(error),
    );
  }

  /** Called when STARTTLS is about to be written. */
  #guardUpgrade(): void {
    const socket = this.#connection?._socket;
    if (!socket) return this.#broken.reject(new HandshakeError('broken'));
    watchForInjection(socket, () => this.#broken.reject(new HandshakeError('injected')));
  }

  #connectionOptions(tunnel: Socket | undefined): SMTPConnection.Options {
    const relay = this.#relay;
    return {
      host: relay.host,
      port: relay.port,
      secure: relay.security === 'tls',
      requireTLS: relay.security === 'starttls',
      ignoreTLS: relay.security === 'plain',
      name: relay.clientName,
      localAddress: relay.localAddress,
      connection: tunnel,
      connectionTimeout: relay.connectionTimeoutMs,
      greetingTimeout: relay.greetingTimeoutMs,
      socketTimeout: relay.commandTimeoutMs,
      // A session that failed its handshake is of no use to anyone; do not linger.
      socketCloseTimeout: 0,
      maxResponseSize: maxReplyBytes,
      customAuth: { [tokenHandler]: (context) => this.#logInWithToken(context) },
      transactionLog: true,
      logger: { debug: (entry: unknown, text: unknown) => this.#watch.debug(entry, text) },
      tls: this.#tlsOptions(),
    };
  }

  #tlsOptions(): ConnectionOptions {
    const { tls } = this.#relay;
    const options: ConnectionOptions = {
      // RFC 8996: TLS 1.0 and 1.1 are not to be used.
      minVersion: tls.minVersion ?? 'TLSv1.2',
      rejectUnauthorized: tls.rejectUnauthorized,
    };
    if (tls.ca !== undefined) options.ca = tls.ca;
    if (tls.servername !== undefined) options.servername = tls.servername;
    if (tls.cert !== undefined) options.cert = tls.cert;
    if (tls.key !== undefined) options.key = tls.key;
    if (tls.passphrase !== undefined) options.passphrase = tls.passphrase;
    if (this.#memory.tlsSession !== undefined) options.session = this.#memory.tlsSession;
    return options;
  }
}

/** Opens the way to the relay where it leads through a proxy; undefined where nodemailer is to connect by itself. */
async function openTunnel(relay: RelayOptions): Promise<Socket | undefined> {
  const { proxy } = relay;
  if (proxy === undefined) return undefined;
  switch (proxy.kind) {
    case 'http':
    case 'https':
      return await connectThroughHttp(proxy, relay);
    case 'socks5':
      return await connectThroughSocks(proxy, relay);
    default:
      return unreachable(proxy.kind);
  }
}

function connectThroughHttp(proxy: RelayProxy, relay: RelayOptions): Promise<Socket> {
  const url = new URL(`${proxy.kind}://${isIPv6(proxy.host) ? `[${proxy.host}]` : proxy.host}:${proxy.port}`);
  url.username = encodeURIComponent(proxy.user ?? '');
  url.password = encodeURIComponent(proxy.pass ?? '');
  const timeout = relay.connectionTimeoutMs;
  return new Promise((resolve, reject) => {
    openHttpTunnel(url.href, relay.port, relay.host, { timeout }, (error, socket) => {
      if (socket !== undefined) return resolve(socket);
      const words = messageOf(error);
      // RFC 9110 §15.5.8; nodemailer tells it in words only.
      reject(new HandshakeError(words.endsWith(': 407') ? 'proxyAuth' : 'proxyFailed', words));
    });
  });
}

async function connectThroughSocks(proxy: RelayProxy, relay: RelayOptions): Promise<Socket> {
  const { host, port, localAddress, connectionTimeoutMs: timeoutMs } = relay;
  try {
    return await openSocksTunnel({ proxy, host, port, localAddress, timeoutMs });
  } catch (error) {
    const isRefusal = error instanceof SocksError && error.refusesCredentials;
    throw new HandshakeError(isRefusal ? 'proxyAuth' : 'proxyFailed', messageOf(error));
  }
}
