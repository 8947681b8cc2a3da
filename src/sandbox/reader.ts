// Cuts a session's input into lines, message contents and BDAT octets, wherever its chunks happen to end.
import type { Body } from './body.ts';

/** A line without LF within `maxLineBytes`; the rest of it was skipped. */
export const tooLong = Symbol('line too long');
/** A line that ended in LF alone, which RFC 5321 §2.3.8 forbids. */
export const bareLf = Symbol('line ended in a bare LF');

/** An AUTH line may be this long with its CRLF (RFC 4954 §4); no other line comes near. */
const maxLineBytes = 12_290;
const empty = Buffer.alloc(0);
const endOfData = Buffer.from('\r\n.\r\n');
const cr = 0x0d;
const lf = 0x0a;
const dot = 0x2e;

/**
 * ```
 * chunk:  M A I L … CR LF D A T A CR LF F r o m :
 *                             ^ at: all before it is read
 * ```
 * At most one chunk and one line that it did not finish are held.
 */
export class Reader {
  #chunk: Buffer = empty;
  #at = 0;
  /** The beginning of a line that earlier chunks left unfinished. */
  #carry: Buffer = empty;
  #skipsLine = false;
  /** How many octets of CRLF.CRLF the content read so far ends in. */
  #matched = 0;
  #missingBytes = 0;

  push(chunk: Buffer): void {
    const isDone = this.#at === this.#chunk.length;
    this.#chunk = isDone ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** Whether some input has not been read, be it the beginning of a line. */
  hasInput(): boolean {
    return this.#at < this.#chunk.length || this.#carry.length > 0 || this.#skipsLine;
  }

  /** Forgets all input. RFC 3207 §6 wants that between STARTTLS and the handshake. */
  clear(): void {
    this.#chunk = empty;
    this.#at = 0;
    this.#carry = empty;
    this.#skipsLine = false;
  }

  /** The next line without its CRLF, decoded as UTF-8; undefined where it is not all there. */
  readLine(): string | typeof tooLong | typeof bareLf | undefined {
    const end = this.#chunk.indexOf(lf, this.#at);
    if (end < 0) {
      this.#carryRest();
      return undefined;
    }
    const from = this.#at;
    this.#at = end + 1;
    if (this.#carry.length > 0 || this.#skipsLine) return this.#joinLine(this.#chunk.subarray(from, end + 1));
    if (end - from >= maxLineBytes) return tooLong;
    if (end === from || this.#chunk[end - 1] !== cr) return bareLf;
    return this.#chunk.toString('utf8', from, end - 1);
  }

  #carryRest(): void {
    const rest = this.#chunk.subarray(this.#at);
    this.#at = this.#chunk.length;
    if (this.#carry.length + rest.length >= maxLineBytes) this.#skipsLine = true;
    this.#carry = this.#skipsLine ? empty : Buffer.concat([this.#carry, rest]);
  }

  #joinLine(rest: Buffer): string | typeof tooLong | typeof bareLf {
    const line = Buffer.concat([this.#carry, rest]);
    const isTooLong = this.#skipsLine || line.length > maxLineBytes;
    this.#carry = empty;
    this.#skipsLine = false;
    if (isTooLong) return tooLong;
    if (line.length < 2 || line[line.length - 2] !== cr) return bareLf;
    return line.toString('utf8', 0, line.length - 2);
  }

  /** Begins a message's content: what comes before it is the CRLF of DATA, so a lone dot ends it at once. */
  beginData(): void {
    this.#matched = 2;
  }

  /** Reads content into `body`; true when CRLF.CRLF was read, whose last three octets are in `body` too. */
  readData(body: Body): boolean {
    const chunk = this.#chunk;
    const from = this.#at;
    let at = from;
    let matched = this.#matched;
    while (matched > 0 && matched < endOfData.length && at < chunk.length) {
      matched = advanceMatch(matched, chunk[at]);
      at += 1;
    }
    if (matched === 0 && at < chunk.length) {
      const found = chunk.indexOf(endOfData, at);
      matched = found < 0 ? matchEnd(chunk, at) : endOfData.length;
      at = found < 0 ? chunk.length : found + endOfData.length;
    }
    body.add(chunk, from, at);
    this.#at = at;
    this.#matched = matched;
    return matched === endOfData.length;
  }

  beginOctets(sizeBytes: number): void {
    this.#missingBytes = sizeBytes;
  }

  /** Reads the octets of a BDAT into `body`; true when all of them were read. */
  readOctets(body: Body): boolean {
    const taken = Math.min(this.#missingBytes, this.#chunk.length - this.#at);
    body.add(this.#chunk, this.#at, this.#at + taken);
    this.#at += taken;
    this.#missingBytes -= taken;
    return this.#missingBytes === 0;
  }
}

/** One step of the search for CRLF.CRLF (Knuth, Morris and Pratt): a CR that does not fit may begin another match. */
function advanceMatch(matched: number, octet: number | undefined): number {
  if (octet === cr) return matched === 3 ? 4 : 1;
  if (octet === lf) return matched === 1 ? 2 : matched === 4 ? 5 : 0;
  return octet === dot && matched === 2 ? 3 : 0;
}

/** How much of CRLF.CRLF the end of a chunk is; four octets decide it, as five would have been found. */
function matchEnd(chunk: Buffer, from: number): number {
  let matched = 0;
  for (let at = Math.max(from, chunk.length - 4); at < chunk.length; at += 1) {
    matched = advanceMatch(matched, chunk[at]);
  }
  return matched;
}
