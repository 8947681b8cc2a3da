// A campaign becomes a program: what is the same in every message, encoded once, with the templates of what differs.
import { domainToASCII } from 'node:url';
import { invariant } from '../base/invariant.ts';
import type { Attachment, CampaignPlan } from '../mail/campaign.ts';
import { messageIdPrefix } from '../mail/message_id.ts';
import { nameColumns } from './columns.ts';
import { compileFields, type Fields } from './fields.ts';
import { findFileColumns, type FileColumn } from './file_columns.ts';
import { printPiece, type Printing } from './print_piece.ts';
import { makeRun, type Cursor, type Run } from './quoted_printable.ts';
import { RowFileReader } from './row_files.ts';
import { buildSkeleton, type SkeletonPart } from './skeleton.ts';
import { makeHouse, parseTemplate, type Piece, type TemplateHouse } from './template.ts';
import type { Print } from './url_template.ts';

export type BodyPiece = { readonly kind: 'run'; readonly run: Run } | Exclude<Piece, { kind: 'static' }>;

export type MessagePart =
  | Extract<SkeletonPart, { kind: 'literal' | 'calendarFile' | 'rowFiles' }>
  | { readonly kind: 'calendar' }
  | { readonly kind: 'header'; readonly attachment: Attachment; readonly filename: readonly Piece[] }
  | { readonly kind: 'body'; readonly pieces: readonly BodyPiece[]; readonly isHtml: boolean };

/** What only campaigns with files by column have. */
export interface FilePlan {
  readonly columns: readonly FileColumn[];
  readonly reader: RowFileReader;
  /** The parts of messages that have at least one such file. */
  readonly parts: readonly MessagePart[];
}

/** A compiled campaign, and what the calls of one composer share. */
export interface Program extends Printing {
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
  /** The recipient's invitation, made when the first part needs it. */
  calendarText: string | undefined;
}

export interface Templates {
  readonly subject: readonly Piece[];
  readonly text: readonly Piece[];
  readonly html: readonly Piece[];
  readonly fields: Fields;
  readonly calendar: readonly Piece[];
}

/** Parses and checks what a campaign prints; first what others were made of, for that is where people look for mistakes. */
export function parseTemplates(house: TemplateHouse): Templates {
  const { originals, subject, text, html, calendar } = house.campaign;
  for (const original of originals ?? []) parseTemplate(original, 'html', house);
  const htmlPieces = html === undefined ? [] : parseTemplate(html, 'html', house);
  const textPart = text?.isTextOfHtml === true ? 'textOfHtml' : 'text';
  return {
    subject: parseTemplate(subject, 'subject', house),
    text: text === undefined ? [] : parseTemplate(text, textPart, house),
    html: htmlPieces,
    fields: compileFields(house),
    calendar: calendar === undefined ? [] : parseTemplate(calendar.source, 'calendar', house),
  };
}

/** Compiles a campaign that has no variants (any more). Throws as `compileCampaign`. */
export function compileProgram({ campaign, columns }: CampaignPlan): Program {
  invariant(campaign.bodyWork === undefined, 'the campaign went through prepareCampaign');
  const house = makeHouse(campaign, nameColumns(columns));
  const templates = parseTemplates(house);
  const domain = campaign.from.address.slice(campaign.from.address.lastIndexOf('@') + 1);
  const program: Program = {
    house,
    subject: templates.subject,
    fields: templates.fields,
    print: (piece, recipient) => printPiece(program, piece, recipient),
    parts: compileParts(house, templates, false),
    calendar: templates.calendar,
    files: compileFiles(house, templates),
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
  house: TemplateHouse,
  templates: Templates,
  hasRowFiles: boolean,
): readonly MessagePart[] {
  return buildSkeleton(house.campaign, hasRowFiles).map((part): MessagePart => {
    if (part.kind === 'body') return compileBody(part, templates);
    if (part.kind !== 'header') return part;
    const { kind, attachment } = part;
    const { filenameTemplate } = attachment;
    invariant(filenameTemplate !== undefined, 'only templates have a header of their own');
    return { kind, attachment, filename: parseTemplate(filenameTemplate, 'filename', house) };
  });
}

function compileFiles(house: TemplateHouse, templates: Templates): FilePlan | undefined {
  const columns = findFileColumns(house);
  if (columns.length === 0) return undefined;
  return { columns, reader: new RowFileReader(), parts: compileParts(house, templates, true) };
}

function compileBody(part: Extract<SkeletonPart, { kind: 'body' }>, templates: Templates): MessagePart {
  if (part.part === 'calendar') return { kind: 'calendar' };
  const pieces = templates[part.part].map((piece): BodyPiece =>
    piece.kind === 'static' ? { kind: 'run', run: makeRun(piece.text) } : piece,
  );
  return { kind: 'body', pieces, isHtml: part.part === 'html' };
}
