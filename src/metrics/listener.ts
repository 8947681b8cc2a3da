// The HTTP listener for machines that watch: /metrics, /healthz, /readyz.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import { closeHttpServer } from '../base/http.ts';
import { invariant } from '../base/invariant.ts';

export interface ListenerOptions {
  /** Address or name to listen on. Nothing here asks who is there: keep it to loopback or a private network. */
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly metrics: MetricsSource;
  /** Is the process sound? Where it is not, restarting it may help. */
  readonly health: () => Condition;
  /** Can it take and send campaigns now? */
  readonly ready: () => Condition;
  /** Hears what failed while a request was answered; the client is told no details. */
  readonly onError: (thrown: unknown) => void;
}

/** What `/metrics` gives. */
interface MetricsSource {
  readonly contentType: string;
  render(): Promise<string>;
}

interface Condition {
  readonly ok: boolean;
  /** For people, one sentence each: why it is not ok. */
  readonly reasons: readonly string[];
}

export interface MetricsListener {
  readonly address: AddressInfo;
  /** Stops listening, lets answers that are under way end for a moment, then ends all connections. */
  close(): Promise<void>;
}

/** Rejects with a PosthasteError where it cannot listen. */
export async function startListener(options: ListenerOptions): Promise<MetricsListener> {
  const server = createServer((request, response) => void serve(options, request, response));
  server.headersTimeout = requestTimeoutMs;
  server.requestTimeout = requestTimeoutMs;
  server.maxConnections = maxConnections;
  server.listen({ host: options.host, port: options.port });
  try {
    await once(server, 'listening');
  } catch (thrown) {
    throw listenError(options, thrown);
  }
  const address = server.address();
  invariant(address !== null && typeof address === 'object', 'a TCP listener without an address');
  return { address, close: () => closeHttpServer(server, closeGraceMs) };
}

/** Scrapers and probes send a line and a few headers; whoever needs longer is none. */
const requestTimeoutMs = 5000;
const maxConnections = 100;
const closeGraceMs = 1000;

interface Answer {
  readonly status: number;
  readonly contentType?: string | undefined;
  readonly body: string;
}

async function serve(
  options: ListenerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let answer: Answer;
  try {
    answer = await answerTo(options, request);
  } catch (thrown) {
    options.onError(thrown);
    answer = { status: 500, body: 'internal error; see the log\n' };
  }
  response.writeHead(answer.status, {
    'content-type': answer.contentType ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // RFC 9110 §15.5.6: a 405 names what is allowed.
    ...(answer.status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

async function answerTo(options: ListenerOptions, request: IncomingMessage): Promise<Answer> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const answers: Record<string, (() => Answer | Promise<Answer>) | undefined> = {
    '/metrics': async () => ({
      status: 200,
      contentType: options.metrics.contentType,
      body: await options.metrics.render(),
    }),
    '/healthz': () => answerOf(options.health()),
    '/readyz': () => answerOf(options.ready()),
  };
  const known = Object.hasOwn(answers, path) ? answers[path] : undefined;
  if (known === undefined)
    return { status: 404, body: 'not found; there are /metrics, /healthz and /readyz\n' };
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, body: 'method not allowed\n' };
  return known();
}

function answerOf(condition: Condition): Answer {
  if (condition.ok) return { status: 200, body: 'ok\n' };
  return { status: 503, body: condition.reasons.map((reason) => `${reason}\n`).join('') };
}

function listenError({ host, port }: ListenerOptions, cause: unknown): PosthasteError {
  const where = `${host}:${port}`;
  const code = systemCodeOf(cause);
  if (code === 'EADDRINUSE') {
    return new PosthasteError({
      code: 'ERR_METRICS_ADDRESS_IN_USE',
      message: `The metrics listener cannot use ${where}: another process listens there.`,
      hint: `Stop that process (ss -ltnp 'sport = :${port}' names it) or configure another port for metrics.`,
      exitCode: ExitCode.config,
      cause,
    });
  }
  if (code === 'EACCES') {
    return new PosthasteError({
      code: 'ERR_METRICS_NOT_ALLOWED',
      message: `The metrics listener is not allowed to use ${where}.`,
      hint: 'Configure a port above 1023 for metrics.',
      exitCode: ExitCode.noPermission,
      cause,
    });
  }
  return new PosthasteError({
    code: 'ERR_METRICS_LISTEN',
    message: `The metrics listener cannot use ${where}: ${messageOf(cause)}.`,
    hint: 'Configure an address of this machine for metrics, such as 127.0.0.1.',
    exitCode: ExitCode.config,
    cause,
  });
}
