// The proxy on the way to a relay: a URL, which may hold a password and is therefore never shown.
import { push, readOneSecret, type RelaySite } from './relay_site.ts';

/** As the SMTP client has it. */
export interface ProxyConfig {
  readonly kind: 'http' | 'https' | 'socks5';
  readonly host: string;
  readonly port: number;
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
}

/** Protocol of a URL → kind and usual port. */
const protocols: Readonly<Record<string, readonly [kind: ProxyConfig['kind'], port: number]>> = {
  'http:': ['http', 80],
  'https:': ['https', 443],
  'socks5:': ['socks5', 1080],
};

const expected = 'http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ if need be';

/** Reads `proxy`; pushes what is wrong with it. */
export function readProxy(site: RelaySite): ProxyConfig | undefined {
  const text = readOneSecret(site, ['proxy'], site.written.proxy);
  if (text === undefined) return undefined;
  const proxy = parseProxy(text);
  if (proxy === undefined) {
    push(site, ['proxy'], { what: 'is no URL of a proxy', expected });
  } else if (proxy.kind !== 'socks5' && site.written.localAddress !== undefined) {
    push(site, ['localAddress'], {
      what: 'has no effect through an HTTP proxy',
      expected: 'no localAddress, or a socks5 proxy',
    });
  }
  return proxy;
}

function parseProxy(text: string): ProxyConfig | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const found =
    url !== undefined && Object.hasOwn(protocols, url.protocol) ? protocols[url.protocol] : undefined;
  if (url === undefined || found === undefined) return undefined;
  const isBare = /^\/?$/.test(url.pathname) && url.search === '' && url.hash === '';
  if (!isBare || url.hostname === '' || url.port === '0') return undefined;
  const [kind, usualPort] = found;
  const user = decode(url.username);
  const pass = decode(url.password);
  if (user === undefined || pass === undefined) return undefined;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const place = { kind, host, port: url.port === '' ? usualPort : Number(url.port) };
  return user === '' ? place : { ...place, user, pass };
}

function decode(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}
