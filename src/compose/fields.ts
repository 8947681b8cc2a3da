// The header fields that are not Date, Message-ID or Subject: fixed ones are written once, the others per recipient.
import { domainToASCII } from 'node:url';
import { parseMailbox } from '../mail/address.ts';
import type { Campaign, Mailbox, TemplateSource } from '../mail/campaign.ts';
import type { Recipient } from '../mail/recipient.ts';
import { writeAddress, type WrittenAddress } from './address.ts';
import { RenderFailure } from './cell.ts';
import { checkLines, headerError } from './header_error.ts';
import { formatField } from './header.ts';
import { cleanName, formatMailbox, formatPhrase } from './mailbox.ts';
import type { Part } from './part.ts';
import { parseTemplate, type Piece, type TemplateHouse } from './template.ts';
import { compileHttpsUrl, compileMailto, printUrl, type Print, type UrlTemplate } from './url_template.ts';

/** A field with merge fields. */
type OwnField =
  | { readonly kind: 'text'; readonly name: string; readonly pieces: readonly Piece[] }
  | { readonly kind: 'replyTo'; readonly pieces: readonly Piece[] }
  | { readonly kind: 'unsubscribe'; readonly urls: readonly UrlTemplate[] };

export interface Fields {
  /** Of the display name in To; empty where there is none. */
  readonly toName: readonly Piece[];
  /** Whole lines, in octets (octets.ts), that every message has. */
  readonly fixed: string;
  /** A fixed field can only be carried by SMTPUTF8. */
  readonly isUtf8: boolean;
  /** In the order in which they are written, before the fixed ones. */
  readonly own: readonly OwnField[];
}

/** Lines of a header, and whether only SMTPUTF8 can carry them. */
export interface WrittenLines {
  readonly text: string;
  readonly isUtf8: boolean;
}

/** Fields that Posthaste writes itself or that must not be in a message that is submitted. */
const reservedFields =
  /^(?:from|to|cc|bcc|subject|sender|date|message-id|reply-to|mime-version|return-path|received|content-(?:type|transfer-encoding|disposition))$/i;

/** Compiles the fields of a campaign. Throws ERR_CAMPAIGN_HEADER, and what parseTemplate throws. */
export function compileFields(house: TemplateHouse): Fields {
  const { campaign } = house;
  const { from, to, sender } = campaign;
  const maker = new FieldsMaker(house);
  maker.addMailbox('From', from);
  // RFC 5322 §3.6.2: no Sender where it would say what From says.
  if (sender !== undefined && sender.address !== from.address) maker.addMailbox('Sender', sender);
  if (campaign.replyTo !== undefined) maker.addReplyTo(campaign.replyTo);
  maker.addListFields(campaign);
  for (const [name, value] of campaign.headers) maker.addCustom(name, value);
  return {
    toName: to === undefined ? [] : parseTemplate(to, 'to', house),
    fixed: maker.fixed,
    isUtf8: maker.isUtf8,
    own: maker.own,
  };
}

/** The To field. Throws RenderFailure. */
export function writeTo({ toName }: Fields, recipient: Recipient, print: Print): WrittenLines {
  const address = requireAddress(writeAddress(recipient.address));
  const name = toName.length === 0 ? '' : printPieces(toName, recipient, print);
  return { text: `${formatMailbox('To', name, address)}\r\n`, isUtf8: address.isUtf8 };
}

const nothing: WrittenLines = { text: '', isUtf8: false };

/** The fields with merge fields. Throws RenderFailure. */
export function writeOwnFields({ own }: Fields, recipient: Recipient, print: Print): WrittenLines {
  if (own.length === 0) return nothing;
  let text = '';
  let isUtf8 = false;
  for (const field of own) {
    if (field.kind === 'replyTo') {
      const { address, line } = formatReplyTo(printPieces(field.pieces, recipient, print));
      text += `${line}\r\n`;
      isUtf8 ||= address.isUtf8;
    } else if (field.kind === 'unsubscribe') {
      const urls = field.urls.map((url) => printUrl(url, recipient, print));
      text += `${formatUnsubscribe(urls)}\r\n`;
    } else text += writeText(field.name, printPieces(field.pieces, recipient, print));
  }
  return { text, isUtf8 };
}

/** A value of an unstructured field; one that comes out blank leaves the field away. */
function writeText(name: string, value: string): string {
  if (value.trim() === '') return '';
  const field = formatField(name, value, true);
  if (field.length > 998 && field.split('\r\n').some((line) => line.length > 998))
    throw new RenderFailure(`header ${name} has a word that does not fit in a line of 998 characters`);
  return `${field}\r\n`;
}

function printPieces(pieces: readonly Piece[], recipient: Recipient, print: Print): string {
  let text = '';
  for (const piece of pieces) text += piece.kind === 'static' ? piece.text : print(piece, recipient);
  return text;
}

function requireAddress(written: WrittenAddress): Extract<WrittenAddress, { kind: 'address' }> {
  if (written.kind === 'address') return written;
  throw new RenderFailure(written.reason);
}

/** Text that was printed must be one mailbox, or the row has none. */
function formatReplyTo(text: string) {
  const mailbox = parseMailbox(text);
  if (mailbox.kind === 'invalid') throw new RenderFailure(`replyTo is not a mailbox: ${mailbox.reason}`);
  const address = requireAddress(writeAddress(mailbox.address));
  return { address, line: formatMailbox('Reply-To', mailbox.name, address) };
}

/** RFC 2369 §2: URLs in angle brackets, the one that is preferred first. */
function formatUnsubscribe(urls: readonly string[]): string {
  return formatField('List-Unsubscribe', urls.map((url) => `<${url}>`).join(', '), true);
}

/** Gathers the fields; each goes to the fixed ones if nothing of it depends on a recipient. */
class FieldsMaker {
  fixed = '';
  isUtf8 = false;
  readonly own: OwnField[] = [];
  readonly #house: TemplateHouse;

  constructor(house: TemplateHouse) {
    this.#house = house;
  }

  addMailbox(field: string, mailbox: Mailbox): void {
    const address = writeAddress(inALabels(mailbox.address));
    if (address.kind === 'invalid') throw headerError(`${field} ${address.reason}`);
    this.fixed += `${refuseAtOnce(() => formatMailbox(field, mailbox.name, address))}\r\n`;
    this.isUtf8 ||= address.isUtf8;
  }

  addReplyTo(source: TemplateSource): void {
    const pieces = parseTemplate(source, 'replyTo', this.#house);
    const text = joinStatic(pieces);
    if (text === undefined) this.own.push({ kind: 'replyTo', pieces });
    else {
      const { address, line } = refuseAtOnce(() => formatReplyTo(text), placeOf(source));
      this.fixed += `${line}\r\n`;
      this.isUtf8 ||= address.isUtf8;
    }
  }

  addListFields({ listId, unsubscribe, feedbackId, precedence, autoSubmitted }: Campaign): void {
    if (listId !== undefined) this.#addFixed(formatListId(listId));
    const urls: UrlTemplate[] = [];
    if (unsubscribe?.url !== undefined) urls.push(compileHttpsUrl(unsubscribe.url, this.#house));
    if (unsubscribe?.mailto !== undefined) urls.push(compileMailto(unsubscribe.mailto, this.#house));
    if (urls.length > 0) this.#addUnsubscribe(urls);
    // RFC 8058 §3.1: this very text, and only beside an https URL.
    if (unsubscribe?.url !== undefined && unsubscribe.oneClick)
      this.#addFixed('List-Unsubscribe-Post: List-Unsubscribe=One-Click');
    if (feedbackId !== undefined) this.#addText('Feedback-ID', feedbackId, true);
    if (precedence !== undefined) this.#addFixed(`Precedence: ${precedence}`);
    if (autoSubmitted !== undefined) this.#addFixed(`Auto-Submitted: ${autoSubmitted}`);
  }

  #addUnsubscribe(urls: readonly UrlTemplate[]): void {
    const isFixed = urls.every(({ pieces }) => pieces.every(({ kind }) => kind === 'static'));
    if (!isFixed) this.own.push({ kind: 'unsubscribe', urls });
    else
      this.#addFixed(
        refuseAtOnce(() => formatUnsubscribe(urls.map((url) => printUrl(url, nobody, printNothing)))),
      );
  }

  addCustom(name: string, value: TemplateSource): void {
    // RFC 5322 §2.2: printable ASCII without the colon. A "." in front would need doubling in SMTP.
    if (!/^[!-9;-~]+$/.test(name) || name.startsWith('.')) throw headerError(`"${name}" is no header name`);
    if (reservedFields.test(name)) throw headerError(`"${name}" is written by Posthaste itself`);
    // Substitution tags of providers ("{%name%}", "%name%") have always been literal here.
    this.#addText(name, value, value.source.includes('{{'));
  }

  #addText(name: string, value: TemplateSource, isTemplate: boolean): void {
    const part: Part = `header ${name}`;
    const pieces: readonly Piece[] = isTemplate
      ? parseTemplate(value, part, this.#house)
      : [{ kind: 'static', text: value.source }];
    const text = joinStatic(pieces);
    if (text === undefined) this.own.push({ kind: 'text', name, pieces });
    else if (text.trim() !== '') this.#addFixed(formatField(name, text, true));
  }

  #addFixed(field: string): void {
    checkLines(field);
    this.fixed += `${field}\r\n`;
  }
}

/** The text that is the same for all; undefined where a part of it is not. */
function joinStatic(pieces: readonly Piece[]): string | undefined {
  let text = '';
  for (const piece of pieces) {
    if (piece.kind !== 'static') return undefined;
    text += piece.text;
  }
  return text;
}

/** Whom static text is printed for. */
const nobody: Recipient = { row: 0, line: 0, address: '', cells: [] };
const printNothing: Print = () => '';

/** RFC 2919 §2: the phrase is for people, what is in the angle brackets for programs. */
function formatListId(listId: string): string {
  const [, phrase = '', id = ''] = /^(?:(.*?)\s*<([^<>]*)>|)$/s.exec(listId) ?? [];
  const name = cleanName(phrase.replace(/^"(.*)"$/s, '$1'));
  const identifier = id === '' ? listId : id;
  if (
    !/^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)+$/.test(identifier) ||
    identifier.length > 255
  )
    throw headerError('listId is not like news.example.com or News <news.example.com>');
  if (name === '') return `List-Id: <${identifier}>`;
  const start = formatPhrase(name, 'List-Id: '.length);
  const isLong = start.includes('\n') || 'List-Id: '.length + start.length + identifier.length + 3 > 78;
  return `List-Id: ${start}${isLong ? '\r\n' : ''} <${identifier}>`;
}

/** What would make every row invalid makes the campaign so. */
function refuseAtOnce<T>(write: () => T, where?: string): T {
  try {
    return write();
  } catch (thrown) {
    if (thrown instanceof RenderFailure) throw headerError(thrown.message, where);
    throw thrown;
  }
}

function inALabels(address: string): string {
  const split = address.lastIndexOf('@') + 1;
  const domain = address.slice(split);
  return address.slice(0, split) + (domainToASCII(domain) || domain);
}

function placeOf(source: TemplateSource): string {
  return `${source.file}:${source.line}`;
}
