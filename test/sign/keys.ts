// Keys for the tests of sign, made for the occasion, and the DNS records that go with them.
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { DkimKey } from '../../src/sign/key.ts';

/** TXT records by name, without a dot at the end. */
export type Records = ReadonlyMap<string, string>;

export function makeRsaKey(domain: string, selector = 'rsa', modulusLength = 2048): DkimKey {
  return makeKey(domain, selector, generateKeyPairSync('rsa', { modulusLength }).privateKey);
}

export function makeEd25519Key(domain: string, selector = 'ed'): DkimKey {
  return makeKey(domain, selector, generateKeyPairSync('ed25519').privateKey);
}

function makeKey(domain: string, selector: string, key: KeyObject): DkimKey {
  return { domain, selector, privateKey: String(key.export({ type: 'pkcs8', format: 'pem' })) };
}

/** The records that publish these keys (RFC 6376 §3.6.1, RFC 8463 §4). */
export function recordsOf(keys: readonly DkimKey[]): Records {
  return new Map(
    keys.map(({ domain, selector, privateKey }) => [
      `${selector}._domainkey.${domain}`,
      recordOf(createPublicKey(privateKey)),
    ]),
  );
}

function recordOf(key: KeyObject): string {
  const info = key.export({ type: 'spki', format: 'der' });
  if (key.asymmetricKeyType === 'rsa') return `v=DKIM1; k=rsa; p=${info.toString('base64')}`;
  // The key itself, without the SubjectPublicKeyInfo around it.
  return `v=DKIM1; k=ed25519; p=${info.subarray(-32).toString('base64')}`;
}
