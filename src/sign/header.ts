// The header of a message as it is signed: relaxed (RFC 6376 §3.4.2), in the order of "h=".
import { collapseBlanks } from './blanks.ts';
import { coverFields, rankOf, type Coverage } from './signed_fields.ts';

/** A header, signed. */
export interface SignedHeader {
  /** The same array as long as consecutive messages have the same fields. */
  readonly names: Coverage['names'];
  /** What is hashed: the relaxed fields, each with its CRLF. */
  readonly relaxed: string;
}

interface Field {
  /** As it stands in the message, folds and last CRLF included. */
  readonly raw: string;
  readonly rank: number | undefined;
  readonly relaxed: string;
}

/**
 * Returns a reader of headers: `read(message, end)`, `end` being where the empty line begins. It remembers the last
 * header, for most fields of a campaign's messages are the same ones. Invariant: all that is known of a field is a
 * function of its raw text. bench/dkim.ts earned it.
 */
export function createHeaderReader(): (message: string, end: number) => SignedHeader {
  const fields: Field[] = [];
  let coverage: Coverage = { names: [], order: [] };
  return (message, end) => {
    if (readFields(copyText(message.slice(0, end)), fields))
      coverage = coverFields(fields.map(({ rank }) => rank));
    let relaxed = '';
    for (const index of coverage.order) relaxed += fields[index]?.relaxed ?? '';
    return { names: coverage.names, relaxed };
  };
}

/** Brings `fields` up to date; returns whether other fields are there than before, or in another order. */
function readFields(header: string, fields: Field[]): boolean {
  let isOther = false;
  let count = 0;
  for (let at = 0; at < header.length; count += 1) {
    const known = fields[count];
    let field = known;
    if (field === undefined || !standsAt(field.raw, header, at)) {
      field = makeField(header.slice(at, endOfField(header, at)));
      isOther ||= known === undefined || known.rank !== field.rank;
      fields[count] = field;
    }
    at += field.raw.length;
  }
  if (count === fields.length) return isOther;
  fields.length = count;
  return true;
}

/** Whether the field at `at` is exactly this one: it must not be folded on, either. Slices compare faster than `startsWith`. */
function standsAt(raw: string, header: string, at: number): boolean {
  const end = at + raw.length;
  return header.slice(at, end) === raw && !isBlank(header.charCodeAt(end));
}

/** The index behind the CRLF that ends the field: one that no blank follows (RFC 5322 §2.2.3). */
function endOfField(header: string, at: number): number {
  let end = header.indexOf('\r\n', at);
  while (end !== -1 && isBlank(header.charCodeAt(end + 2))) end = header.indexOf('\r\n', end + 2);
  return end === -1 ? header.length : end + 2;
}

function makeField(raw: string): Field {
  const relaxed = relaxField(raw);
  return { raw, rank: rankOf(relaxed.slice(0, relaxed.indexOf(':'))), relaxed };
}

/** The relaxed form of a field, which ends in CRLF as the field does. */
export function relaxField(raw: string): string {
  const line = unfold(raw);
  const colon = line.indexOf(':');
  const name = line.slice(0, colon).trimEnd().toLowerCase();
  const value = collapseBlanks(line, colon + 1);
  return `${name}:${value.startsWith(' ') ? value.slice(1) : value}`;
}

/** In a field CRLF occurs in folds and at the end only (RFC 5322 §2.2.3). */
function unfold(raw: string): string {
  const end = raw.length - 2;
  return raw.indexOf('\r\n') === end ? raw : `${raw.slice(0, end).replaceAll('\r\n', '')}\r\n`;
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

/** A slice of a message keeps the message alive; what is remembered must not. */
function copyText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
