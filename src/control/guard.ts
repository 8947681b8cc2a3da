// The guard of the control API: who may ask at all. On the socket its permissions decide; on TCP a token, and where from.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { HttpRefusal } from './answer.ts';

/** Undefined for the socket. */
export interface TcpRules {
  readonly token: string;
  /** Names beside the loopback ones under which it may be asked for: without them a page in a browser could reach it by a name of its own (DNS rebinding). */
  readonly hosts: readonly string[];
  /** Pages that may ask; none by default. */
  readonly origins: readonly string[];
}

/** Throws an `HttpRefusal` for who may not ask. */
export function checkCaller(headers: IncomingHttpHeaders, rules: TcpRules | undefined): void {
  checkOrigin(headers.origin, rules?.origins ?? []);
  if (rules === undefined) return;
  checkHost(headers.host, rules.hosts);
  checkToken(headers.authorization, rules.token);
}

function checkOrigin(origin: string | undefined, allowed: readonly string[]): void {
  if (origin === undefined || allowed.includes(origin)) return;
  throw new HttpRefusal(403, {
    code: 'ERR_ORIGIN_REFUSED',
    message: 'this comes from a page in a browser, and pages from there may not ask',
    hint: 'name its origin in control.origins, if it is yours',
  });
}

const loopbackNames: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

function checkHost(host: string | undefined, allowed: readonly string[]): void {
  const name = (host ?? '').toLowerCase().replace(/:\d+$/, '');
  if (loopbackNames.has(name) || allowed.includes(name)) return;
  throw new HttpRefusal(421, {
    code: 'ERR_HOST_REFUSED',
    message: 'the Host field names no name of this API',
    hint: 'add the name to control.hosts, if it is one',
  });
}

function checkToken(authorization: string | undefined, token: string): void {
  const [, given] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  // Digests are of one length, so the time tells nothing of the token.
  if (given !== undefined && timingSafeEqual(digest(given), digest(token))) return;
  throw new HttpRefusal(
    401,
    {
      code: 'ERR_TOKEN_REFUSED',
      message: given === undefined ? 'a token is needed' : 'the token is not the right one',
      hint: 'send "Authorization: Bearer TOKEN" with the token of control.token',
    },
    { 'www-authenticate': 'Bearer' },
  );
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
