// Quoted-printable (RFC 2045 §6.7) in pieces: static runs encoded once, values encoded where they are spliced in.
//
//   static run          value            static run
//   "Dear=20"           "José"           ",\r\nyour order=20"
//            ^ column                ^ column: characters on the physical line so far
//
// A soft line break "=CRLF" may stand between any two characters, so a piece that was encoded from column 0 can
// follow any other piece: either it fits behind it or a soft break goes in between.

/** The body under construction. Invariant between pieces: `column` ≤ 75, so that a "=" always fits. */
export interface Cursor {
  text: string;
  column: number;
}

/** A static run, encoded from column 0. Safe at any column: its first "." and last blank are encoded. */
export interface Run {
  readonly text: string;
  /** Characters of the first physical line, without the "=" of a soft break. */
  readonly firstColumns: number;
  /** Characters after the last CRLF; -1 where there is none. */
  readonly lastColumns: number;
}

/** RFC 2045 §6.7 (5): 76 characters with the "=". */
const lineColumns = 75;
const softBreak = '=\r\n';

const lf = 10;
const cr = 13;
const space = 32;
const tab = 9;
const dot = 46;
const equalsSign = 61;

const encodeFlag = 1;
const escapeFlag = 2;

/** As liquidjs escapes. */
const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

/** Per ASCII character: must it be encoded in quoted-printable, must it be escaped in HTML. */
const flags = makeFlags();

/** "=00" … "=FF". */
const triples = Array.from(
  { length: 256 },
  (_, byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`,
);

/** Encodes text that every recipient gets. CRLF, LF and CR are line breaks. */
export function makeRun(text: string): Run {
  const cursor: Cursor = { text: '', column: 0 };
  appendEncoded(cursor, text);
  const encoded = cursor.text;
  const firstBreak = encoded.indexOf('\r\n');
  if (firstBreak === -1) return { text: encoded, firstColumns: encoded.length, lastColumns: -1 };
  const isSoft = encoded.startsWith('=', firstBreak - 1);
  return { text: encoded, firstColumns: isSoft ? firstBreak - 1 : firstBreak, lastColumns: cursor.column };
}

/** Appends a static run. */
export function appendRun(cursor: Cursor, run: Run): void {
  if (cursor.column + run.firstColumns > lineColumns) breakSoftly(cursor);
  cursor.text += run.text;
  cursor.column = run.lastColumns === -1 ? cursor.column + run.firstColumns : run.lastColumns;
}

/** Appends a value as text. */
export function appendText(cursor: Cursor, text: string): void {
  if (!isPlain(text, encodeFlag)) appendEncoded(cursor, text);
  else appendPlain(cursor, text);
}

/** Appends a value as the text content or attribute value of HTML, escaped as liquidjs escapes. */
export function appendEscaped(cursor: Cursor, text: string): void {
  if (isPlain(text, encodeFlag | escapeFlag)) appendPlain(cursor, text);
  else appendText(cursor, escapeHtml(text));
}

/** Ends the message's last line. */
export function appendEnd(cursor: Cursor): void {
  if (cursor.column === 0) return;
  cursor.text += '\r\n';
  cursor.column = 0;
}

/**
 * Whether every character stands for itself wherever it is. The fast path of nearly every value: one scan, no copy;
 * bench/compose.ts earned it.
 */
function isPlain(text: string, mask: number): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 126 || ((flags[code] ?? encodeFlag) & mask) !== 0) return false;
  }
  return true;
}

/** Appends characters that all stand for themselves, except for a "." at the front and a blank at the end. */
function appendPlain(cursor: Cursor, text: string): void {
  const { length } = text;
  if (length > lineColumns || (length > 0 && text.charCodeAt(length - 1) === space)) {
    appendEncoded(cursor, text);
    return;
  }
  if (cursor.column + length > lineColumns) breakSoftly(cursor);
  if (cursor.column === 0 && text.charCodeAt(0) === dot) {
    appendEncoded(cursor, text);
    return;
  }
  cursor.text += text;
  cursor.column += length;
}

/** Appends anything. Characters that stand for themselves are copied in slices, from `from` on. */
function appendEncoded(cursor: Cursor, text: string): void {
  let from = 0;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === cr || code === lf) {
      cursor.text += `${text.slice(from, at)}\r\n`;
      cursor.column = 0;
      at += code === cr && text.charCodeAt(at + 1) === lf ? 2 : 1;
      from = at;
    } else if (standsForItself(code, text, at) && !(code === dot && isLineStart(cursor.column))) {
      if (cursor.column === lineColumns) {
        cursor.text += text.slice(from, at);
        from = at;
        breakSoftly(cursor);
      }
      cursor.column += 1;
      at += 1;
    } else {
      cursor.text += text.slice(from, at);
      appendTriples(cursor, encodeCharacter(text, at));
      at += code >= 0xd800 && (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
      from = at;
    }
  }
  cursor.text += text.slice(from);
}

/** RFC 2045 §6.7 (3): a blank must not end a line; the end of a piece counts as one, for nobody knows what follows. */
function standsForItself(code: number, text: string, at: number): boolean {
  if (code === space || code === tab) {
    const next = at + 1 < text.length ? text.charCodeAt(at + 1) : lf;
    return next !== cr && next !== lf;
  }
  return code < 127 && ((flags[code] ?? encodeFlag) & encodeFlag) === 0;
}

/** A "." there would have to be doubled in SMTP (RFC 5321 §4.5.2). In column 75 it would come after a soft break. */
function isLineStart(column: number): boolean {
  return column === 0 || column === lineColumns;
}

/** All bytes of a character stay on one line. */
function appendTriples(cursor: Cursor, encoded: string): void {
  if (cursor.column + encoded.length > lineColumns) breakSoftly(cursor);
  cursor.text += encoded;
  cursor.column += encoded.length;
}

function breakSoftly(cursor: Cursor): void {
  cursor.text += softBreak;
  cursor.column = 0;
}

/** The UTF-8 bytes of the character at `at`; a lone surrogate is U+FFFD. */
function encodeCharacter(text: string, at: number): string {
  let code = text.codePointAt(at) ?? 0xfffd;
  if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
  if (code < 0x80) return tripleOf(code);
  const last = tripleOf(0x80 | (code & 0x3f));
  if (code < 0x800) return tripleOf(0xc0 | (code >> 6)) + last;
  const middle = tripleOf(0x80 | ((code >> 6) & 0x3f)) + last;
  if (code < 0x10000) return tripleOf(0xe0 | (code >> 12)) + middle;
  return tripleOf(0xf0 | (code >> 18)) + tripleOf(0x80 | ((code >> 12) & 0x3f)) + middle;
}

function tripleOf(byte: number): string {
  return triples[byte] ?? '';
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, entityOf);
}

function entityOf(character: string): string {
  return entities[character] ?? character;
}

function makeFlags(): Uint8Array {
  const table = new Uint8Array(128);
  for (let code = 0; code < 128; code++) {
    if (code < space || code === equalsSign) table[code] = encodeFlag;
  }
  for (const character of Object.keys(entities)) table[character.charCodeAt(0)] = escapeFlag;
  return table;
}
