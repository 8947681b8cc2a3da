// Makes a self-signed certificate (RFC 5280) for the sandbox's TLS, and bad ones for tests.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import {
  writeBitString,
  writeBoolean,
  writeDer,
  writeInteger,
  writeOctetString,
  writeOid,
  writeSequence,
  writeSet,
  writeTime,
  writeUtf8String,
} from './der.ts';

export interface CertificateOptions {
  /** Names and IP addresses it is good for; localhost, 127.0.0.1 and ::1 where absent. */
  readonly names?: readonly string[] | undefined;
  /** Milliseconds since the epoch; an hour ago where absent, for clocks that are behind. */
  readonly notBeforeAt?: number | undefined;
  /** Milliseconds since the epoch; in 397 days where absent. */
  readonly notAfterAt?: number | undefined;
}

/** Both PEM: a PKCS #8 key of P-256, and its certificate, to be given to clients as a trusted one. */
export interface CertificatePair {
  readonly key: string;
  readonly cert: string;
}

const hourMs = 3_600_000;
const validityMs = 397 * 24 * hourMs;
/** ecdsa-with-SHA256, RFC 5758 §3.2: no parameters. */
const signatureAlgorithm = writeSequence(writeOid('1.2.840.10045.4.3.2'));

/** Makes a key and a certificate for it, signed with itself. */
export function makeCertificate(options: CertificateOptions = {}): CertificatePair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const names = options.names ?? ['localhost', '127.0.0.1', '::1'];
  const publicKeyInfo = publicKey.export({ type: 'spki', format: 'der' });
  const toBeSigned = writeToBeSigned(names, publicKeyInfo, options);
  const signature = sign('sha256', toBeSigned, privateKey);
  const certificate = writeSequence(toBeSigned, signatureAlgorithm, writeBitString(signature));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: formatPem(certificate),
  };
}

/** RFC 5280 §4.1.2. */
function writeToBeSigned(
  names: readonly string[],
  publicKeyInfo: Buffer,
  options: CertificateOptions,
): Buffer {
  const now = Date.now();
  const version3 = writeDer(0xa0, writeInteger(Buffer.from([2])));
  const name = writeName(names[0] ?? 'localhost');
  const validity = writeSequence(
    writeTime(options.notBeforeAt ?? now - hourMs),
    writeTime(options.notAfterAt ?? now + validityMs),
  );
  const extensions = writeDer(0xa3, writeSequence(...writeExtensions(names, publicKeyInfo)));
  const serial = writeInteger(randomBytes(16));
  return writeSequence(version3, serial, signatureAlgorithm, name, validity, name, publicKeyInfo, extensions);
}

/** A distinguished name of nothing but an organization, so that nobody takes it for a host's. */
function writeName(text: string): Buffer {
  return writeSequence(
    writeSet(writeSequence(writeOid('2.5.4.10'), writeUtf8String(`Posthaste sandbox ${text}`))),
  );
}

/**
 * RFC 5280 §4.2.1. Not a certification authority: trusting it trusts this one server and nothing it could sign. No
 * keyUsage: without keyCertSign OpenSSL does not take a certificate for self-signed, with it §4.2.1.9 wants a CA's.
 */
function writeExtensions(names: readonly string[], publicKeyInfo: Buffer): Buffer[] {
  const keyIdentifier = createHash('sha1').update(publicKeyInfo).digest();
  const isCritical = true;
  return [
    writeExtension('2.5.29.19', isCritical, writeSequence()),
    writeExtension('2.5.29.37', false, writeSequence(writeOid('1.3.6.1.5.5.7.3.1'))),
    writeExtension('2.5.29.14', false, writeOctetString(keyIdentifier)),
    writeExtension('2.5.29.17', false, writeSequence(...names.map(writeAlternativeName))),
  ];
}

function writeExtension(oid: string, isCritical: boolean, value: Buffer): Buffer {
  const critical = isCritical ? [writeBoolean(true)] : [];
  return writeSequence(writeOid(oid), ...critical, writeOctetString(value));
}

/** RFC 5280 §4.2.1.6: [2] a DNS name, [7] the octets of an address. */
function writeAlternativeName(name: string): Buffer {
  switch (isIP(name)) {
    case 4:
      return writeDer(0x87, Buffer.from(name.split('.').map(Number)));
    case 6:
      return writeDer(0x87, parseIpv6(name));
    default:
      return writeDer(0x82, Buffer.from(name));
  }
}

/** The sixteen octets of an IPv6 address; URL does away with all ways of writing but `::`. */
function parseIpv6(text: string): Buffer {
  const compressed = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = compressed
    .split('::')
    .map((half) => half.split(':').filter((one) => one !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return Buffer.from([...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function formatPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
