// Blanks in lines, as both relaxed forms of RFC 6376 §3.4 have them.

const space = 32;
const cr = 13;

/**
 * `text` from `start` on, with one space for every run of blanks and none in front of a CRLF. Every line ends in CRLF.
 *
 *   the  days grow \r\n
 *      ^^next      copied: "the ", and from "days" on
 *      at
 *
 * The walk goes from blank to blank. Most of them stand alone between words, and nothing is copied before the first
 * that does not; bench/dkim.ts earned it.
 */
export function collapseBlanks(text: string, start: number): string {
  // A tab is as good as a space.
  if (text.includes('\t', start)) return collapseBlanks(text.slice(start).replaceAll('\t', ' '), 0);
  let collapsed = '';
  let from = start;
  for (let at = text.indexOf(' ', start); at !== -1;) {
    let next = at + 1;
    let code = text.charCodeAt(next);
    if (code === space || code === cr) {
      while (code === space) code = text.charCodeAt(++next);
      collapsed += text.slice(from, code === cr ? at : at + 1);
      from = next;
    }
    at = text.indexOf(' ', next);
  }
  return collapsed + text.slice(from);
}
