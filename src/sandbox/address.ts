// Whether an address is one: the Mailbox of RFC 5321 §4.1.2, with UTF-8 where RFC 6531 §3.3 adds it.

const atext = new Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~");
/** RFC 5321 §4.5.3.1.1 and §4.5.3.1.2, in octets. */
const maxLocalPartBytes = 64;
const maxDomainBytes = 255;

/** `utf8` is an address that only SMTPUTF8 can carry. */
export type AddressForm = 'ascii' | 'utf8' | 'malformed';

export function examineAddress(address: string): AddressForm {
  const at = address.lastIndexOf('@');
  if (at <= 0) return 'malformed';
  const isWhole = isLocalPart(address, at) && isDomain(address, at + 1);
  if (!isWhole) return 'malformed';
  const isAscii = Buffer.byteLength(address) === address.length;
  if (isAscii)
    return at <= maxLocalPartBytes && address.length - at - 1 <= maxDomainBytes ? 'ascii' : 'malformed';
  // What was no UTF-8 has become replacement characters.
  if (address.includes('\ufffd') || Buffer.byteLength(address.slice(0, at)) > maxLocalPartBytes)
    return 'malformed';
  return 'utf8';
}

function isLocalPart(address: string, end: number): boolean {
  if (address.charCodeAt(0) === 0x22) return isQuotedString(address, end);
  let previous = '.';
  for (let at = 0; at < end; at += 1) {
    const one = address.charAt(at);
    const fits = one === '.' ? previous !== '.' : atext.has(one) || one > '\u009f';
    if (!fits) return false;
    previous = one;
  }
  return previous !== '.';
}

function isQuotedString(address: string, end: number): boolean {
  if (end < 2 || address.charAt(end - 1) !== '"') return false;
  for (let at = 1; at < end - 1; at += 1) {
    const one = address.charAt(at);
    if (one === '"' || one < ' ' || (one >= '\u007f' && one <= '\u009f')) return false;
    if (one === '\\') at += 1;
    if (at === end - 1) return false;
  }
  return true;
}

function isDomain(address: string, from: number): boolean {
  if (address.charAt(from) === '[') return /^\[[!-Z^-~]+\]$/.test(address.slice(from));
  let labelLength = 0;
  for (let at = from; at < address.length; at += 1) {
    const code = address.charCodeAt(at);
    if (code === 0x2e && labelLength === 0) return false;
    if (code !== 0x2e && !isLabelCode(code)) return false;
    labelLength = code === 0x2e ? 0 : labelLength + 1;
    if (labelLength > 63) return false;
  }
  return labelLength > 0;
}

function isLabelCode(code: number): boolean {
  const isLetter = (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a);
  return isLetter || (code >= 0x30 && code <= 0x39) || code === 0x2d || code > 0x9f;
}
