// Bytes of a list into text, where bytes that the charset does not allow spoil their own row and no other.
import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { undecodable } from './row.ts';

/** Turns bytes, in chunks cut anywhere, into text without a byte order mark; see `undecodable` for bad bytes. */
export interface CharsetDecoder {
  /** The charset's canonical name, for messages. */
  readonly charset: string;
  decode(bytes: Uint8Array): string;
  /** The text of what was held back. */
  end(): string;
}

/** Makes the decoder of a WHATWG label ("utf-8", "windows-1252", "utf-16le"); `name` is the list's, for errors. */
export function makeDecoder(label: string, name: string): CharsetDecoder {
  const decoder = findDecoder(label, name);
  return decoder.encoding === 'utf-8' ? new Utf8Decoder(name) : new OtherDecoder(decoder);
}

function findDecoder(label: string, name: string): TextDecoder {
  try {
    return new TextDecoder(label);
  } catch (cause) {
    throw new PosthasteError({
      code: 'ERR_LIST_CHARSET',
      message: `The charset "${label}" of the list is not known.`,
      hint: 'Use a name such as utf-8, windows-1252, iso-8859-15 or utf-16le.',
      where: name,
      exitCode: ExitCode.dataError,
      cause,
    });
  }
}

/** Valid chunks are decoded whole; only a chunk with bad bytes is looked at closely. */
class Utf8Decoder implements CharsetDecoder {
  readonly charset = 'utf-8';
  readonly #name: string;
  #held: Uint8Array = new Uint8Array();
  #started = false;

  constructor(name: string) {
    this.#name = name;
  }

  decode(bytes: Uint8Array): string {
    const all = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    // A byte order mark must be whole before anything is decided about it.
    const end = this.#started || all.length >= 3 ? findCharacterBorder(all) : 0;
    // The source may use its buffer again, so what is held is copied.
    this.#held = Uint8Array.from(all.subarray(end));
    return end === 0 ? '' : this.#decodeWhole(all.subarray(0, end));
  }

  end(): string {
    const rest = this.#held;
    this.#held = new Uint8Array();
    return this.#decodeWhole(rest);
  }

  #decodeWhole(bytes: Uint8Array): string {
    if (!this.#started) refuseUtf16(bytes, this.#name);
    const text = isUtf8(bytes) ? toText(bytes) : markBadBytes(bytes);
    const hasMark = !this.#started && text.startsWith('\ufeff');
    this.#started = true;
    return hasMark ? text.slice(1) : text;
  }
}

/** TextDecoder puts U+FFFD for bad bytes and drops the byte order mark itself. */
class OtherDecoder implements CharsetDecoder {
  readonly charset: string;
  readonly #decoder: TextDecoder;

  constructor(decoder: TextDecoder) {
    this.charset = decoder.encoding;
    this.#decoder = decoder;
  }

  decode(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, { stream: true }).replaceAll('\ufffd', undecodable);
  }

  end(): string {
    return this.#decoder.decode().replaceAll('\ufffd', undecodable);
  }
}

/**
 * The index before a character that the end of `bytes` may have cut. A lead byte always begins a new character, valid
 * or not, so cutting before one never changes what the whole decodes to.
 */
function findCharacterBorder(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte >= 0xc0) {
      const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return wanted > back ? bytes.length - back : bytes.length;
    }
  }
  return bytes.length;
}

/** Decodes with marks for bad bytes. A U+FFFD that the list itself holds (EF BF BD) is a valid character and stays. */
function markBadBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const genuine = Buffer.from('\ufffd');
  const pieces: string[] = [];
  let from = 0;
  for (;;) {
    const found = buffer.indexOf(genuine, from);
    const piece = buffer.subarray(from, found < 0 ? buffer.length : found);
    pieces.push(toText(piece).replaceAll('\ufffd', undecodable));
    if (found < 0) return pieces.join('\ufffd');
    from = found + genuine.length;
  }
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function refuseUtf16(bytes: Uint8Array, name: string): void {
  const mark = `${bytes[0]} ${bytes[1]}`;
  if (mark !== '255 254' && mark !== '254 255') return;
  const charset = mark === '255 254' ? 'utf-16le' : 'utf-16be';
  throw new PosthasteError({
    code: 'ERR_LIST_ENCODING',
    message: `The list ${name} begins with the byte order mark of ${charset}, but UTF-8 was expected.`,
    hint: `Say that the list's charset is ${charset}, or save the list as UTF-8.`,
    where: `${name}:1:1`,
    exitCode: ExitCode.dataError,
  });
}
