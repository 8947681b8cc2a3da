// iCalendar text (RFC 5545): values encoded for where they stand, lines folded.
//
//   ATTENDEE;CN=␂Ann, Lee␃:mailto:␂ann@example.net␃        ␂ ␃ mark where a rendered value begins and ends
//            ^ parameter    ^ URI
//   SUMMARY:Tea; with ␂Ann, Lee␃                            text: backslash, comma, semicolon, newline are escaped
//
// Only what is between marks is encoded; the template's own text is the author's and is trusted.

const begin = '\u0002';
const end = '\u0003';

/** §3.1: octets of a line without its CRLF. */
const lineOctets = 75;

/** §3.3.3, §3.3.13: properties whose values are addresses and not text. */
const uriProperties = new Set(['ATTENDEE', 'ORGANIZER', 'URL', 'TZURL', 'SOURCE', 'CONFERENCE', 'IMAGE']);

/** Marks a value that Liquid prints. Controls but line breaks and tabs have no place in a calendar (§3.1). */
export function markValue(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what it looks for
  return `${begin}${text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '').toWellFormed()}${end}`;
}

/** A template's source without the characters that mark values. */
export function withoutMarks(source: string): string {
  return source.replaceAll(begin, ' ').replaceAll(end, ' ');
}

/** Makes calendar text of a rendered template: CRLF at the end of every line, no line over 75 octets. */
export function finishCalendar(rendered: string): string {
  let calendar = '';
  for (const line of splitLines(rendered)) {
    const encoded = encodeLine(line);
    if (encoded.trim() !== '') calendar += `${foldLine(encoded)}\r\n`;
  }
  return calendar;
}

/** Splits at line breaks outside of values; folds of the template itself are undone (§3.1). */
function splitLines(rendered: string): string[] {
  const lines: string[] = [];
  let line = '';
  let isValue = false;
  for (let at = 0; at < rendered.length; at++) {
    const character = rendered[at] ?? '';
    if (character === begin) isValue = true;
    else if (character === end) isValue = false;
    if (isValue || (character !== '\n' && character !== '\r')) {
      line += character;
      continue;
    }
    if (character === '\r' && rendered[at + 1] === '\n') at += 1;
    if (rendered[at + 1] === ' ' || rendered[at + 1] === '\t') at += 1;
    else {
      lines.push(line);
      line = '';
    }
  }
  return [...lines, line];
}

/** Encodes the values of one line, each for the place that the template's text around it makes. */
function encodeLine(line: string): string {
  let encoded = '';
  let isQuoted = false;
  let isAfterColon = false;
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? '';
    const to = character === begin ? line.indexOf(end, at) : -1;
    if (to !== -1) {
      const value = line.slice(at + 1, to);
      if (isAfterColon) encoded += encodeValue(value, encoded);
      else
        encoded += encodeParameter(
          value,
          isQuoted,
          /[=,]$/.test(encoded) && /^[;:,]/.test(line.slice(to + 1)),
        );
      at = to;
      continue;
    }
    if (character === '"' && !isAfterColon) isQuoted = !isQuoted;
    if (character === ':' && !isQuoted) isAfterColon = true;
    encoded += character;
  }
  return encoded;
}

/**
 * §3.2: a parameter's value cannot hold a quote; ":", ";" and "," only where it is quoted as a whole. Where the value
 * is only a part of one, they become spaces.
 */
function encodeParameter(value: string, isQuoted: boolean, isWhole: boolean): string {
  const clean = value.replaceAll('"', "'").replace(/[\t\r\n]+/g, ' ');
  if (isQuoted || !/[:;,]/.test(clean)) return clean;
  return isWhole ? `"${clean}"` : clean.replace(/[:;,]+/g, ' ');
}

function encodeValue(value: string, before: string): string {
  const property = /^[^:;]*/.exec(before)?.[0].toUpperCase() ?? '';
  if (uriProperties.has(property) || /;VALUE="?URI/i.test(before)) return encodeUri(value);
  return escapeText(value);
}

/** RFC 3986 §2: what no URI holds is percent-encoded, what could be one stays as it is. */
function encodeUri(value: string): string {
  return value.trim().replace(/[^\w.~:/?#[\]@!$&'()*+,;=%-]/gu, (character) => encodeURIComponent(character));
}

/** §3.3.11. */
function escapeText(value: string): string {
  return value.replace(/[\\;,]/g, '\\$&').replace(/\r\n?|\n/g, '\\n');
}

/** §3.1: a fold is CRLF and a space, and cuts no character. */
function foldLine(line: string): string {
  if (line.length * 3 <= lineOctets || Buffer.byteLength(line) <= lineOctets) return line;
  let folded = '';
  let octets = 0;
  for (const character of line) {
    const size = Buffer.byteLength(character);
    if (octets + size > lineOctets) {
      folded += '\r\n ';
      octets = 1;
    }
    folded += character;
    octets += size;
  }
  return folded;
}
