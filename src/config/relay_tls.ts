// What a relay's TLS trusts and shows: certificates and keys from their files.
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { messageOf, systemCodeOf } from '../base/error.ts';
import type { Path } from './problem.ts';
import { push, readOneSecret, type RelaySite } from './relay_site.ts';
import { readSecretText } from './secret.ts';

/** As the SMTP client has it. */
export interface TlsConfig {
  readonly ca?: string | undefined;
  readonly servername?: string | undefined;
  readonly rejectUnauthorized: boolean;
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly passphrase?: string | undefined;
}

/** Reads `tls`; pushes every problem with it. */
export function readTls(site: RelaySite): TlsConfig {
  const { tls, development } = site.written;
  if (tls === undefined || tls === 'none') return { rejectUnauthorized: true };
  const { rejectUnauthorized, servername, minVersion } = tls;
  if (!rejectUnauthorized && !development) {
    push(site, ['tls', 'rejectUnauthorized'], {
      what: 'is false, so anybody could pose as the relay',
      expected: 'tls.ca with the relay\'s certificate, or "development: true"',
    });
  }
  const ca = tls.ca === undefined ? undefined : readCertificates(site, ['tls', 'ca', 'file'], tls.ca.file);
  return { ca, servername, rejectUnauthorized, minVersion, ...readClientCertificate(site) };
}

/** Certificate, key and passphrase, which must fit one another: a relay would only say that they do not. */
function readClientCertificate(site: RelaySite): Pick<TlsConfig, 'cert' | 'key' | 'passphrase'> {
  const { tls } = site.written;
  if (tls === undefined || tls === 'none') return {};
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    const [lonely, other] = tls.cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
    push(site, ['tls', lonely], { what: `says nothing without tls.${other}`, expected: 'both, or neither' });
    return {};
  }
  if (tls.cert === undefined || tls.key === undefined) return {};
  const cert = readCertificates(site, ['tls', 'cert', 'file'], tls.cert.file);
  const key = readSecretText(tls.key, site.around);
  if (key.kind === 'problem') push(site, ['tls', 'key'], key);
  const passphrase = readOneSecret(site, ['tls', 'passphrase'], tls.passphrase);
  if (cert === undefined || key.kind === 'problem') return {};
  checkPair(site, cert, parseKey(key.text, passphrase));
  return { cert, key: key.text, passphrase };
}

function checkPair(site: RelaySite, cert: string, key: KeyObject | undefined): void {
  if (key === undefined) {
    push(site, ['tls', 'key'], {
      what: 'is no private key, or its passphrase is not tls.passphrase',
      expected: 'a PEM key',
    });
  } else if (!new X509Certificate(cert).checkPrivateKey(key)) {
    push(site, ['tls', 'key'], { what: 'is not the key of the certificate in tls.cert' });
  }
}

function parseKey(pem: string, passphrase: string | undefined): KeyObject | undefined {
  try {
    return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase });
  } catch {
    return undefined;
  }
}

function readCertificates(site: RelaySite, path: Path, file: string): string | undefined {
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
