// What the keys of a relay mean together: how it is secured, how much it is given.
import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { resolve } from 'node:path';
import { messageOf, systemCodeOf } from '../base/error.ts';
import type { Rate } from '../base/quantity.ts';
import type { Origin, Path, Problem } from './problem.ts';
import type { WrittenRelay } from './relay_schema.ts';
import { readSecret, type SecretPlace, type Surroundings } from './secret.ts';

/** A relay, complete: the shape of the SMTP client's own options. Holds secrets; never to be logged. */
export interface RelayConfig {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly security: 'tls' | 'starttls' | 'plain';
  readonly auth?:
    | { readonly user: string; readonly pass: string; readonly method?: 'PLAIN' | 'LOGIN' | undefined }
    | undefined;
  readonly maxConnections: number;
  readonly maxMessages: number;
  readonly rate?: Rate | undefined;
  readonly pipelining: 'auto' | 'off' | 'standard' | 'deep';
  readonly inFlight: number;
  readonly clientName?: string | undefined;
  readonly localAddress?: string | undefined;
  readonly tls: {
    readonly ca?: string | undefined;
    readonly servername?: string | undefined;
    readonly rejectUnauthorized: boolean;
  };
  readonly connectionTimeoutMs: number;
  readonly greetingTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly endOfDataTimeoutMs: number;
}

/** A relay and where it was written. */
export interface RelaySite {
  readonly name: string;
  readonly written: WrittenRelay;
  readonly origin: Origin;
  readonly path: Path;
  readonly around: Surroundings;
  readonly problems: Problem[];
}

/** Applies the rules over several keys and reads secrets and certificates; pushes every problem. */
export function completeRelay(site: RelaySite): RelayConfig | undefined {
  const { written, problems } = site;
  const before = problems.length;
  const security = decideSecurity(site);
  const auth = readAuth(site);
  const rate = decideRate(site);
  const tls = decideTls(site);
  if (problems.length > before) return undefined;
  return {
    name: site.name,
    host: written.host,
    port: written.port ?? (security === 'tls' ? 465 : 587),
    security,
    auth,
    maxConnections: written.maxConnections,
    maxMessages: written.maxMessages,
    rate,
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
  if (relay.security === 'plain' && !isLoopback(relay.host)) {
    warnings.push(
      `relay ${relay.name}: messages go to it without TLS (tls: none); anybody on the way can read them`,
    );
  }
  return warnings;
}

/** True for hosts that cannot be anywhere but on this machine (RFC 6761 §6.3, RFC 1122 §3.2.1.3, RFC 4291 §2.5.3). */
function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1') return true;
  const mapped = name.startsWith('::ffff:') ? name.slice('::ffff:'.length) : name;
  return isIPv4(mapped) && mapped.startsWith('127.');
}

/** Plain text needs a loopback host or an explicit wish, and never carries credentials. */
function decideSecurity(site: RelaySite): RelayConfig['security'] {
  const { written } = site;
  checkContradictions(site);
  const isLocal = isLoopback(written.host);
  const wantsNone = written.tls === 'none';
  // As in nodemailer: an explicit `secure: false` counts even on port 465.
  if (written.secure ?? (written.port === 465 && !wantsNone)) return 'tls';
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

function readAuth(site: RelaySite): RelayConfig['auth'] {
  const { auth } = site.written;
  if (auth === undefined) return undefined;
  const user = readOneSecret(site, ['auth', 'user'], auth.user);
  const pass = readOneSecret(site, ['auth', 'pass'], auth.pass);
  return { user, pass, method: auth.method };
}

function readOneSecret(site: RelaySite, path: Path, written: SecretPlace): string {
  const found = readSecret(written, site.around);
  if (found.kind === 'found') return found.text;
  push(site, path, found);
  return '';
}

function decideRate(site: RelaySite): Rate | undefined {
  const { rate, rateLimit, rateDelta } = site.written;
  if (rate !== undefined && rateLimit !== undefined) {
    push(site, ['rateLimit'], { what: 'and rate are two limits', expected: 'one of them' });
  }
  if (rateDelta !== undefined && rateLimit === undefined) {
    push(site, ['rateDelta'], {
      what: 'says nothing without rateLimit',
      expected: 'rateLimit with it, or rate instead',
    });
  }
  return rateLimit === undefined ? rate : { count: rateLimit, perMs: rateDelta ?? 1000 };
}

function decideTls(site: RelaySite): RelayConfig['tls'] {
  const { tls, development } = site.written;
  if (tls === undefined || tls === 'none') return { rejectUnauthorized: true };
  if (!tls.rejectUnauthorized && !development) {
    push(site, ['tls', 'rejectUnauthorized'], {
      what: 'is false, so anybody could pose as the relay',
      expected: 'tls.ca with the relay\'s certificate, or "development: true"',
    });
  }
  const ca = tls.ca === undefined ? undefined : readCertificates(site, tls.ca.file);
  return { ca, servername: tls.servername, rejectUnauthorized: tls.rejectUnauthorized };
}

function readCertificates(site: RelaySite, file: string): string | undefined {
  const path: Path = ['tls', 'ca', 'file'];
  let pem: string;
  try {
    pem = readFileSync(resolve(site.around.directory, file), 'utf8');
  } catch (error) {
    push(site, path, { what: `cannot be read (${systemCodeOf(error) ?? messageOf(error)})` });
    return undefined;
  }
  if (isCertificate(pem)) return pem;
  push(site, path, { what: 'names a file without certificates', expected: 'a PEM file' });
  return undefined;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}

/** `what` is a predicate; the key's path is its subject. */
function push(site: RelaySite, path: Path, problem: { what: string; expected?: string | undefined }): void {
  const full = [...site.path, ...path];
  site.problems.push({
    place: site.origin.place(full, 'value'),
    what: `${site.origin.nameOf(full)} ${problem.what}`,
    expected: problem.expected,
  });
}
