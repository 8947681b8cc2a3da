// The reply parser: bytes of a session in, whole replies out (RFC 5321 §4.2). It knows no commands.
import { makeReply, type Reply } from '../mail/reply.ts';

/** RFC 5321 §4.5.3.1.5 allows 512 octets a line; relays send longer ones. What is beyond is cut from the text. */
const maxLineBytes = 4096;
/** Bounds for one reply; a peer that exceeds them is not talking SMTP. */
const maxReplyBytes = 65_536;
const maxReplyLines = 512;

const lineFeed = 10;
const carriageReturn = 13;
const hyphen = 45;
const space = 32;

/**
 * Takes the bytes of one session in pieces of any size. Any split of the same bytes gives the same replies.
 * A line may end in CRLF or in a lone LF.
 */
export class ReplyParser {
  /** The beginning of a line whose end has not come yet. */
  #partial: Buffer[] = [];
  #partialBytes = 0;
  /** The lines of a reply that goes on; `#code` is 0 between replies. */
  #code = 0;
  #text = '';
  #lineCount = 0;
  #replyBytes = 0;

  /** True when bytes of an unfinished reply are held. */
  get holdsPartialReply(): boolean {
    return this.#partialBytes > 0 || this.#code !== 0;
  }

  /**
   * Appends the replies that `chunk` completes to `replies`. Returns what is wrong when the bytes are no SMTP
   * replies; the parser is of no use afterwards.
   */
  feed(chunk: Buffer, replies: Reply[]): string | undefined {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      const problem = this.#takeLine(this.#completeLine(chunk.subarray(start, end)), replies);
      if (problem !== undefined) return problem;
      start = end + 1;
    }
    return this.#hold(chunk.subarray(start));
  }

  #hold(rest: Buffer): string | undefined {
    if (rest.length === 0) return undefined;
    // The chunk's memory may be reused by its owner, and a partial line outlives it.
    this.#partial.push(Buffer.from(rest));
    this.#partialBytes += rest.length;
    return this.#partialBytes + this.#replyBytes > maxReplyBytes ? 'a reply without end' : undefined;
  }

  #completeLine(tail: Buffer): Buffer {
    if (this.#partialBytes === 0) return tail;
    const line = Buffer.concat([...this.#partial, tail]);
    this.#partial = [];
    this.#partialBytes = 0;
    return line;
  }

  #takeLine(line: Buffer, replies: Reply[]): string | undefined {
    const length = line.at(-1) === carriageReturn ? line.length - 1 : line.length;
    const code = replyCodeOf(line, length);
    if (code === 0) return `not a reply: ${quoteLine(line, length)}`;
    if (this.#code !== 0 && code !== this.#code) {
      return `a multiline reply that begins with ${this.#code} and goes on with ${code}`;
    }
    this.#addText(line, length, code);
    if (this.#replyBytes > maxReplyBytes || this.#lineCount > maxReplyLines) return 'a reply without end';
    if (line[3] === hyphen && length > 3) return undefined;
    replies.push(makeReply(code, this.#text));
    this.#code = 0;
    this.#text = '';
    this.#lineCount = 0;
    this.#replyBytes = 0;
    return undefined;
  }

  #addText(line: Buffer, length: number, code: number): void {
    const text = line.toString('utf8', Math.min(4, length), Math.min(length, maxLineBytes));
    this.#text = this.#lineCount === 0 ? text : `${this.#text}\n${text}`;
    this.#code = code;
    this.#lineCount += 1;
    this.#replyBytes += length;
  }
}

/** The reply code of a line, or 0: three digits of which the first is 2–5, then a space, a hyphen or nothing. */
function replyCodeOf(line: Buffer, length: number): number {
  if (length < 3 || (length > 3 && line[3] !== space && line[3] !== hyphen)) return 0;
  const first = (line[0] ?? 0) - 48;
  const second = (line[1] ?? 0) - 48;
  const third = (line[2] ?? 0) - 48;
  if (first < 2 || first > 5 || second < 0 || second > 9 || third < 0 || third > 9) return 0;
  return first * 100 + second * 10 + third;
}

function quoteLine(line: Buffer, length: number): string {
  // What is no ASCII text may mean something to a terminal.
  const octets = Array.from(line.subarray(0, Math.min(length, 60)), (octet) =>
    octet > 0x1f && octet < 0x7f ? String.fromCharCode(octet) : '.',
  );
  return JSON.stringify(octets.join(''));
}
