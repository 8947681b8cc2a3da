// A field whose value is one mailbox (RFC 5322 §3.4): whatever its display name is made of, it stays one.
import { RenderFailure } from './cell.ts';
import type { WrittenAddress } from './address.ts';
import { cleanValue, encodedLineColumns, encodeWords, isPlainValue, lineColumns } from './header.ts';

/** Long before this nobody's name is one any more, and readers cut it. */
const maxNameChars = 500;

/** RFC 5322 §3.2.3: atoms with single spaces between them need no quotes. */
const atoms = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/;

/** The field without its CRLF, folded. Throws RenderFailure for a name that no reader would show. */
export function formatMailbox(
  field: string,
  name: string,
  address: Extract<WrittenAddress, { kind: 'address' }>,
): string {
  const first = field.length + 2;
  if (name === '') return writeBare(field, address);
  const clean = isPlainValue(name) ? name : cleanName(name);
  if (clean === '') return writeBare(field, address);
  if (clean.length > maxNameChars)
    throw new RenderFailure(
      `the display name of ${field} has ${clean.length} characters, at most ${maxNameChars} are sent`,
    );
  const phrase = formatPhrase(clean, first);
  const lineStart = phrase.lastIndexOf('\n') + 1;
  const column = phrase.length - lineStart + (lineStart === 0 ? first : 0);
  // Counted for the blank and the brackets, too.
  const isFull =
    column + address.octets.length + 3 > (phrase.includes('=?') ? encodedLineColumns : lineColumns);
  return `${field}: ${phrase}${isFull ? '\r\n' : ''} <${address.octets}>`;
}

function writeBare(field: string, { octets, isPlain }: Extract<WrittenAddress, { kind: 'address' }>): string {
  const value = isPlain ? octets : `<${octets}>`;
  // A first line without a value is rare to see: only where it keeps the address within 78.
  const isFolded = field.length + 2 + value.length > lineColumns && value.length < lineColumns;
  return `${field}:${isFolded ? '\r\n' : ''} ${value}`;
}

/** A display name as a phrase that begins at column `first` (RFC 5322 §3.2.5). `name` is clean. */
export function formatPhrase(name: string, first: number): string {
  if (!isPlainValue(name)) return encodeWords(name, first);
  const phrase = atoms.test(name) ? name : `"${name.replace(/["\\]/g, '\\$&')}"`;
  // Folding inside of quotes is legal and little known; encoded-words are folded everywhere.
  return first + phrase.length <= lineColumns ? phrase : encodeWords(name, first);
}

/** Readers treat the separators U+2028 and U+2029 as line ends, too. */
export function cleanName(name: string): string {
  return cleanValue(name.replace(/[\u2028\u2029]/g, ' '));
}
