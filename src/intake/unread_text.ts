// The text of a list that is not yet read: cut at line ends, counted in physical lines.

const lineEnd = /\r\n?|\n/g;

/** Line ends in a text: LF, CR and CRLF are one each. */
export function countLineEnds(text: string): number {
  // Hardly any cell holds one, and `includes` is much faster than a regular expression.
  if (!text.includes('\n') && !text.includes('\r')) return 0;
  return text.match(lineEnd)?.length ?? 0;
}

/** Lines of a text; the last one need not have an end. */
export function countLines(text: string): number {
  return countLineEnds(text) + (/[^\r\n]$/.test(text) ? 1 : 0);
}

/** The lines of a text without their ends. */
export function splitLines(text: string): string[] {
  return text.split(lineEnd);
}

/**
 * Text that comes in pieces, cut anywhere, and goes by lines.
 *
 *     | passed | lines whose ends are known | begun line | CR? |
 *              #at                                       #end
 *
 * A CR that ends a piece may be half of a line end, so it stays out of sight until more text or the end of the list
 * decides about it.
 */
export class UnreadText {
  /** The physical line, from 1, at which the text begins. */
  line = 1;
  #text = '';
  #at = 0;
  #end = 0;
  #isWhole = false;

  push(text: string): void {
    if (text === '') return;
    this.#text = this.#at < this.#text.length ? this.#text.slice(this.#at) + text : text;
    this.#at = 0;
    this.#end = text.endsWith('\r') ? this.#text.length - 1 : this.#text.length;
  }

  /** Says that no more text will come: its end ends the last line. */
  end(): void {
    this.#isWhole = true;
    this.#end = this.#text.length;
  }

  /** Whether no more text will come. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  get sizeChars(): number {
    return this.#end - this.#at;
  }

  /** The first characters, at most `chars`. */
  peek(chars: number): string {
    return this.#text.slice(this.#at, Math.min(this.#at + chars, this.#end));
  }

  /**
   * As many whole lines as there are whose last line end begins within `reachChars`; '' where there is none. Of a CRLF at
   * the end, the LF may be missing; `passLines` passes both.
   */
  peekLines(reachChars: number): string {
    if (this.#isWhole && this.sizeChars <= reachChars) return this.#text.slice(this.#at);
    const reach = this.peek(reachChars + 1);
    return reach.slice(0, Math.max(reach.lastIndexOf('\n'), reach.lastIndexOf('\r')) + 1);
  }

  /** Passes lines that are there. */
  passLines(count: number): void {
    lineEnd.lastIndex = this.#at;
    for (let left = count; left > 0; left--) {
      this.#at = lineEnd.test(this.#text) ? lineEnd.lastIndex : this.#text.length;
    }
    this.line += count;
  }

  /** Passes text up to the end of the line; returns false where that has not come yet. */
  passRestOfLine(): boolean {
    lineEnd.lastIndex = this.#at;
    const isThere = (lineEnd.exec(this.#text)?.index ?? this.#end) < this.#end;
    this.#at = isThere ? lineEnd.lastIndex : this.#end;
    if (isThere) this.line += 1;
    return isThere;
  }
}
