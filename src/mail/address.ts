// An address: the Mailbox of RFC 5321 §4.1.2, checked and brought into the form that goes to a relay.
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

/** A valid address. `address` is `localPart@domain`, at most 254 octets (RFC 5321 §4.5.3.1.3 without "<>"). */
export interface Address {
  readonly kind: 'address';
  readonly address: string;
  /** As it was written: only the domain's owner may change its case (RFC 5321 §2.4). */
  readonly localPart: string;
  /** A-labels in lower case, or an address literal in its brackets. */
  readonly domain: string;
  /** The local part is not ASCII: the relay must offer SMTPUTF8 (RFC 6531). */
  readonly smtputf8: boolean;
}

/** A text that is no address; the reason completes a sentence for users and names what was found. */
export interface InvalidAddress {
  readonly kind: 'invalid';
  readonly reason: string;
}

/** A mailbox of a header field (RFC 5322 §3.4); `name` is decoded, empty where there is none. */
export interface ParsedMailbox {
  readonly kind: 'mailbox';
  readonly name: string;
  readonly address: string;
}

const maxLocalPartOctets = 64;
const maxDomainOctets = 255;
const maxLabelOctets = 63;
const maxAddressOctets = 254;

const isAtext = 1;
const isLetter = 2;
const isDigit = 4;
const hyphen = 0x2d;
const dot = 0x2e;
const at = 0x40;

/** What an ASCII character may be: bits of isAtext (RFC 5322 §3.2.3), isLetter and isDigit. */
const asciiClasses = makeAsciiClasses();

/**
 * Parses an address of a list or of a campaign: dot-string or quoted-string, domain or address literal.
 * White space (ASCII) around it is dropped. Domains need a dot, except `localhost`; U-labels become A-labels.
 */
export function parseAddress(text: string): Address | InvalidAddress {
  return parsePlain(text) ?? parseAny(trimAsciiSpace(text));
}

/** The part after the last "@": the domain of an address that `parseAddress` has accepted. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

/**
 * Parses `address`, `<address>`, `Name <address>` or `"Name, with specials" <address>`.
 * Comments, groups and lists of mailboxes are refused: a header of ours never needs them.
 */
export function parseMailbox(text: string): ParsedMailbox | InvalidAddress {
  const trimmed = text.trim();
  // A header field's value must not be able to end the field.
  if (/\p{Cc}/u.test(trimmed)) return invalid('has a line break or another control character');
  const name = trimmed.endsWith('>') ? parseDisplayName(trimmed) : { name: '', next: 0 };
  if ('kind' in name) return name;
  const inner = trimmed.endsWith('>') ? trimmed.slice(name.next + 1, -1) : trimmed;
  const parsed = parseAddress(inner);
  if (parsed.kind === 'invalid') return parsed;
  return { kind: 'mailbox', name: name.name, address: parsed.address };
}

/**
 * The fast path: a dot-string at an ASCII domain without white space, in one pass over a table. Invariant: what it
 * accepts, `parseAny` accepts with the same result; everything else is left to `parseAny`, which knows the reasons.
 */
function parsePlain(text: string): Address | undefined {
  if (text.length > maxAddressOctets) return undefined;
  const end = findDotStringEnd(text);
  if (end < 1 || end > maxLocalPartOctets || text.charCodeAt(end) !== at) return undefined;
  if (findDomainFlaw(text, end + 1) !== '') return undefined;
  const written = text.slice(end + 1);
  const domain = written.toLowerCase();
  const localPart = text.slice(0, end);
  const address = domain === written ? text : `${localPart}@${domain}`;
  return { kind: 'address', address, localPart, domain, smtputf8: false };
}

/** The index after the dot-string that `text` begins with (RFC 5321 §4.1.2), or -1 where a dot is misplaced. */
function findDotStringEnd(text: string): number {
  let afterDot = true;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === dot) {
      if (afterDot) return -1;
      afterDot = true;
    } else if (code < 128 && ((asciiClasses[code] ?? 0) & isAtext) !== 0) {
      afterDot = false;
    } else {
      return afterDot ? -1 : index;
    }
  }
  return -1;
}

/** Why `text` from `start` is no domain of letters, digits, hyphens and dots (RFC 5321 §2.3.5), or ''. */
function findDomainFlaw(text: string, start: number): string {
  let labelStart = start;
  let labels = 0;
  let onlyDigits = true;
  for (let index = start; index <= text.length; index++) {
    // The end of the text ends a label as a dot does.
    const code = index < text.length ? text.charCodeAt(index) : dot;
    if (code === dot) {
      const flaw = findLabelFlaw(text, labelStart, index);
      if (flaw !== '') return flaw;
      labels += 1;
      if (index === text.length) break;
      labelStart = index + 1;
      onlyDigits = true;
      continue;
    }
    const kind = code < 128 ? (asciiClasses[code] ?? 0) : 0;
    if ((kind & (isLetter | isDigit)) === 0 && code !== hyphen) {
      return `character ${nameCharacter(text.codePointAt(index) ?? code)} is not allowed in a domain`;
    }
    if ((kind & isDigit) === 0) onlyDigits = false;
  }
  if (text.length - start > maxDomainOctets) return 'domain is longer than 255 octets';
  // RFC 3696 §2: a top-level domain is never all digits, so this is an IP address or a slip.
  if (onlyDigits) return 'domain ends in a number; an IP address needs brackets, as in [192.0.2.1]';
  if (labels < 2 && text.slice(start).toLowerCase() !== 'localhost') return 'domain has no dot';
  return '';
}

function findLabelFlaw(text: string, start: number, end: number): string {
  if (end === start)
    return start === text.length ? 'domain is empty or ends in a dot' : 'domain has an empty label';
  if (end - start > maxLabelOctets) return 'a label of the domain is longer than 63 octets';
  if (text.charCodeAt(start) === hyphen || text.charCodeAt(end - 1) === hyphen) {
    return 'a label of the domain begins or ends with "-"';
  }
  return '';
}

function trimAsciiSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isAsciiSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isAsciiSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isAsciiSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

function parseAny(text: string): Address | InvalidAddress {
  if (text === '') return invalid('address is empty');
  // Neither a domain nor a literal can hold "@", a quoted local part can.
  const split = text.lastIndexOf('@');
  if (split < 0) return invalid('address has no "@"');
  const localPart = text.slice(0, split);
  const flaw = findLocalPartFlaw(localPart);
  if (flaw !== '') return invalid(flaw);
  const domain = parseDomain(text.slice(split + 1));
  if (domain.kind === 'invalid') return domain;
  const address = `${localPart}@${domain.domain}`;
  if (Buffer.byteLength(address) > maxAddressOctets) return invalid('address is longer than 254 octets');
  return {
    kind: 'address',
    address,
    localPart,
    domain: domain.domain,
    smtputf8: Buffer.byteLength(localPart) > localPart.length,
  };
}

function findLocalPartFlaw(localPart: string): string {
  if (localPart === '') return 'nothing stands before the "@"';
  const sizeOctets = Buffer.byteLength(localPart);
  if (sizeOctets > maxLocalPartOctets)
    return `local part is ${sizeOctets} octets long, at most 64 are allowed`;
  // RFC 6531 §3.3 allows what is not ASCII; what cannot be seen is dirt from copying, never meant.
  const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}]|(?! )\p{Z}/u.exec(localPart);
  if (unseen !== null) return forbidInLocalPart(unseen[0].codePointAt(0) ?? 0);
  return localPart.startsWith('"') ? findQuotedStringFlaw(localPart) : findDotStringFlaw(localPart);
}

function findDotStringFlaw(localPart: string): string {
  for (const character of localPart) {
    const code = character.codePointAt(0) ?? 0;
    const allowed = code >= 128 || code === dot || ((asciiClasses[code] ?? 0) & isAtext) !== 0;
    if (!allowed) return forbidInLocalPart(code);
  }
  const misplaced = localPart.startsWith('.') || localPart.endsWith('.') || localPart.includes('..');
  return misplaced ? 'local part has a dot at its start, at its end or after another dot' : '';
}

/** RFC 5321 §4.1.2 Quoted-string; the caller has refused control characters. */
function findQuotedStringFlaw(localPart: string): string {
  let index = 1;
  while (index < localPart.length && localPart[index] !== '"') {
    if (localPart[index] === '\\') {
      index += 1;
      // RFC 6531 §3.3 lets qtextSMTP be more than ASCII, but not what a backslash quotes.
      const quoted = localPart.codePointAt(index) ?? 0;
      if (quoted > 0x7e) return `character ${nameCharacter(quoted)} cannot stand after a backslash`;
    }
    index += 1;
  }
  if (index >= localPart.length) return 'local part has an opening quote without a closing one';
  return index === localPart.length - 1 ? '' : 'local part goes on after its closing quote';
}

function parseDomain(text: string): { kind: 'domain'; domain: string } | InvalidAddress {
  if (text.startsWith('[')) return parseLiteral(text);
  // domainToASCII decodes and forgives what a host of a URL may hold, so ASCII is checked before it, too.
  const [forbidden] = /[^a-z0-9.\-\u0080-\u{10ffff}]/iu.exec(text) ?? [];
  if (forbidden !== undefined) {
    return invalid(`character ${nameCharacter(forbidden.codePointAt(0) ?? 0)} is not allowed in a domain`);
  }
  // oxlint-disable-next-line no-control-regex -- the whole of ASCII is meant
  const ascii = /^[\u0000-\u007f]*$/.test(text) ? text.toLowerCase() : domainToASCII(text);
  if (ascii === '' && text !== '') return invalid('domain is not a valid internationalised domain name');
  const flaw = findDomainFlaw(ascii, 0);
  return flaw === '' ? { kind: 'domain', domain: ascii } : invalid(flaw);
}

/** RFC 5321 §4.1.3; no tag but IPv6 is registered. */
function parseLiteral(text: string): { kind: 'domain'; domain: string } | InvalidAddress {
  const inner = text.endsWith(']') ? text.slice(1, -1) : '';
  if (isIPv4(inner)) return { kind: 'domain', domain: text };
  const isVersion6 = /^ipv6:/i.test(inner) && !inner.includes('%') && isIPv6(inner.slice(5));
  if (isVersion6) return { kind: 'domain', domain: `[IPv6:${inner.slice(5).toLowerCase()}]` };
  return invalid('address literal is not [IPv4] or [IPv6:…]');
}

/** Reads the words before "<"; `next` is the index of "<". Dots stand for obs-phrase: "Dr. Who" is usual. */
function parseDisplayName(text: string): { name: string; next: number } | InvalidAddress {
  let name = '';
  let index = 0;
  while (index < text.length && text[index] !== '<') {
    if (text[index] !== '"') {
      if (/[()>[\]:;@\\,]/.test(text[index] ?? ''))
        return invalid(`a name with "${text[index]}" needs quotes around it`);
      name += text[index];
      index += 1;
      continue;
    }
    index += 1;
    while (index < text.length && text[index] !== '"') {
      if (text[index] === '\\') index += 1;
      name += text[index] ?? '';
      index += 1;
    }
    index += 1;
  }
  if (index >= text.length) return invalid('has a quote or a ">" without its partner');
  return { name: name.trim().replace(/ {2,}/g, ' '), next: index };
}

function forbidInLocalPart(codePoint: number): string {
  return `character ${nameCharacter(codePoint)} is not allowed in the local part`;
}

/** A character for people: `","` or `U+00A0`. */
function nameCharacter(codePoint: number): string {
  const printable = codePoint > 0x20 && codePoint < 0x7f;
  return printable
    ? `"${String.fromCodePoint(codePoint)}"`
    : `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
}

function invalid(reason: string): InvalidAddress {
  return { kind: 'invalid', reason };
}

function makeAsciiClasses(): Uint8Array {
  const classes = new Uint8Array(128);
  const mark = (characters: string, bits: number): void => {
    for (const character of characters) classes[character.charCodeAt(0)] = bits;
  };
  mark("!#$%&'*+-/=?^_`{|}~", isAtext);
  mark('0123456789', isAtext | isDigit);
  mark('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', isAtext | isLetter);
  return classes;
}
