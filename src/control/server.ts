// The listeners of the control API: a Unix socket, and TCP for those who have the token.
import { once } from 'node:events';
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { closeHttpServer } from '../base/http.ts';
import { HttpRefusal, refusalOf, type Answer } from './answer.ts';
import { checkCaller, type TcpRules } from './guard.ts';
import { describeApi } from './openapi.ts';
import type { Operations } from './operations.ts';
import { readRequest } from './request.ts';
import { Turns, type WaitForClient } from './turns.ts';
import { findRoute } from './router.ts';

export interface ControlOptions {
  readonly socketPath: string;
  /** Of the socket: who may write to it may do everything. */
  readonly socketMode: number;
  readonly tcp: (TcpRules & TcpPlace) | undefined;
  readonly version: string;
  readonly operations: Operations;
  /** Hears what failed while a request was answered, where it is our fault. */
  readonly onError: (thrown: unknown) => void;
  readonly limits?: Partial<ControlLimits> | undefined;
}

export interface ControlLimits {
  /** How long a body, or a client that reads, may pause. Our own work may take longer. */
  readonly idleTimeoutMs: number;
  /** Between signs of life in a stream of events. */
  readonly heartbeatEveryMs: number;
  /** Who follows the events holds a connection: some are left for those who steer. */
  readonly mostFollowers: number;
}

export interface TcpPlace {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly key: string; readonly cert: string } | undefined;
}

export interface ControlServer {
  /** Undefined where it does not listen on TCP. */
  readonly tcpPort: number | undefined;
  /** Takes nothing new, lets answers that are under way end for a moment, then ends all connections. */
  close(): Promise<void>;
}

const maxConnections = 200;
/** For the request line and its fields; a body may take as long as it flows. */
const headersTimeoutMs = 10_000;
const usualLimits: ControlLimits = { idleTimeoutMs: 60_000, heartbeatEveryMs: 15_000, mostFollowers: 50 };
const closeGraceMs = 1000;
const lingerMs = 2000;
const probeMs = 2000;

/** What the listeners share. */
interface Service {
  readonly options: ControlOptions;
  readonly limits: ControlLimits;
  readonly turns: Turns;
  readonly followers: Set<ServerResponse>;
  readonly closing: AbortSignal;
}

/** Rejects with PosthasteErrors ERR_CONTROL_IN_USE (75) and ERR_CONTROL_LISTEN (78). */
export async function startControl(options: ControlOptions): Promise<ControlServer> {
  const closing = new AbortController();
  const service: Service = {
    options,
    limits: { ...usualLimits, ...options.limits },
    turns: new Turns(),
    followers: new Set(),
    closing: closing.signal,
  };
  const socket = await listenOnSocket(service);
  try {
    const tcp = options.tcp === undefined ? undefined : await listenOnTcp(service, options.tcp);
    const servers = tcp === undefined ? [socket] : [socket, tcp.server];
    return {
      tcpPort: tcp?.port,
      close: async () => {
        closing.abort();
        await Promise.all(servers.map((server) => closeHttpServer(server, closeGraceMs)));
      },
    };
  } catch (error) {
    await closeHttpServer(socket, closeGraceMs);
    throw error;
  }
}

async function listenOnSocket(service: Service): Promise<Server> {
  const { socketPath, socketMode } = service.options;
  await removeStale(socketPath);
  const server = createServer((request, response) => void serve(service, undefined, request, response));
  configure(server, service);
  // Between bind and chmod nobody else may connect. A path is bound at once, so no other file is made under this mask.
  const before = process.umask(0o177);
  try {
    server.listen(socketPath);
  } finally {
    process.umask(before);
  }
  try {
    await once(server, 'listening');
    chmodSync(socketPath, socketMode);
  } catch (error) {
    server.close();
    throw listenError(socketPath, error);
  }
  return server;
}

/** A daemon that died leaves its socket; one that lives answers. */
async function removeStale(socketPath: string): Promise<void> {
  const stat = lstatSync(socketPath, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket() || (await answers(socketPath))) {
    throw new PosthasteError({
      code: 'ERR_CONTROL_IN_USE',
      message: stat.isSocket()
        ? `another daemon listens at ${socketPath}`
        : `${socketPath} is there, and is no socket`,
      hint: 'Stop that daemon, or name another place with control.socket.',
      exitCode: ExitCode.tempFail,
    });
  }
  unlinkSync(socketPath);
}

/** Only a refusal says that nobody is there: a daemon that is busy, or not ours to speak to, is alive. */
async function answers(socketPath: string): Promise<boolean> {
  const probe = connect(socketPath);
  try {
    return await new Promise<boolean>((resolve) => {
      probe.setTimeout(probeMs, () => resolve(true));
      probe.once('connect', () => resolve(true));
      probe.once('error', (error) =>
        resolve(!['ECONNREFUSED', 'ENOENT'].includes(systemCodeOf(error) ?? '')),
      );
    });
  } finally {
    probe.destroy();
  }
}

async function listenOnTcp(
  service: Service,
  tcp: TcpRules & TcpPlace,
): Promise<{ server: Server; port: number }> {
  const listener = (request: IncomingMessage, response: ServerResponse): void =>
    void serve(service, tcp, request, response);
  const server = tcp.tls === undefined ? createServer(listener) : createTlsServer(tcp.tls, listener);
  configure(server, service);
  try {
    server.listen({ host: tcp.host, port: tcp.port });
    await once(server, 'listening');
  } catch (error) {
    throw listenError(`${tcp.host}:${tcp.port}`, error);
  }
  const address: AddressInfo | string | null = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : tcp.port };
}

function configure(server: Server, { turns, limits }: Service): void {
  server.headersTimeout = headersTimeoutMs;
  // A list may take hours; that it stands still is noticed by the socket.
  server.requestTimeout = 0;
  server.maxConnections = maxConnections;
  server.maxHeadersCount = 100;
  server.setTimeout(limits.idleTimeoutMs, (socket: Socket) => {
    // To check a long list, or a large campaign's rows, may take longer than any client may.
    if (!turns.isOurs(socket)) socket.destroy();
  });
}

async function serve(
  service: Service,
  rules: TcpRules | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, service.closing]);
  const { socket } = request;
  const wait = service.turns.begin(socket);
  try {
    checkCaller(request.headers, rules);
    const answer = await answerTo(service.options, request, signal, wait);
    await send(service, response, answer, signal, wait);
  } catch (error) {
    refuse(service.options, request, response, error);
  } finally {
    service.turns.end(socket);
  }
}

async function answerTo(
  { operations, version }: ControlOptions,
  request: IncomingMessage,
  signal: AbortSignal,
  wait: WaitForClient,
): Promise<Answer> {
  const [path, search] = splitTarget(request.url ?? '');
  if (request.method === 'GET' && path === '/v1/openapi.json')
    return { kind: 'json', status: 200, body: describeApi(version) };
  const { route, params } = findRoute(request.method ?? '', path);
  const input = await readRequest(request, route, search, wait);
  return route.run(operations, { ...input, params, signal });
}

/** Taken as it came: what a parser of URLs would leave out or put together is none of our paths. */
function splitTarget(target: string): [path: string, search: URLSearchParams] {
  const [path = '', ...query] = target.split('?');
  if (path.startsWith('/')) return [path, new URLSearchParams(query.join('?'))];
  throw new HttpRefusal(400, {
    code: 'ERR_REQUEST_INVALID',
    message: 'the target of the request is no path',
    hint: 'ask for a path, such as /v1/campaigns',
  });
}

async function send(
  service: Service,
  response: ServerResponse,
  answer: Answer,
  signal: AbortSignal,
  wait: WaitForClient,
): Promise<void> {
  const common = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
  switch (answer.kind) {
    case 'none':
      response.writeHead(204, common).end();
      return;
    case 'json': {
      const body = `${JSON.stringify(answer.body)}\n`;
      const location = answer.location === undefined ? {} : { location: answer.location };
      const length = Buffer.byteLength(body);
      response
        .writeHead(answer.status, {
          ...common,
          ...location,
          'content-type': 'application/json; charset=utf-8',
          'content-length': length,
        })
        .end(body);
      return;
    }
    case 'stream':
      await admit(service, response, answer, async () => {
        response.writeHead(200, { ...common, 'content-type': answer.contentType });
        await sendStream(service, response, answer, signal, wait);
      });
      return;
    default:
      answer satisfies never;
  }
}

type Stream = Extract<Answer, { kind: 'stream' }>;

function isLive({ contentType }: Stream): boolean {
  return contentType === 'text/event-stream';
}

/** Streams that have no end are few at a time. */
async function admit(
  { followers, limits }: Service,
  response: ServerResponse,
  stream: Stream,
  deed: () => Promise<void>,
): Promise<void> {
  if (!isLive(stream)) return deed();
  if (followers.size >= limits.mostFollowers) {
    throw new HttpRefusal(429, {
      code: 'ERR_TOO_MANY_FOLLOWERS',
      message: `${followers.size} follow the events already`,
      hint: 'end one of them',
    });
  }
  followers.add(response);
  try {
    return await deed();
  } finally {
    followers.delete(response);
  }
}

/** As fast as the client reads; one that stands still is cut off by the socket's idle time. */
async function sendStream(
  { limits }: Service,
  response: ServerResponse,
  stream: Stream,
  signal: AbortSignal,
  wait: WaitForClient,
): Promise<void> {
  const { body } = stream;
  const heartbeat = setInterval(() => {
    // What is said to a client that does not read is only kept.
    if (isLive(stream) && !response.writableNeedDrain) response.write(': \n\n');
  }, limits.heartbeatEveryMs);
  try {
    for await (const piece of body) {
      if (signal.aborted) break;
      if (!response.write(piece)) await wait(once(response, 'drain', { signal }));
    }
    response.end();
  } catch (error) {
    // The status is out: all that tells the client of a failure is an end without an end.
    response.destroy();
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(heartbeat);
  }
}

function refuse(
  options: ControlOptions,
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
): void {
  const { status, headers, body } = refusalOf(error);
  if (status === 500) options.onError(error);
  if (response.headersSent) return;
  const text = `${JSON.stringify(body)}\n`;
  // What is left of the body is not read: the connection is of no use any more.
  if (!request.complete) response.shouldKeepAlive = false;
  response
    .writeHead(status, {
      ...headers,
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
    })
    .end(request.method === 'HEAD' ? undefined : text);
  if (!request.complete) drain(request);
}

/**
 * What is left of a body is read for a moment and thrown away: were the connection closed at once, the system would tell the
 * client of that before it has read the answer (RFC 9112 §9.6).
 */
function drain(request: IncomingMessage): void {
  const timer = setTimeout(() => request.destroy(), lingerMs);
  timer.unref();
  request.once('close', () => clearTimeout(timer));
  request.on('error', () => {});
  request.resume();
}

function listenError(place: string, cause: unknown): PosthasteError {
  const code = systemCodeOf(cause);
  return new PosthasteError({
    code: code === 'EADDRINUSE' ? 'ERR_CONTROL_IN_USE' : 'ERR_CONTROL_LISTEN',
    message: `The control API cannot listen at ${place}: ${code ?? messageOf(cause)}.`,
    hint:
      code === 'EADDRINUSE'
        ? 'Another process listens there; stop it or name another place under control.'
        : 'See that the folder of the socket is there and writable (a path has at most 107 bytes), and that the address is of this machine.',
    exitCode: code === 'EADDRINUSE' ? ExitCode.tempFail : ExitCode.config,
    cause,
  });
}
