// Campaign + recipient → message: compiled once, then only what differs is encoded, where it stands.
import { domainToASCII } from 'node:url';
import { unreachable } from '../base/invariant.ts';
import type { Campaign, CampaignPlan } from '../mail/campaign.ts';
import { messageIdOf, messageIdPrefix } from '../mail/message_id.ts';
import type { Recipient } from '../mail/recipient.ts';
import { isBlank, printCell, RenderFailure } from './cell.ts';
import { nameColumns, type ColumnNames } from './columns.ts';
import { formatDate } from './date.ts';
import { compileFields, writeOwnFields, writeTo, type Fields } from './fields.ts';
import { formatField } from './header.ts';
import {
  appendEnd,
  appendEscaped,
  appendRun,
  appendText,
  makeRun,
  type Cursor,
  type Run,
} from './quoted_printable.ts';
import { buildSkeleton, type SkeletonPart } from './skeleton.ts';
import { makeScope, parseTemplate, renderLiquid, type Piece, type Place, type Scope } from './template.ts';
import type { Print } from './url_template.ts';

/**
 * A message, or why this recipient gets none.
 *
 * `message` is ready for DATA and BDAT alike: octets (mail/octets.ts), every line ends in CRLF, none begins with ".", none
 * has more than 998 characters and none of a body more than 76. It is US-ASCII, but for addresses in header fields where
 * `isUtf8` says that only SMTPUTF8 can carry it. `messageId` is without angle brackets.
 */
export type Composed =
  | {
      readonly kind: 'message';
      readonly message: string;
      readonly messageId: string;
      readonly isUtf8: boolean;
    }
  | { readonly kind: 'invalid'; readonly reason: string };

export interface Composer {
  /** Composes the message of one recipient; `at` (ms since the epoch) is its Date. What is wrong with a recipient is returned. */
  compose(recipient: Recipient, at: number): Composed;
}

/**
 * Compiles a campaign. The composer keeps state between calls and belongs to one thread.
 * Throws PosthasteError: ERR_TEMPLATE_SYNTAX, ERR_TEMPLATE_UNKNOWN_VARIABLE, ERR_CAMPAIGN_HEADER.
 */
export function compileCampaign(plan: CampaignPlan): Composer {
  const program = compile(plan);
  return {
    compose(recipient, at) {
      try {
        return write(program, recipient, at);
      } catch (thrown) {
        if (thrown instanceof RenderFailure) return { kind: 'invalid', reason: thrown.message };
        throw thrown;
      }
    },
  };
}

/**
 * Checks the templates of a campaign against a list's columns, before anything is sent.
 * Throws PosthasteError: ERR_TEMPLATE_SYNTAX (file:line:column), ERR_TEMPLATE_UNKNOWN_VARIABLE (names the variable,
 * where it stands and the column that is most like it).
 */
export function checkTemplates(campaign: Campaign, columns: readonly string[]): void {
  parseTemplates(campaign, nameColumns(columns));
}

interface Templates {
  readonly subject: readonly Piece[];
  readonly text: readonly Piece[];
  readonly html: readonly Piece[];
  readonly fields: Fields;
}

type BodyPiece = { readonly kind: 'run'; readonly run: Run } | Exclude<Piece, { kind: 'static' }>;

type MessagePart =
  | Extract<SkeletonPart, { kind: 'literal' }>
  | { readonly kind: 'body'; readonly pieces: readonly BodyPiece[]; readonly place: Place };

/** A compiled campaign, and what the calls of one composer share. */
interface Program {
  readonly names: ColumnNames;
  readonly subject: readonly Piece[];
  readonly fields: Fields;
  readonly print: Print;
  readonly parts: readonly MessagePart[];
  readonly messageIdPrefix: string;
  readonly messageIdDomain: string;
  readonly cursor: Cursor;
  /** The Date field changes once a second. */
  dateSecond: number;
  date: string;
  /** The recipient's data for Liquid, made when the first piece needs it. */
  scope: Scope | undefined;
}

function parseTemplates(campaign: Campaign, names: ColumnNames): Templates {
  return {
    subject: parseTemplate(campaign.subject, names, 'plain'),
    text: campaign.text === undefined ? [] : parseTemplate(campaign.text, names, 'plain'),
    html: campaign.html === undefined ? [] : parseTemplate(campaign.html, names, 'html'),
    fields: compileFields(campaign, names),
  };
}

function compile({ campaign, columns }: CampaignPlan): Program {
  const names = nameColumns(columns);
  const templates = parseTemplates(campaign, names);
  const domain = campaign.from.address.slice(campaign.from.address.lastIndexOf('@') + 1);
  const program: Program = {
    names,
    subject: templates.subject,
    fields: templates.fields,
    print: (piece, recipient) => printPiece(program, piece, recipient),
    parts: buildSkeleton(campaign).map((part) => compilePart(part, templates)),
    messageIdPrefix: messageIdPrefix(campaign.name),
    messageIdDomain: domainToASCII(domain) || domain,
    cursor: { text: '', column: 0 },
    dateSecond: Number.NaN,
    date: '',
    scope: undefined,
  };
  return program;
}

function compilePart(part: SkeletonPart, templates: Templates): MessagePart {
  if (part.kind === 'literal') return part;
  const pieces = templates[part.part].map((piece): BodyPiece =>
    piece.kind === 'static' ? { kind: 'run', run: makeRun(piece.text) } : piece,
  );
  return { kind: 'body', pieces, place: part.part === 'html' ? 'html' : 'plain' };
}

function write(program: Program, recipient: Recipient, at: number): Composed {
  const { cursor, parts, fields, print } = program;
  program.scope = undefined;
  const to = writeTo(fields, recipient, print);
  const own = writeOwnFields(fields, recipient, print);
  const messageId = messageIdOf(program.messageIdPrefix, recipient.row, program.messageIdDomain);
  const subject = formatField('Subject', writeSubject(program, recipient));
  cursor.text = `Date: ${dateAt(program, at)}\r\nMessage-ID: <${messageId}>\r\n${to.text}${subject}\r\n${own.text}${fields.fixed}`;
  cursor.column = 0;
  for (const part of parts) {
    if (part.kind === 'body') writeBody(program, part.pieces, part.place, recipient);
    else {
      cursor.text += part.text;
      cursor.column = 0;
    }
  }
  appendEnd(cursor);
  const message = cursor.text;
  // Otherwise the composer would keep the last message, and what it was built of, alive.
  cursor.text = '';
  return { kind: 'message', message, messageId, isUtf8: to.isUtf8 || own.isUtf8 || fields.isUtf8 };
}

function dateAt(program: Program, at: number): string {
  const second = Math.floor(at / 1000);
  if (second !== program.dateSecond) {
    program.date = formatDate(at);
    program.dateSecond = second;
  }
  return program.date;
}

function writeSubject(program: Program, recipient: Recipient): string {
  let subject = '';
  for (const piece of program.subject) {
    subject += piece.kind === 'static' ? piece.text : printPiece(program, piece, recipient);
  }
  return subject;
}

function writeBody(program: Program, pieces: readonly BodyPiece[], place: Place, recipient: Recipient): void {
  const { cursor } = program;
  for (const piece of pieces) {
    switch (piece.kind) {
      case 'run':
        appendRun(cursor, piece.run);
        break;
      case 'column':
        if (place === 'html') appendEscaped(cursor, printPiece(program, piece, recipient));
        else appendText(cursor, printPiece(program, piece, recipient));
        break;
      case 'liquid':
        // Liquid has escaped it already.
        appendText(cursor, printPiece(program, piece, recipient));
        break;
      default:
        unreachable(piece);
    }
  }
}

function printPiece(
  program: Program,
  piece: Exclude<Piece, { kind: 'static' }>,
  { cells }: Recipient,
): string {
  if (piece.kind === 'liquid') {
    // A piece that holds a whole template may write to its scope (increment, decrement).
    if (piece.isStateful) return renderLiquid(piece, makeScope(program.names, cells));
    program.scope ??= makeScope(program.names, cells);
    return renderLiquid(piece, program.scope);
  }
  const cell = cells[piece.index];
  if (piece.fallback !== undefined && isBlank(cell)) return piece.fallback;
  return printCell(cell, piece.name);
}
