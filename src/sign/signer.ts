// Messages are signed: DKIM (RFC 6376), relaxed/relaxed, with RSA (RFC 8301), with Ed25519 (RFC 8463), or with both.
import { createPrivateKey, hash, sign, type KeyObject } from 'node:crypto';
import { invariant } from '../base/invariant.ts';
import { relaxBody } from './body.ts';
import { createHeaderReader } from './header.ts';
import type { DkimKey } from './key.ts';
import { foldSignature, hashStretch, headStretch, namesStretch, type Stretch } from './signature_field.ts';

export interface Signer {
  /**
   * The DKIM-Signature fields of a message, one for each key, to be put in front of it. The message is ready for DATA:
   * US-ASCII, every line ends in CRLF, an empty one ends the header. `at` (ms since the epoch) is when it is signed.
   */
  sign(message: string, at: number): string;
}

/** A key made ready. */
interface SigningKey {
  readonly head: Stretch;
  /** The signature of these octets, in base64. */
  readonly sign: (signed: string) => string;
}

/**
 * Makes a signer for the messages of a campaign. It keeps state between calls and belongs to one thread. The keys have
 * been checked: RSA or Ed25519, not encrypted.
 */
export function createSigner(keys: readonly DkimKey[]): Signer {
  const signingKeys = keys.map((key) => prepareKey(key));
  const readHeader = createHeaderReader();
  let names: readonly string[] = [];
  let namesText = namesStretch(names);
  return {
    sign(message, at) {
      const end = message.indexOf('\r\n\r\n') + 2;
      invariant(end > 1, 'a message without an empty line was to be signed');
      const header = readHeader(message, end);
      if (header.names !== names) {
        names = header.names;
        namesText = namesStretch(names);
      }
      const hashes = hashStretch(
        Math.floor(at / 1000),
        hash('sha256', relaxBody(message, end + 2), 'base64'),
      );
      let fields = '';
      for (const { head, sign: signOctets } of signingKeys) {
        // RFC 6376 §3.7: the field itself comes last, with an empty "b=" and without its CRLF.
        const signed = header.relaxed + head.relaxed + hashes.relaxed + namesText.relaxed;
        fields += head.folded + hashes.folded + namesText.folded + foldSignature(signOctets(signed));
      }
      return fields;
    },
  };
}

function prepareKey({ domain, selector, privateKey }: DkimKey): SigningKey {
  const key = createPrivateKey(privateKey);
  const isRsa = key.asymmetricKeyType === 'rsa';
  invariant(isRsa || key.asymmetricKeyType === 'ed25519', 'a DKIM key is neither RSA nor Ed25519');
  return {
    head: headStretch(isRsa ? 'rsa-sha256' : 'ed25519-sha256', domain, selector),
    sign: isRsa ? (signed) => signByRsa(signed, key) : (signed) => signByEd25519(signed, key),
  };
}

/** RSASSA-PKCS1-v1_5 (RFC 6376 §3.3.2, RFC 8301 §3.1). */
function signByRsa(signed: string, key: KeyObject): string {
  return sign('sha256', Buffer.from(signed, 'latin1'), key).toString('base64');
}

/** RFC 8463 §3: PureEdDSA, yet over the SHA-256 hash. */
function signByEd25519(signed: string, key: KeyObject): string {
  digest.write(hash('sha256', signed, 'binary'), 'latin1');
  return sign(null, digest, key).toString('base64');
}

/** Used again for each signature, which reads it at once: a buffer of its own costs more than the hash (bench/dkim.ts). */
const digest = Buffer.alloc(32);
