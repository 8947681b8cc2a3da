// A client of the control API: over the Unix socket of a daemon, or over TCP with its token.
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { ExitCode, messageOf, PosthasteError, systemCodeOf } from '../base/error.ts';
import type { Method } from './routes.ts';
import { errorView } from './views.ts';

/** Where a daemon is. */
export type ControlPlace =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string; readonly token: string };

export interface ClientRequest {
  readonly method: Method;
  /** From /v1 on, encoded. */
  readonly path: string;
  readonly json?: unknown;
  readonly body?: AsyncIterable<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Throws ERR_DAEMON_UNREACHABLE (69), and what the daemon refuses with, as its command would. */
export class ControlClient {
  readonly #place: ControlPlace;

  constructor(place: ControlPlace) {
    this.#place = place;
  }

  /** The answer's JSON; undefined where there is none. */
  async call(request: ClientRequest): Promise<unknown> {
    const answer = await this.#send(request);
    const text = await readText(answer);
    if ((answer.statusCode ?? 500) >= 400) throw errorOf(answer, text);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** The answer's bytes as they come. */
  async *stream(request: ClientRequest): AsyncGenerator<Uint8Array, void, undefined> {
    const answer = await this.#send(request);
    if ((answer.statusCode ?? 500) >= 400) throw errorOf(answer, await readText(answer));
    for await (const chunk of answer) if (chunk instanceof Uint8Array) yield chunk;
    if (!answer.complete) throw cutOff();
  }

  async #send({ method, path, json, body, signal }: ClientRequest): Promise<IncomingMessage> {
    const text = json === undefined ? undefined : JSON.stringify(json);
    const options: RequestOptions = {
      method,
      path,
      signal,
      ...this.#target(),
      headers: {
        ...(this.#place.kind === 'url' ? { authorization: `Bearer ${this.#place.token}` } : {}),
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...(body === undefined ? {} : { 'content-type': 'application/octet-stream' }),
      },
    };
    const isTls = this.#place.kind === 'url' && this.#place.url.startsWith('https:');
    const request = (isTls ? requestHttps : requestHttp)(options);
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      request.once('error', (error) => reject(this.#unreachable(error)));
    });
    if (body === undefined) request.end(text);
    // A daemon that refuses hangs up on the rest of the body; its answer says why.
    else pipeline(Readable.from(body), request).catch(() => request.destroy());
    return answered;
  }

  #target(): RequestOptions {
    if (this.#place.kind === 'socket') return { socketPath: this.#place.path, host: 'localhost' };
    const { hostname, port, protocol } = new URL(this.#place.url);
    return { host: hostname.replace(/^\[|\]$/g, ''), port: port || (protocol === 'https:' ? 443 : 80) };
  }

  #unreachable(cause: unknown): PosthasteError {
    const place = this.#place.kind === 'socket' ? this.#place.path : this.#place.url;
    const code = systemCodeOf(cause);
    const isForbidden = code === 'EACCES' || code === 'EPERM';
    return new PosthasteError({
      code: 'ERR_DAEMON_UNREACHABLE',
      message: `no daemon answers at ${place}: ${code ?? messageOf(cause)}`,
      hint: isForbidden
        ? 'its socket belongs to another group: be a member of it, or run this as its user'
        : 'start it with posthaste serve, or name its place with --socket',
      exitCode: isForbidden ? ExitCode.noPermission : ExitCode.unavailable,
      cause,
    });
  }
}

async function readText(answer: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of answer) if (chunk instanceof Uint8Array) chunks.push(chunk);
  } catch {
    throw cutOff();
  }
  return Buffer.concat(chunks).toString('utf8');
}

function errorOf(answer: IncomingMessage, text: string): PosthasteError {
  const refused = errorView.safeParse(parse(text));
  if (!refused.success) {
    return new PosthasteError({
      code: 'ERR_DAEMON_ANSWER',
      message: `the daemon answered ${answer.statusCode} and nothing that this program understands`,
      hint: 'see that what listens there is a daemon of this version',
      exitCode: ExitCode.unavailable,
    });
  }
  const { code, message, hint, exitCode } = refused.data.error;
  const known = Object.values(ExitCode).find((one) => one === exitCode);
  return new PosthasteError({ code, message, hint, exitCode: known ?? ExitCode.unavailable });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function cutOff(): PosthasteError {
  return new PosthasteError({
    code: 'ERR_DAEMON_CUT_OFF',
    message: 'the daemon ended its answer before the end',
    hint: 'it may have been stopped; ask again',
    exitCode: ExitCode.tempFail,
  });
}
