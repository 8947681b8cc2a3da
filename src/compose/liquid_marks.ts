// Liquid on its way through a package that knows nothing of it: put away behind marks, and put back afterwards.
import { endOfLiquid } from './html_tokens.ts';

/** Letters and digits only, so that a mark is a word in text, a value in an attribute and an identifier in CSS. */
const markOf = (index: number): string => `posthasteq${index}q`;
const marks = /posthasteq(\d+)q/gi;

/** Puts Liquid away. Belongs to one conversion. */
export class LiquidMarks {
  readonly #kept: string[] = [];

  /** The source with a mark in every place of Liquid. */
  hide(source: string): string {
    let hidden = '';
    for (let at = 0; at < source.length;) {
      const to = endOfLiquid(source, at);
      if (to === at) {
        hidden += source[at] ?? '';
        at += 1;
      } else {
        hidden += markOf(this.#kept.push(source.slice(at, to)) - 1);
        at = to;
      }
    }
    return hidden;
  }

  /** The text with Liquid in the place of every mark. */
  restore(text: string): string {
    return text.replace(marks, (mark, index: string) => this.#kept[Number(index)] ?? mark);
  }

  /** The first Liquid that has no mark in the text. */
  findLost(text: string): string | undefined {
    const found = new Set([...text.matchAll(marks)].map((match) => Number(match[1])));
    return this.#kept.find((_, index) => !found.has(index));
  }
}
