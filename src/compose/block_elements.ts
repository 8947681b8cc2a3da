// The elements of HTML that make lines and paragraphs of text.
import { tokenizeHtml } from './html_tokens.ts';

/** How many line breaks what a partial prints ends with, by its name: none where it is a part of a line. */
export type PartialBreaks = ReadonlyMap<string, number>;

/** Elements in front of which and behind which a line, or a line and an empty one, ends. */
export const lineElements = new Set(
  (
    'address article aside body caption center dd details div dl dt fieldset figcaption figure footer form header html ' +
    'legend li main nav section summary table tbody tfoot thead tr'
  ).split(' '),
);
export const paragraphElements = new Set('blockquote h1 h2 h3 h4 h5 h6 hr ol p pre ul'.split(' '));

/**
 * The line breaks that text of this HTML needs around it: 2 where it has paragraphs, 1 where it has lines, 0 where it is a
 * part of a line. What it names counts by `partialBreaks`.
 */
export function countBreaks(html: string, partialBreaks: PartialBreaks): number {
  let breaks = 0;
  for (const token of tokenizeHtml(html)) {
    if (token.kind === 'open' || token.kind === 'close') {
      if (paragraphElements.has(token.name)) return 2;
      if (lineElements.has(token.name) || token.name === 'br') breaks = Math.max(breaks, 1);
    }
  }
  for (const [name, count] of partialBreaks)
    if (html.includes(`"${name}"`) || html.includes(`'${name}'`)) breaks = Math.max(breaks, count);
  return breaks;
}
