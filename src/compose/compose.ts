// Campaign + recipient → message: compiled once, then only what differs is encoded, where it stands.
import { domainToASCII } from 'node:url';
import { invariant, unreachable } from '../base/invariant.ts';
import type { Attachment, Campaign, CampaignPlan } from '../mail/campaign.ts';
import { messageIdOf, messageIdPrefix } from '../mail/message_id.ts';
import type { Recipient } from '../mail/recipient.ts';
import { cleanFilename, formatAttachmentHeader, typeByName } from './attachment_header.ts';
import { encodeBase64 } from './base64.ts';
import { finishCalendar, markValue, withoutMarks } from './calendar.ts';
import { isBlank, printCell, RenderFailure } from './cell.ts';
import { nameColumns, type ColumnNames } from './columns.ts';
import { formatDate } from './date.ts';
import { compileFields, writeOwnFields, writeTo, type Fields } from './fields.ts';
import { findFileColumns, type FileColumn } from './file_columns.ts';
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
import { RowFileReader, type RowFile } from './row_files.ts';
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
 * Throws PosthasteError: ERR_TEMPLATE_SYNTAX, ERR_TEMPLATE_UNKNOWN_VARIABLE, ERR_CAMPAIGN_HEADER,
 * ERR_ATTACHMENT_UNKNOWN_COLUMN.
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
 * where it stands and the column that is most like it), ERR_ATTACHMENT_UNKNOWN_COLUMN likewise.
 */
export function checkTemplates(campaign: Campaign, columns: readonly string[]): void {
  const names = nameColumns(columns);
  parseTemplates(campaign, names);
  findFileColumns(campaign, names);
}

interface Templates {
  readonly subject: readonly Piece[];
  readonly text: readonly Piece[];
  readonly html: readonly Piece[];
  readonly fields: Fields;
  readonly calendar: readonly Piece[];
}

type BodyPiece = { readonly kind: 'run'; readonly run: Run } | Exclude<Piece, { kind: 'static' }>;

type MessagePart =
  | Extract<SkeletonPart, { kind: 'literal' | 'calendarFile' | 'rowFiles' }>
  | { readonly kind: 'calendar' }
  | { readonly kind: 'header'; readonly attachment: Attachment; readonly filename: readonly Piece[] }
  | { readonly kind: 'body'; readonly pieces: readonly BodyPiece[]; readonly place: Place };

/** What only campaigns with files by column have. */
interface FilePlan {
  readonly columns: readonly FileColumn[];
  readonly reader: RowFileReader;
  /** The parts of messages that have at least one such file. */
  readonly parts: readonly MessagePart[];
}

/** A recipient's file, ready for the message. */
interface ReadyFile {
  readonly header: string;
  readonly encoded: string;
}

/** A compiled campaign, and what the calls of one composer share. */
interface Program {
  readonly names: ColumnNames;
  readonly subject: readonly Piece[];
  readonly fields: Fields;
  readonly print: Print;
  readonly parts: readonly MessagePart[];
  readonly calendar: readonly Piece[];
  readonly files: FilePlan | undefined;
  readonly messageIdPrefix: string;
  readonly messageIdDomain: string;
  readonly cursor: Cursor;
  /** The Date field changes once a second. */
  dateSecond: number;
  date: string;
  /** The recipient's data for Liquid, made when the first piece needs it. */
  scope: Scope | undefined;
  /** The recipient's invitation, made when the first part needs it. */
  calendarText: string | undefined;
}

function parseTemplates(campaign: Campaign, names: ColumnNames): Templates {
  for (const original of campaign.originals ?? []) parseTemplate(original, names, 'html');
  const calendar = campaign.calendar?.source;
  return {
    subject: parseTemplate(campaign.subject, names, 'plain'),
    text: campaign.text === undefined ? [] : parseTemplate(campaign.text, names, 'plain'),
    html: campaign.html === undefined ? [] : parseTemplate(campaign.html, names, 'html'),
    fields: compileFields(campaign, names),
    calendar:
      calendar === undefined
        ? []
        : parseTemplate({ ...calendar, source: withoutMarks(calendar.source) }, names, 'calendar'),
  };
}

function compile({ campaign, columns }: CampaignPlan): Program {
  invariant(campaign.bodyWork === undefined, 'the campaign went through prepareCampaign');
  const names = nameColumns(columns);
  const templates = parseTemplates(campaign, names);
  const domain = campaign.from.address.slice(campaign.from.address.lastIndexOf('@') + 1);
  const program: Program = {
    names,
    subject: templates.subject,
    fields: templates.fields,
    print: (piece, recipient) => printPiece(program, piece, recipient),
    parts: compileParts(campaign, names, templates, false),
    calendar: templates.calendar,
    files: compileFiles(campaign, names, templates),
    messageIdPrefix: messageIdPrefix(campaign.name),
    messageIdDomain: domainToASCII(domain) || domain,
    cursor: { text: '', column: 0 },
    dateSecond: Number.NaN,
    date: '',
    scope: undefined,
    calendarText: undefined,
  };
  return program;
}

function compileParts(
  campaign: Campaign,
  names: ColumnNames,
  templates: Templates,
  hasRowFiles: boolean,
): readonly MessagePart[] {
  return buildSkeleton(campaign, hasRowFiles).map((part): MessagePart => {
    if (part.kind === 'body') return compileBody(part, templates);
    if (part.kind !== 'header') return part;
    const { kind, attachment } = part;
    const { filenameTemplate } = attachment;
    invariant(filenameTemplate !== undefined, 'only templates have a header of their own');
    return { kind, attachment, filename: parseTemplate(filenameTemplate, names, 'plain') };
  });
}

function compileFiles(campaign: Campaign, names: ColumnNames, templates: Templates): FilePlan | undefined {
  const columns = findFileColumns(campaign, names);
  if (columns.length === 0) return undefined;
  const parts = compileParts(campaign, names, templates, true);
  return { columns, reader: new RowFileReader(), parts };
}

function compileBody(part: Extract<SkeletonPart, { kind: 'body' }>, templates: Templates): MessagePart {
  if (part.part === 'calendar') return { kind: 'calendar' };
  const pieces = templates[part.part].map((piece): BodyPiece =>
    piece.kind === 'static' ? { kind: 'run', run: makeRun(piece.text) } : piece,
  );
  return { kind: 'body', pieces, place: part.part === 'html' ? 'html' : 'plain' };
}

function write(program: Program, recipient: Recipient, at: number): Composed {
  const { cursor, fields, print } = program;
  program.scope = undefined;
  program.calendarText = undefined;
  const to = writeTo(fields, recipient, print);
  const own = writeOwnFields(fields, recipient, print);
  const files = program.files === undefined ? noFiles : readFiles(program, program.files, recipient);
  const parts = program.files === undefined || files.length === 0 ? program.parts : program.files.parts;
  const messageId = messageIdOf(program.messageIdPrefix, recipient.row, program.messageIdDomain);
  const subject = formatField('Subject', writePlain(program, program.subject, recipient));
  cursor.text = `Date: ${dateAt(program, at)}\r\nMessage-ID: <${messageId}>\r\n${to.text}${subject}\r\n${own.text}${fields.fixed}`;
  cursor.column = 0;
  for (const part of parts) writePart(program, part, files, recipient);
  appendEnd(cursor);
  const message = cursor.text;
  // Otherwise the composer would keep the last message, and what it was built of, alive.
  cursor.text = '';
  return { kind: 'message', message, messageId, isUtf8: to.isUtf8 || own.isUtf8 || fields.isUtf8 };
}

const noFiles: readonly ReadyFile[] = [];

function writePart(
  program: Program,
  part: MessagePart,
  files: readonly ReadyFile[],
  recipient: Recipient,
): void {
  const { cursor } = program;
  switch (part.kind) {
    case 'body':
      writeBody(program, part.pieces, part.place, recipient);
      return;
    case 'calendar':
      appendText(cursor, calendarOf(program, recipient));
      return;
    case 'literal':
      cursor.text += part.text;
      break;
    case 'calendarFile':
      cursor.text += encodeBase64(Buffer.from(calendarOf(program, recipient)));
      break;
    case 'header': {
      const filename = cleanFilename(writePlain(program, part.filename, recipient));
      const { contentType, cid, filename: ownName } = part.attachment;
      // The type is the file's, whatever the recipient's name for it ends in.
      cursor.text += formatAttachmentHeader({
        filename,
        contentType: contentType ?? typeByName(ownName),
        cid,
      });
      break;
    }
    case 'rowFiles':
      for (const { header, encoded } of files)
        cursor.text += `\r\n${part.delimiter}\r\n${header}\r\n\r\n${encoded}`;
      break;
    default:
      unreachable(part);
  }
  cursor.column = 0;
}

/** The files of a recipient, each with its header. Throws RenderFailure. */
function readFiles(program: Program, plan: FilePlan, recipient: Recipient): readonly ReadyFile[] {
  return plan.columns.flatMap(({ options, index, filename }) =>
    plan.reader.read(options, recipient.cells[index]).map(({ name, encoded }: RowFile): ReadyFile => {
      const shown = cleanFilename(filename === undefined ? name : writePlain(program, filename, recipient));
      const contentType = options.contentType ?? typeByName(name);
      return { header: formatAttachmentHeader({ filename: shown, contentType }), encoded };
    }),
  );
}

function calendarOf(program: Program, recipient: Recipient): string {
  program.calendarText ??= finishCalendar(
    program.calendar
      .map((piece) => {
        if (piece.kind === 'static') return piece.text;
        const printed = printPiece(program, piece, recipient);
        return piece.kind === 'column' ? markValue(printed) : printed;
      })
      .join(''),
  );
  return program.calendarText;
}

function dateAt(program: Program, at: number): string {
  const second = Math.floor(at / 1000);
  if (second !== program.dateSecond) {
    program.date = formatDate(at);
    program.dateSecond = second;
  }
  return program.date;
}

function writePlain(program: Program, pieces: readonly Piece[], recipient: Recipient): string {
  let text = '';
  for (const piece of pieces) {
    text += piece.kind === 'static' ? piece.text : printPiece(program, piece, recipient);
  }
  return text;
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
