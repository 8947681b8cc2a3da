// The door to nodemailer: the parts of a campaign's messages that are the same for all, with gaps for the bodies.
import MailComposer from 'nodemailer/lib/mail-composer';
import { createHash } from 'node:crypto';
import type { Attachment, Calendar, Campaign } from '../mail/campaign.ts';
import { attachmentType } from './attachment_header.ts';
import { encodeBase64 } from './base64.ts';
import { checkLines } from './header_error.ts';

/**
 * A stretch of finished bytes, or the place of what differs.
 * - body: an encoded body. - calendarFile: the same invitation in base64.
 * - header: the header of a static attachment whose name is the recipient's.
 * - rowFiles: whole parts, one a file, each behind a line with `delimiter` (RFC 2046 §5.1.1).
 */
export type SkeletonPart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'body'; readonly part: 'text' | 'html' | 'calendar' }
  | { readonly kind: 'calendarFile' }
  | { readonly kind: 'header'; readonly attachment: Attachment }
  | { readonly kind: 'rowFiles'; readonly delimiter: string };

type MimeNode = ReturnType<MailComposer['compile']>;
type MailComposerAttachment = NonNullable<MailComposer['mail']['attachments']>[number];

/** What MailComposer gets as content, and what the walk recognises the gaps by: attachments are Buffers. */
const textGap = 'text';
const htmlGap = 'html';
const calendarGap = 'calendar';
const rowFilesGap = Buffer.from('row files');

/**
 * Lays out everything behind the header fields that are our own (fields.ts): the MIME structure, its header fields first,
 * as nodemailer builds it. It begins at a line's start. Bodies are quoted-printable, attachments base64. `hasRowFiles` leaves
 * a place for files of the recipient's own, at least one: without any, nodemailer builds another structure. Throws
 * ERR_CAMPAIGN_HEADER.
 */
export function buildSkeleton(campaign: Campaign, hasRowFiles: boolean): readonly SkeletonPart[] {
  const named = new Map<unknown, Attachment>();
  const root = makeTree(campaign, hasRowFiles, named);
  const parts: SkeletonPart[] = [];
  layOut(root, keepSharedFields(root.buildHeaders()), parts, named);
  const merged = mergeLiterals(parts);
  for (const part of merged) if (part.kind === 'literal') checkLines(part.text);
  return merged;
}

/** `named` gets the attachments whose names differ, by the content that the walk will meet. */
function makeTree(campaign: Campaign, hasRowFiles: boolean, named: Map<unknown, Attachment>): MimeNode {
  const attachments = campaign.attachments.map((attachment) => {
    const made = toNodemailer(attachment);
    if (attachment.filenameTemplate !== undefined) named.set(made.content, attachment);
    return made;
  });
  if (hasRowFiles) attachments.push({ filename: 'row', content: rowFilesGap });
  return new MailComposer({
    text: campaign.text === undefined ? undefined : textGap,
    html: campaign.html === undefined ? undefined : htmlGap,
    attachments,
    ...calendarOptions(campaign.calendar),
    encoding: 'quoted-printable',
    // RFC 2045 §6.7: "=_" occurs in no quoted-printable and no base64 text, so no value can end a part.
    boundaryPrefix: '=_posthaste',
    baseBoundary: createHash('sha256').update(campaign.name).digest('hex').slice(0, 16),
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
}

/** RFC 6047 §2.4. nodemailer's icalEvent is the alternative and the attachment, both. */
function calendarOptions(calendar: Calendar | undefined): MailComposer['mail'] {
  if (calendar === undefined) return {};
  const { method, filename } = calendar;
  if (filename !== undefined) return { icalEvent: { content: calendarGap, method, filename } };
  const contentType = `text/calendar; charset=utf-8; method=${method}`;
  return { alternatives: [{ content: calendarGap, contentType }] };
}

function toNodemailer({ filename, content, contentType, cid }: Attachment): MailComposerAttachment {
  return {
    filename,
    content: Buffer.from(content.buffer, content.byteOffset, content.byteLength),
    contentType: attachmentType(filename, contentType),
    cid,
  };
}

/** nodemailer insists on a Date and a Message-ID; each recipient has an own one, and every message its From. */
function keepSharedFields(header: string): string {
  return header
    .split(/\r\n(?![ \t])/)
    .filter((field) => !/^(?:date|message-id):/i.test(field))
    .join('\r\n');
}

/** Appends a node of the MIME tree as nodemailer would stream it. */
function layOut(
  node: MimeNode,
  header: string,
  parts: SkeletonPart[],
  named: Map<unknown, Attachment>,
): void {
  const attachment = named.get(node.content);
  if (attachment === undefined) parts.push({ kind: 'literal', text: `${header}\r\n\r\n` });
  else parts.push({ kind: 'header', attachment }, { kind: 'literal', text: '\r\n\r\n' });
  const delimiter = `--${String(node.boundary)}`;
  node.childNodes.forEach((child, index) => {
    if (child.content === rowFilesGap) {
      parts.push({ kind: 'rowFiles', delimiter });
      return;
    }
    parts.push({ kind: 'literal', text: `${index > 0 ? '\r\n' : ''}${delimiter}\r\n` });
    layOut(child, child.buildHeaders(), parts, named);
  });
  if (node.childNodes.length > 0) parts.push({ kind: 'literal', text: `\r\n${delimiter}--\r\n` });
  else if (node.content === textGap) parts.push({ kind: 'body', part: 'text' });
  else if (node.content === htmlGap) parts.push({ kind: 'body', part: 'html' });
  else if (node.content === calendarGap)
    parts.push(isBase64(header) ? { kind: 'calendarFile' } : { kind: 'body', part: 'calendar' });
  else if (Buffer.isBuffer(node.content)) parts.push({ kind: 'literal', text: encodeBase64(node.content) });
}

function isBase64(header: string): boolean {
  return /^Content-Transfer-Encoding: base64$/im.test(header);
}

function mergeLiterals(parts: readonly SkeletonPart[]): readonly SkeletonPart[] {
  const merged: SkeletonPart[] = [];
  for (const part of parts) {
    const last = merged.at(-1);
    if (part.kind === 'literal' && last?.kind === 'literal')
      merged[merged.length - 1] = { kind: 'literal', text: last.text + part.text };
    else merged.push(part);
  }
  return merged;
}
