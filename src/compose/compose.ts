// Campaign + recipient → message: compiled once, then only what differs is encoded, where it stands.
import { domainToASCII } from 'node:url';
import { invariant, unreachable } from '../base/invariant.ts';
import type { Campaign, CampaignPlan } from '../mail/campaign.ts';
import { makeVariantChooser, withVariant } from '../mail/variant.ts';
import { messageIdOf, messageIdPrefix } from '../mail/message_id.ts';
import type { Recipient } from '../mail/recipient.ts';
import { formatTo } from './address.ts';
import { isBlank, printCell, RenderFailure } from './cell.ts';
import { checkNames } from './campaign_names.ts';
import { nameColumns } from './columns.ts';
import { formatDate } from './date.ts';
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
import { checkRule } from './value_guard.ts';
import type { Place, Scope } from './liquid_engine.ts';
import {
  makeHouse,
  makeScope,
  parseTemplate,
  renderLiquid,
  replaceMissing,
  type Piece,
  type TemplateHouse,
} from './template.ts';

/**
 * A message, or why this recipient gets none.
 *
 * `message` is ready for DATA and BDAT alike: US-ASCII, every line ends in CRLF, none begins with ".", none has
 * more than 998 characters and none of a body more than 76. `messageId` is without angle brackets.
 */
export type Composed =
  | { readonly kind: 'message'; readonly message: string; readonly messageId: string }
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
  const { name, variants } = plan.campaign;
  const programs = variantsOf(plan.campaign).map((campaign) => compile({ ...plan, campaign }));
  const choose = variants === undefined ? () => 0 : makeVariantChooser(name, variants);
  return {
    compose(recipient, at) {
      const program = programs[choose(recipient.row)];
      invariant(program !== undefined, 'every row has a variant');
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
 * where it stands and the column that is most like it), ERR_CAMPAIGN_DATA, and for values in places that take none
 * ERR_TEMPLATE_PLACE, _LINK, _RAW, _PARTIAL, _FILTER.
 */
export function checkTemplates(campaign: Campaign, columns: readonly string[]): void {
  const names = nameColumns(columns);
  checkNames(campaign, names);
  for (const one of variantsOf(campaign)) parseTemplates(makeHouse(one, names));
}

/** The campaign, once for each variant that it has. */
function variantsOf(campaign: Campaign): readonly Campaign[] {
  return campaign.variants?.map((variant) => withVariant(campaign, variant)) ?? [campaign];
}

interface Templates {
  readonly subject: readonly Piece[];
  readonly text: readonly Piece[];
  readonly html: readonly Piece[];
}

type BodyPiece = { readonly kind: 'run'; readonly run: Run } | Exclude<Piece, { kind: 'static' }>;

type MessagePart =
  | Extract<SkeletonPart, { kind: 'literal' }>
  | { readonly kind: 'body'; readonly pieces: readonly BodyPiece[]; readonly place: Place };

/** A compiled campaign, and what the calls of one composer share. */
interface Program {
  readonly house: TemplateHouse;
  readonly subject: readonly Piece[];
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

function parseTemplates(house: TemplateHouse): Templates {
  const { subject, text, html } = house.campaign;
  return {
    subject: parseTemplate(subject, 'subject', house),
    text: text === undefined ? [] : parseTemplate(text, 'text', house),
    html: html === undefined ? [] : parseTemplate(html, 'html', house),
  };
}

function compile({ campaign, columns }: CampaignPlan): Program {
  const house = makeHouse(campaign, nameColumns(columns));
  const templates = parseTemplates(house);
  const domain = campaign.from.address.slice(campaign.from.address.lastIndexOf('@') + 1);
  return {
    house,
    subject: templates.subject,
    parts: buildSkeleton(campaign).map((part) => compilePart(part, templates)),
    messageIdPrefix: messageIdPrefix(campaign.name),
    messageIdDomain: domainToASCII(domain) || domain,
    cursor: { text: '', column: 0 },
    dateSecond: Number.NaN,
    date: '',
    scope: undefined,
  };
}

function compilePart(part: SkeletonPart, templates: Templates): MessagePart {
  if (part.kind === 'literal') return part;
  const pieces = templates[part.part].map((piece): BodyPiece =>
    piece.kind === 'static' ? { kind: 'run', run: makeRun(piece.text) } : piece,
  );
  return { kind: 'body', pieces, place: part.part === 'html' ? 'html' : 'plain' };
}

function write(program: Program, recipient: Recipient, at: number): Composed {
  const to = formatTo(recipient.address);
  if (to.kind === 'invalid') return to;
  const { cursor, parts } = program;
  program.scope = undefined;
  program.house.clock.now = at;
  const messageId = messageIdOf(program.messageIdPrefix, recipient.row, program.messageIdDomain);
  const subject = formatField('Subject', writeSubject(program, recipient));
  cursor.text = `Date: ${dateAt(program, at)}\r\nMessage-ID: <${messageId}>\r\nTo: ${to.value}\r\n${subject}\r\n`;
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
  return { kind: 'message', message, messageId };
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
    program.scope ??= makeScope(program.house, cells);
    return renderLiquid(piece.engine, piece.templates, program.scope);
  }
  const cell = cells[piece.index];
  const text =
    isBlank(cell) || (cell === false && piece.fallback !== undefined)
      ? replaceMissing(piece)
      : printCell(cell, piece.name);
  if (piece.rule !== 'any') checkRule(piece, piece.name, text);
  return text;
}
