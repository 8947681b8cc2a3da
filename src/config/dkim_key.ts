// A text that should be a private key for DKIM: what it is, or what is wrong with it.
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

/** A key that can sign, or why it cannot: `what` is a predicate of the key, without any of its text. */
export type JudgedKey =
  | { readonly kind: 'key'; readonly pem: string; readonly modulusBits: number | undefined }
  | { readonly kind: 'problem'; readonly what: string; readonly expected: string };

/** RFC 8301 §3.2: signers MUST use at least 1024 bits and SHOULD 2048; verifiers need not know more than 4096. */
const leastBits = 1024;
export const soundBits = 2048;
const mostBits = 4096;

const wanted = 'the private key, PEM, as "openssl genpkey" writes it';

/** Judges a key: RSA or Ed25519, in PKCS#8 or PKCS#1, not encrypted. */
export function judgeKey(pem: string): JudgedKey {
  const [, label] = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(pem) ?? [];
  if (label === undefined) return flaw('is not PEM', wanted);
  if (label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    return flaw(
      'is encrypted, and nobody is there to type a passphrase',
      'a key without one ("openssl pkey -in KEY -out PLAIN"), kept as a systemd credential or in a file that ' +
        'only Posthaste can read',
    );
  }
  if (label.endsWith('PUBLIC KEY')) return flaw('is a public key, which belongs into DNS', wanted);
  if (label.endsWith('CERTIFICATE')) return flaw('is a certificate', wanted);
  if (label === 'OPENSSH PRIVATE KEY') return flaw('is a key of OpenSSH', wanted);
  const key = parseKey(pem);
  return key === undefined ? flaw('is broken: no key can be read from it', wanted) : judgeType(pem, key);
}

/** What OpenSSL says of a broken key helps nobody, and is not ours to vouch for. */
function parseKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

function judgeType(pem: string, key: KeyObject): JudgedKey {
  const { asymmetricKeyType: type, asymmetricKeyDetails } = key;
  if (type === 'ed25519') return { kind: 'key', pem, modulusBits: undefined };
  // RSA-PSS among them: DKIM's padding is that of PKCS#1 v1.5 (RFC 6376 §3.3.2).
  if (type !== 'rsa')
    return flaw(`is a key of type ${String(type)}, which DKIM does not know`, 'RSA or Ed25519');
  const bits = asymmetricKeyDetails?.modulusLength ?? 0;
  const size = `is an RSA key of ${bits} bits`;
  if (bits < leastBits)
    return flaw(`${size}, which receivers must refuse`, `${soundBits} bits (RFC 8301 §3.2)`);
  if (bits > mostBits)
    return flaw(
      `${size}, which receivers need not be able to check`,
      `at most ${mostBits} bits (RFC 8301 §3.2)`,
    );
  return fits(key)
    ? { kind: 'key', pem, modulusBits: bits }
    : flaw('is broken: what it signs does not verify', wanted);
}

/** A slip in a number leaves a PEM that can be read; without this, receivers would be the first to notice. */
function fits(key: KeyObject): boolean {
  const probe = Buffer.from('posthaste');
  try {
    return verify('sha256', probe, createPublicKey(key), sign('sha256', probe, key));
  } catch {
    return false;
  }
}

function flaw(what: string, expected: string): JudgedKey {
  return { kind: 'problem', what, expected };
}
