// A URL with merge fields: values are percent-encoded where they stand, so that it stays the URL that was written.
import { domainToASCII } from 'node:url';
import { Output } from 'liquidjs';
import { parseAddress } from '../mail/address.ts';
import type { TemplateSource } from '../mail/campaign.ts';
import type { Recipient } from '../mail/recipient.ts';
import { RenderFailure } from './cell.ts';
import { headerError } from './header_error.ts';
import { parseTemplate, type Piece, type TemplateHouse } from './template.ts';

type Merged = Exclude<Piece, { kind: 'static' }>;

/** Gives the text of a piece for a recipient. */
export type Print = (piece: Merged, recipient: Recipient) => string;

type UrlPiece =
  | { readonly kind: 'static'; readonly text: string }
  /** `asIs`: it is the start of the URL, or its own last filter has encoded it. */
  | { readonly kind: 'merged'; readonly piece: Merged; readonly asIs: boolean };

export interface UrlTemplate {
  readonly pieces: readonly UrlPiece[];
  /** Data has a part in scheme or host, so the result must be looked at for every recipient. */
  readonly isOpen: boolean;
}

/** RFC 5322 §2.1.1: the whole line has at most 998 characters, "List-Unsubscribe: <>," among them. */
const maxUrlChars = 900;

/** Scheme and authority, up to what ends them. */
const authority = /^https:\/\/([^\s/?#@<>"\\]+)(?=[/?#]|$)/i;

/** Compiles the template of an https URL. Throws ERR_CAMPAIGN_HEADER where it cannot become one, ERR_TEMPLATE_…. */
export function compileHttpsUrl(source: TemplateSource, house: TemplateHouse): UrlTemplate {
  const parsed = parseTemplate({ ...source, source: source.source.trimEnd() }, 'unsubscribeUrl', house);
  const [first] = parsed;
  const where = `${source.file}:${source.line}`;
  if (first?.kind !== 'static') {
    return { pieces: parsed.map(makePiece), isOpen: true };
  }
  const start = first.text.trimStart();
  if (!/^https:\/\//i.test(start)) throw headerError('unsubscribe.url does not begin with https://', where);
  const host = authority.exec(start);
  // The end of a run that data follows does not end the host.
  const isOpen = host === null || (parsed.length > 1 && host[0].length === start.length);
  const text = isOpen ? start : `https://${asciiHost(host[1] ?? '')}${start.slice(host[0].length)}`;
  if (parsed.length === 1 && !URL.canParse(text)) throw headerError('unsubscribe.url is no URL', where);
  return { pieces: [{ kind: 'static' as const, text }, ...parsed.slice(1)].map(makePiece), isOpen };
}

/** Compiles `address?subject=…` to a mailto URL (RFC 6068). Throws as `compileHttpsUrl`. */
export function compileMailto(source: TemplateSource, house: TemplateHouse): UrlTemplate {
  const parsed = parseTemplate(source, 'unsubscribeMailto', house);
  // A merge field stands for some letters of the address.
  const sample = parsed.map((piece) => (piece.kind === 'static' ? piece.text : 'x')).join('');
  const address = parseAddress(sample.split('?', 1)[0] ?? '');
  if (address.kind === 'invalid')
    throw headerError(`unsubscribe.mailto is no address: ${address.reason}`, `${source.file}:${source.line}`);
  return {
    pieces: [{ kind: 'static', text: 'mailto:' }, ...parsed.map((piece) => makePiece(piece, 1))],
    isOpen: false,
  };
}

/** The URL of a recipient: printable ASCII without blanks and angle brackets. Throws RenderFailure. */
export function printUrl(template: UrlTemplate, recipient: Recipient, print: Print): string {
  let url = '';
  for (const one of template.pieces) {
    if (one.kind === 'static') url += one.text;
    else {
      const value = print(one.piece, recipient);
      url += one.asIs ? value : encodeURIComponent(value.toWellFormed());
    }
  }
  if (template.isOpen) url = closeUrl(url);
  // Readers take parentheses for comments (RFC 5322 §3.2.2), in angle brackets, too; encodeURIComponent leaves them.
  url = url.replaceAll('(', '%28').replaceAll(')', '%29');
  if (url.length > maxUrlChars)
    throw new RenderFailure(`the unsubscribe URL has ${url.length} characters, at most ${maxUrlChars} fit`);
  return url;
}

/** What data has begun must be an https URL when it is done; the WHATWG parser writes it in ASCII. */
function closeUrl(text: string): string {
  const url = URL.parse(text);
  // It forgives blanks and line breaks within.
  if (url?.protocol !== 'https:' || url.username !== '' || /[\s\p{Cc}]/u.test(text.trim()))
    throw new RenderFailure('the unsubscribe URL is not an https URL for this row');
  return encodeStatic(url.href);
}

function makePiece(piece: Piece, position: number): UrlPiece {
  // What a static run may not hold in a header or a URL; what is encoded already stays so.
  if (piece.kind === 'static')
    return { kind: 'static', text: encodeStatic(position === 0 ? piece.text.trimStart() : piece.text) };
  // Its own text would be encoded with the values in it.
  if (piece.kind === 'liquid' && !piece.templates.every((template) => template instanceof Output))
    throw headerError('a URL takes values, filters and defaults, and no tags such as {% if %}');
  return { kind: 'merged', piece, asIs: position === 0 || endsInEncoding(piece) };
}

function encodeStatic(text: string): string {
  return text.toWellFormed().replace(/[^!#-;=?-[\]_a-z~]/gu, encodeURIComponent);
}

/** `{{ token | url_encode }}` must not be encoded twice. */
function endsInEncoding(piece: Merged): boolean {
  const filter = piece.kind === 'liquid' ? piece.lastFilter : undefined;
  return filter === 'url_encode' || filter === 'cgi_escape';
}

function asciiHost(host: string): string {
  return domainToASCII(host) || host;
}
