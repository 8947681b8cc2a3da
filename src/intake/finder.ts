// Finds the next place of a character, remembering the last answer, so that no stretch of text is searched twice.

/** The answer where there is no such place; greater than any index. */
export const nowhere = 0x3fff_ffff;

/**
 * Invariant: in `#text`, no place of the character lies in [#from, #found). Without this, looking for a rare character
 * (a CR in a list with LF line ends) at every row would cost the rest of the chunk every time.
 */
export class Finder {
  readonly #character: string;
  #text = '';
  #from = 0;
  #found = -1;

  /** `character` is one UTF-16 code unit. */
  constructor(character: string) {
    this.#character = character;
  }

  setText(text: string): void {
    this.#text = text;
    this.#from = 0;
    this.#found = -1;
  }

  /** The first place of the character at or after `from`, or `nowhere`. */
  find(from: number): number {
    if (from >= this.#from && from <= this.#found) return this.#found;
    const index = this.#text.indexOf(this.#character, from);
    this.#from = from;
    this.#found = index < 0 ? nowhere : index;
    return this.#found;
  }
}
