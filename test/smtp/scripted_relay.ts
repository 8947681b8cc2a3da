// For tests: a relay that is a table of answers, with or without TLS, and the options that lead to it.
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createSecureContext, createServer as createTlsServer, TLSSocket, type TlsOptions } from 'node:tls';
import { openSession, type HandshakeFailure, type OpenSession } from '../../src/smtp/handshake.ts';
import type { RelayOptions } from '../../src/smtp/relay.ts';
import { makeCertificate } from '../../src/sandbox/certificate.ts';

/** For localhost; to be trusted as `tls.ca`. */
export const pair = makeCertificate();

/** The lines of a reply, without the last CRLF; raw bytes; silence; or the end of the connection. */
export type Answer = string | Buffer | typeof silence | typeof hangUp;
export const silence = Symbol('silence');
export const hangUp = Symbol('hang up');

/** By verb; `*` is for lines that are no command. A list is used up, its last one stays. */
export type Answers = Readonly<Record<string, Answer | readonly Answer[] | ((line: string) => Answer)>>;

export interface Script {
  readonly greeting?: Answer | undefined;
  /** Before STARTTLS, and after it too where `secured` is absent. */
  readonly plain?: Answers | undefined;
  readonly secured?: Answers | undefined;
  readonly implicitTls?: boolean | undefined;
  /** Options of the server's side of TLS. */
  readonly tls?: TlsOptions | undefined;
}

export interface ScriptedRelay {
  readonly port: number;
  /** Lines of all connections; those that came through TLS are marked. */
  readonly received: readonly { line: string; secure: boolean }[];
  /** The sockets as they are last: those of TLS where there is TLS. */
  readonly sockets: readonly Socket[];
  /** The verbs that were received, in their order. */
  verbs(): string[];
}

const usual: Answers = { EHLO: '250 relay.example', QUIT: '221 bye' };

/** Starts a relay that answers by its script; it ends with the test. */
export async function startRelay(context: TestContext, script: Script): Promise<ScriptedRelay> {
  const received: { line: string; secure: boolean }[] = [];
  const sockets: Socket[] = [];
  const secureContext = createSecureContext({ ...pair, ...script.tls });
  const uses = new Map<string, number>();

  const isImplicit = script.implicitTls === true;
  const accept = (socket: Socket): void => {
    sockets.push(socket);
    socket.on('error', () => {});
    serve(socket, isImplicit);
    say(socket, script.greeting ?? '220 relay.example ESMTP');
  };
  const server = isImplicit ? createTlsServer({ ...pair, ...script.tls }, accept) : createServer(accept);
  const secure = (socket: Socket): void => {
    const { requestCert, rejectUnauthorized } = script.tls ?? {};
    const secured = new TLSSocket(socket, { isServer: true, secureContext, requestCert, rejectUnauthorized });
    secured.on('error', () => {});
    sockets[sockets.indexOf(socket)] = secured;
    serve(secured, true);
  };
  const serve = (socket: Socket, isSecure: boolean): void => {
    let rest = '';
    socket.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) answer(socket, line, isSecure);
    });
  };
  const answer = (socket: Socket, line: string, isSecure: boolean): void => {
    received.push({ line, secure: isSecure });
    const answers = { ...usual, ...(isSecure ? (script.secured ?? script.plain) : script.plain) };
    const verb = /^[A-Z]{4,}/.exec(line)?.[0] ?? '*';
    const found = answers[verb] ?? answers['*'] ?? '500 what?';
    const isUpgrade = verb === 'STARTTLS' && !isSecure;
    const one = choose(found, `${isSecure}${verb}`, line);
    const begins = isUpgrade && typeof one !== 'symbol' && one.toString().startsWith('220');
    if (begins) socket.removeAllListeners('data');
    say(socket, one);
    if (begins) secure(socket);
  };
  const choose = (found: Answers[string], key: string, line: string): Answer => {
    if (typeof found === 'function') return found(line);
    if (!isList(found)) return found;
    const use = uses.get(key) ?? 0;
    uses.set(key, use + 1);
    return found[Math.min(use, found.length - 1)] ?? silence;
  };

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const verbs = () => received.map(({ line }) => /^[A-Z]{4,}/.exec(line)?.[0] ?? '*');
  return { port: portOf(server), received, sockets, verbs };
}

function say(socket: Socket, answer: Answer): void {
  if (answer === silence) return;
  if (answer === hangUp) socket.destroy();
  else if (typeof answer === 'string') socket.write(`${answer.replaceAll('\n', '\r\n')}\r\n`);
  else socket.write(answer);
}

function isList(value: unknown): value is readonly Answer[] {
  return Array.isArray(value);
}

export function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Options for a relay on this machine that shows `pair`. */
export function relayAt(port: number, more: Partial<RelayOptions> = {}): RelayOptions {
  return {
    name: 'test',
    host: 'localhost',
    port,
    security: 'starttls',
    maxConnections: 5,
    maxMessages: 100,
    pipelining: 'auto',
    inFlight: 16,
    tls: { rejectUnauthorized: true, ca: pair.cert },
    connectionTimeoutMs: 3000,
    greetingTimeoutMs: 3000,
    commandTimeoutMs: 3000,
    endOfDataTimeoutMs: 3000,
    ...more,
  };
}

/** A session that must open; its socket ends with the test. */
export async function mustOpen(context: TestContext, relay: RelayOptions): Promise<OpenSession> {
  const opened = await openSession(relay);
  if (opened.kind === 'failed') throw new Error(`no session: ${opened.verdict.text} (${opened.hint})`);
  context.after(() => opened.socket.destroy());
  return opened;
}

/** A session that must not open. */
export async function mustFail(relay: RelayOptions): Promise<HandshakeFailure> {
  const opened = await openSession(relay);
  if (opened.kind === 'failed') return opened;
  opened.socket.destroy();
  throw new Error('a session was opened that must not be');
}
