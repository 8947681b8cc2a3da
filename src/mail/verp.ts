// VERP: a reverse-path of its own for every row, with a MAC, so that a bounce tells whom it is about and cannot be made up.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/*
 * bounces@example.com becomes bounces+TOKEN@example.com. TOKEN is 32 characters of base32 (RFC 4648 §6, lower case: systems
 * on the way change the case), 20 octets that leave no bit unused, so that no two texts are one token:
 *
 *   0        5          10                  20
 *   campaign | row       | HMAC-SHA-256, 80 bits, of the address without its token, and of the octets before it
 *
 * It is a function of campaign, row, address and secret: the same on every attempt and after every restart.
 */

const campaignOctets = 5;
const rowOctets = 5;
const macOctets = 10;
const tokenChars = 32;
const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** Of the 64 octets of a local part (RFC 5321 §4.5.3.1.1), what "+" and the token leave. */
export const maxVerpBaseOctets = 64 - 1 - tokenChars;

/** Which row of which campaign an address was made for. */
export interface Verp {
  readonly kind: 'verp';
  /** As `verpCampaign` gives it for a campaign's name. */
  readonly campaign: string;
  readonly row: number;
}

export interface RefusedVerp {
  readonly kind: 'refused';
  readonly reason: 'noToken' | 'forged';
}

/** The campaign's part of a token in hex: 40 bits of a digest of its name. */
export function verpCampaign(name: string): string {
  return createHash('sha256')
    .update(name)
    .digest('hex')
    .slice(0, 2 * campaignOctets);
}

/** Makes the address of a row. `reversePath` has at most `maxVerpBaseOctets` before the "@"; rows are below 2^40. */
export function makeVerp(reversePath: string, secret: string, campaign: string, row: number): string {
  const split = reversePath.lastIndexOf('@');
  const token = Buffer.alloc(campaignOctets + rowOctets + macOctets);
  token.write(campaign, 0, 'hex');
  token.writeUIntBE(row, campaignOctets, rowOctets);
  makeMac(reversePath, secret, token.subarray(0, campaignOctets + rowOctets)).copy(
    token,
    campaignOctets + rowOctets,
  );
  return `${reversePath.slice(0, split)}+${encodeBase32(token)}${reversePath.slice(split)}`;
}

/** Reads an address to which a bounce came, in whatever case. Compares in constant time. */
export function parseVerp(address: string, secret: string): Verp | RefusedVerp {
  const split = address.lastIndexOf('@');
  const plus = address.lastIndexOf('+', split);
  const octets = plus < 1 ? undefined : decodeBase32(address.slice(plus + 1, split));
  if (octets === undefined) return { kind: 'refused', reason: 'noToken' };
  const facts = octets.subarray(0, campaignOctets + rowOctets);
  const mac = makeMac(address.slice(0, plus) + address.slice(split), secret, facts);
  if (!timingSafeEqual(mac, octets.subarray(facts.length))) return { kind: 'refused', reason: 'forged' };
  return {
    kind: 'verp',
    campaign: facts.toString('hex', 0, campaignOctets),
    row: facts.readUIntBE(campaignOctets, rowOctets),
  };
}

/** The label keeps the secret's other uses apart, the address keeps one sender's tokens from another's. */
function makeMac(reversePath: string, secret: string, facts: Uint8Array): Buffer {
  const mac = createHmac('sha256', secret).update(`posthaste verp 1\0${reversePath.toLowerCase()}\0`);
  return mac.update(facts).digest().subarray(0, macOctets);
}

function encodeBase32(octets: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const octet of octets) {
    held = (held << 8) | octet;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += alphabet[(held >>> (bits - 5)) & 31];
    held &= (1 << bits) - 1;
  }
  return text;
}

/** Undefined for anything but 32 characters of the alphabet in either case. */
function decodeBase32(text: string): Buffer | undefined {
  if (!/^[a-z2-7]{32}$/i.test(text)) return undefined;
  const octets = Buffer.alloc(campaignOctets + rowOctets + macOctets);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const character of text.toLowerCase()) {
    held = (held << 5) | alphabet.indexOf(character);
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    octets[at] = held >>> bits;
    at += 1;
    held &= (1 << bits) - 1;
  }
  return octets;
}
