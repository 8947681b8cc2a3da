// An address as it stands in a header field (RFC 5322 §3.4, with UTF-8 where RFC 6532 §3.2 adds it).
import { toOctets } from '../mail/octets.ts';

/** An address ready for a header, or why there is none. */
export type WrittenAddress =
  | {
      readonly kind: 'address';
      /** Octets (octets.ts), without angle brackets. */
      readonly octets: string;
      /** Whether it may stand without angle brackets. */
      readonly isPlain: boolean;
      /** Whether only SMTPUTF8 can carry it. */
      readonly isUtf8: boolean;
    }
  | { readonly kind: 'invalid'; readonly reason: string };

/** An addr-spec whose local part is a quoted-string, or whose domain is a literal. No alternative overlaps another. */
const unusualAddress =
  /^(?:"(?:[^"\\]|\\.)*"|[^\s"(),:;<>@[\\\]]+)@(?:[^\s"(),:;<>@[\\\]]+|\[[^\s<>[\\\]]*\])$/;

const unwritable: WrittenAddress = {
  kind: 'invalid',
  reason: 'address cannot be written in a header: expected local@domain',
};

/** Writes an address that intake has validated; what could still be read as something else is refused. */
export function writeAddress(address: string): WrittenAddress {
  let isPlain = true;
  let isUtf8 = false;
  for (let at = 0; at < address.length; at++) {
    const code = address.charCodeAt(at);
    if (code > 127) isUtf8 = true;
    // RFC 2047 §5 forbids encoded-words in addresses, and readers decode what looks like one all the same.
    else if (code === 61 && address.charCodeAt(at + 1) === 63) return unwritable;
    else if (code < 33 || code === 127 || isSpecial(code)) isPlain = false;
  }
  if (isPlain && !isUtf8) return { kind: 'address', octets: address, isPlain, isUtf8 };
  if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(address) || !unusualAddress.test(address)) return unwritable;
  return { kind: 'address', octets: toOctets(address), isPlain, isUtf8 };
}

/** RFC 5322 §3.2.3 specials without "." and "@": " ( ) , : ; < > [ \ ] */
function isSpecial(code: number): boolean {
  switch (code) {
    case 34:
    case 40:
    case 41:
    case 44:
    case 58:
    case 59:
    case 60:
    case 62:
    case 91:
    case 92:
    case 93:
      return true;
    default:
      return false;
  }
}
