// The content of one message as it arrives: its size always, its octets only when they are to be kept.

import type { ContentInspector } from './violations.ts';

const stuffed = Buffer.from('\r\n.');
/** The end of data beyond the message itself: its first CRLF belongs to the message (RFC 5321 §4.1.1.4). */
const dotLineBytes = 3;

export class Body {
  /** Octets as transferred; for DATA that includes dots that were doubled and the line that ends it. */
  sizeBytes = 0;
  readonly #keptLimitBytes: number;
  readonly #inspector: ContentInspector | undefined;
  #parts: Buffer[] = [];

  /** `keptLimitBytes` is 0 where nothing is kept; what goes beyond it is counted only. */
  constructor(keptLimitBytes: number, inspector: ContentInspector | undefined) {
    this.#keptLimitBytes = keptLimitBytes;
    this.#inspector = inspector;
  }

  reset(allowsEightBit: boolean): void {
    this.sizeBytes = 0;
    this.#parts = [];
    this.#inspector?.begin(allowsEightBit);
  }

  /** To be called when all of it was added. */
  end(): void {
    this.#inspector?.end();
  }

  add(chunk: Buffer, from: number, to: number): void {
    this.sizeBytes += to - from;
    this.#inspector?.read(chunk, from, to);
    if (this.sizeBytes <= this.#keptLimitBytes) this.#parts.push(chunk.subarray(from, to));
  }

  /** The octets that BDAT brought. */
  takeOctets(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** The message that DATA brought: without the line that ended it, each doubled dot single again (RFC 5321 §4.5.2). */
  takeText(): Buffer {
    const whole = Buffer.concat(this.#parts);
    return removeStuffing(whole.subarray(0, Math.max(0, whole.length - dotLineBytes)));
  }
}

function removeStuffing(text: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let from = text[0] === stuffed[2] ? 1 : 0;
  for (let at = text.indexOf(stuffed, 0); at >= 0; at = text.indexOf(stuffed, at + stuffed.length)) {
    pieces.push(text.subarray(from, at + 2));
    from = at + stuffed.length;
  }
  pieces.push(text.subarray(from));
  return Buffer.concat(pieces);
}
