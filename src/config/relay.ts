// What the keys of a relay mean together: how it is secured, how much it is given.
import type { Pace } from '../base/quantity.ts';
import { isLoopback } from './loopback.ts';
import { readAuth, type AuthConfig } from './relay_auth.ts';
import { readProxy, type ProxyConfig } from './relay_proxy.ts';
import type { WrittenRelay } from './relay_schema.ts';
import { findService, type Service } from './relay_service.ts';
import { push, type RelaySite } from './relay_site.ts';
import { readTls, type TlsConfig } from './relay_tls.ts';
import { readWarmUp, type WarmUp } from './read_warm_up.ts';
import { paceOf } from './value.ts';

/** A plan of days and volumes. */
/** A relay, complete: the shape of the SMTP client's own options. Holds secrets; never to be logged. */
export interface RelayConfig {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly security: 'tls' | 'starttls' | 'plain';
  readonly auth?: AuthConfig | undefined;
  readonly proxy?: ProxyConfig | undefined;
  readonly maxConnections: number;
  readonly maxMessages: number;
  readonly pace: Pace;
  /** Absent where it is warm. */
  readonly warmUp?: WarmUp;
  readonly pipelining: 'auto' | 'off' | 'standard' | 'deep';
  readonly inFlight: number;
  readonly clientName?: string | undefined;
  readonly localAddress?: string | undefined;
  readonly tls: TlsConfig;
  readonly connectionTimeoutMs: number;
  readonly greetingTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly endOfDataTimeoutMs: number;
}

/** Applies the rules over several keys and reads secrets and certificates; pushes every problem. */
export function completeRelay(site: RelaySite): RelayConfig | undefined {
  const { written, problems } = site;
  const before = problems.length;
  const service = findService(site);
  const host = written.host ?? service.host;
  const secure = decideSecure(written, service);
  const security = decideSecurity(site, host, secure);
  const auth = readAuth(site, service.method);
  const proxy = readProxy(site);
  const pace = decidePace(site);
  const tls = readTls(site);
  if (problems.length > before) return undefined;
  return {
    name: site.name,
    host,
    port: written.port ?? service.port ?? (security === 'tls' ? 465 : 587),
    security,
    auth,
    proxy,
    maxConnections: written.maxConnections,
    maxMessages: written.maxMessages,
    pace,
    ...readWarmUp(written.warmUp),
    pipelining: written.pipelining,
    inFlight: written.inFlight,
    clientName: written.name,
    localAddress: written.localAddress,
    tls,
    connectionTimeoutMs: written.connectionTimeout,
    greetingTimeoutMs: written.greetingTimeout,
    commandTimeoutMs: written.socketTimeout,
    endOfDataTimeoutMs: written.endOfDataTimeout,
  };
}

/** What must be said at every start: checks that are off. */
export function warnAbout(relay: RelayConfig): string[] {
  const warnings: string[] = [];
  if (!relay.tls.rejectUnauthorized && relay.security !== 'plain') {
    warnings.push(
      `relay ${relay.name}: its certificate is not checked (rejectUnauthorized: false); anybody can pose as it`,
    );
  }
  if (relay.security === 'plain' && !(isLoopback(relay.host) && relay.proxy === undefined)) {
    warnings.push(
      `relay ${relay.name}: messages go to it without TLS (tls: none); anybody on the way can read them`,
    );
  }
  return warnings;
}

/** TLS from the first byte. As in nodemailer: an explicit `secure: false` counts even on port 465. */
function decideSecure(written: WrittenRelay, service: Service): boolean {
  if (written.secure !== undefined) return written.secure;
  // What a service says of TLS is about its own port.
  if (written.port === undefined && service.secure !== undefined) return service.secure;
  return (written.port ?? service.port) === 465 && written.tls !== 'none';
}

/** Plain text needs a loopback host or an explicit wish, and never carries credentials. */
function decideSecurity(site: RelaySite, host: string, secure: boolean): RelayConfig['security'] {
  const { written } = site;
  checkContradictions(site);
  // What is loopback from here is somewhere else behind a proxy.
  const isLocal = isLoopback(host) && written.proxy === undefined;
  const wantsNone = written.tls === 'none';
  if (secure) return 'tls';
  const wantsPlain = wantsNone || written.ignoreTLS;
  if (wantsPlain && written.auth !== undefined) {
    push(site, wantsNone ? ['tls'] : ['ignoreTLS'], {
      what: 'sends credentials without TLS',
      expected: 'no auth, or TLS',
    });
  }
  if (written.ignoreTLS && !wantsNone && !isLocal) {
    push(site, ['ignoreTLS'], {
      what: 'asks for plain text to a host that is not loopback',
      expected: 'TLS, or tls "none" as well if plain text is really wanted',
    });
  }
  // Who says what to trust wants TLS, be the host loopback or not.
  const wantsTls = written.auth !== undefined || written.requireTLS === true || written.tls !== undefined;
  return wantsPlain || (isLocal && !wantsTls) ? 'plain' : 'starttls';
}

function checkContradictions(site: RelaySite): void {
  const { secure, requireTLS, ignoreTLS, tls } = site.written;
  if (tls === 'none' && secure === true) push(site, ['tls'], { what: 'is "none", which contradicts secure' });
  if (tls === 'none' && requireTLS === true)
    push(site, ['tls'], { what: 'is "none", which contradicts requireTLS' });
  if (ignoreTLS && requireTLS === true) push(site, ['ignoreTLS'], { what: 'contradicts requireTLS' });
  if (ignoreTLS && typeof tls === 'object') {
    push(site, ['ignoreTLS'], { what: 'contradicts tls, which says what to trust' });
  }
}

function decidePace(site: RelaySite): Pace {
  const { rate, rateLimit, rateDelta, burst, bytes, connectionRate } = site.written;
  if (rate !== undefined && rateLimit !== undefined) {
    push(site, ['rateLimit'], { what: 'and rate are two limits', expected: 'one of them' });
  }
  if (rateDelta !== undefined && rateLimit === undefined) {
    push(site, ['rateDelta'], {
      what: 'says nothing without rateLimit',
      expected: 'rateLimit with it, or rate instead',
    });
  }
  if (rateLimit === undefined) return paceOf({ rate, burst, bytes, connectionRate });
  return paceOf({ rate: [{ count: rateLimit, perMs: rateDelta ?? 1000 }], burst, bytes, connectionRate });
}
