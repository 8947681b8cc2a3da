// Unstructured header values (RFC 5322 §2.2.1): folded, and in encoded-words (RFC 2047) where they are not plain ASCII.

/** RFC 5322 §2.1.1: 78 characters where possible. */
export const lineColumns = 78;
/** RFC 2047 §2: a line with an encoded-word is at most 76 characters, the encoded-word at most 75. */
export const encodedLineColumns = 76;
const wordOverhead = '=?UTF-8?Q??='.length;

/** What may stand in a "Q" encoded-word anywhere (RFC 2047 §5 (3)); a space is written as "_". */
const literalInQ = makeLiteralInQ();

/**
 * The field "name: value" without its CRLF, folded. Any text will do as value: runs of control characters, CR and LF
 * among them, become one space, blanks at the ends go away, and whatever a reader could take for something else
 * than itself is in encoded-words. `keepsWords` leaves ASCII words that are longer than a line whole (they may be
 * URLs of a structured field) instead of cutting them into encoded-words.
 */
export function formatField(name: string, value: string, keepsWords = false): string {
  const first = name.length + 2;
  if (isPlainValue(value) && first + value.length <= lineColumns) return `${name}: ${value}`;
  const clean = cleanValue(value);
  if (clean === '') return `${name}:`;
  if (isPlainValue(clean)) {
    const folded = foldWords(name, clean, first);
    if (keepsWords || folded.split('\r\n').every((line) => line.length <= lineColumns)) return folded;
  }
  return `${name}: ${encodeWords(clean, first)}`;
}

/** Whether the value reads back as it is: printable ASCII, no blank at an end, nothing like an encoded-word. */
export function isPlainValue(value: string): boolean {
  const { length } = value;
  if (length === 0 || value.charCodeAt(0) === 32 || value.charCodeAt(length - 1) === 32) return false;
  for (let at = 0; at < length; at++) {
    const code = value.charCodeAt(at);
    if (code < 32 || code > 126) return false;
    if (code === 61 && value.charCodeAt(at + 1) === 63) return false;
  }
  return true;
}

/**
 * CR and LF would end the field; other controls, C1 ones included, have no meaning in it. A byte order mark means
 * nothing either, and readers that decode encoded-words one by one drop it from the front of each.
 */
export function cleanValue(value: string): string {
  return value
    .replace(/\p{Cc}+/gu, ' ')
    .replaceAll('\ufeff', '')
    .toWellFormed()
    .trim();
}

/** Folds before single spaces only: readers disagree about what a longer run of blanks unfolds to. */
function foldWords(name: string, value: string, first: number): string {
  const line = `${name}: ${value}`;
  const firstWord = value.indexOf(' ') < 0 ? value.length : value.indexOf(' ');
  let folded = '';
  let from = 0;
  // A first line without a value is rare to see: only where it keeps the first word within 78.
  let candidate = first + firstWord > lineColumns && firstWord < lineColumns ? name.length + 1 : -1;
  for (let at = first; at <= line.length; at++) {
    const isEnd = at === line.length;
    if (!isEnd && (line[at] !== ' ' || line[at - 1] === ' ' || line[at + 1] === ' ')) continue;
    if (at - from > lineColumns && candidate > from) {
      folded += `${line.slice(from, candidate)}\r\n`;
      from = candidate;
    }
    candidate = at;
  }
  return folded + line.slice(from);
}

/** Encodes the whole value from column `first` on, in whichever of Q and B is shorter; no character is cut (RFC 2047 §5). */
export function encodeWords(value: string, first: number): string {
  const inQ = costInQ(value) <= Math.ceil(Buffer.byteLength(value) / 3) * 4;
  let encoded = '';
  let column = first;
  if (column + wordOverhead + 12 > encodedLineColumns) {
    encoded = '\r\n ';
    column = 1;
  }
  for (let from = 0; from < value.length;) {
    const to = endOfWord(value, from, encodedLineColumns - column - wordOverhead, inQ);
    const word = value.slice(from, to);
    if (from > 0) encoded += '\r\n ';
    encoded += inQ ? `=?UTF-8?Q?${encodeQ(word)}?=` : `=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`;
    from = to;
    column = 1;
  }
  return encoded;
}

/** Where the encoded-word that begins at `from` must end to have at most `room` encoded characters. */
function endOfWord(value: string, from: number, room: number, inQ: boolean): number {
  const budget = inQ ? room : Math.floor(room / 4) * 3;
  let spent = 0;
  let at = from;
  while (at < value.length) {
    const code = value.codePointAt(at) ?? 0;
    spent += inQ ? costOfCharacter(code) : byteLengthOf(code);
    if (spent > budget) break;
    at += code > 0xffff ? 2 : 1;
  }
  return at;
}

function costInQ(value: string): number {
  let cost = 0;
  for (let at = 0; at < value.length; at++) {
    const code = value.codePointAt(at) ?? 0;
    cost += costOfCharacter(code);
    if (code > 0xffff) at++;
  }
  return cost;
}

function costOfCharacter(code: number): number {
  return code === 32 || literalInQ[code] === 1 ? 1 : 3 * byteLengthOf(code);
}

function byteLengthOf(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

function encodeQ(word: string): string {
  let encoded = '';
  for (const byte of Buffer.from(word)) {
    if (byte === 32) encoded += '_';
    else if (literalInQ[byte] === 1) encoded += String.fromCharCode(byte);
    else encoded += `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

function makeLiteralInQ(): Uint8Array {
  const table = new Uint8Array(256);
  for (const byte of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/'))
    table[byte] = 1;
  return table;
}
