// The body of a message as it is signed: relaxed (RFC 6376 §3.4.4).
import { collapseBlanks } from './blanks.ts';

/** The body that begins at `start`: blanks collapsed, and no empty lines at its end. Every line ends in CRLF. */
export function relaxBody(message: string, start: number): string {
  const text = collapseBlanks(message, start);
  let end = text.length;
  while (text.endsWith('\r\n\r\n', end)) end -= 2;
  // Of a body of empty lines nothing is left, not even the CRLF.
  if (end === 2 && text.startsWith('\r\n')) return '';
  return end === text.length ? text : text.slice(0, end);
}
