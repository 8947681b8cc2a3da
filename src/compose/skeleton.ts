// The door to nodemailer: the parts of a campaign's messages that are the same for all, with gaps for the bodies.
import MailComposer from 'nodemailer/lib/mail-composer';
import { detectMimeType } from 'nodemailer/lib/mime-funcs';
import { createHash } from 'node:crypto';
import type { Attachment, Campaign } from '../mail/campaign.ts';
import { checkLines } from './header_error.ts';

/** A stretch of finished bytes, or the place of an encoded body. */
export type SkeletonPart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'body'; readonly part: 'text' | 'html' };

type MimeNode = ReturnType<MailComposer['compile']>;
type MailComposerAttachment = NonNullable<MailComposer['mail']['attachments']>[number];

/** What MailComposer gets as content, and what the walk recognises the gaps by: attachments are Buffers. */
const textGap = 'text';
const htmlGap = 'html';

/**
 * Lays out everything behind the header fields that are our own (fields.ts): the MIME structure, its header fields first,
 * as nodemailer builds it. It begins at a line's start. Bodies are quoted-printable, attachments base64. Throws
 * ERR_CAMPAIGN_HEADER.
 */
export function buildSkeleton(campaign: Campaign): readonly SkeletonPart[] {
  const root = makeTree(campaign);
  const parts: SkeletonPart[] = [];
  layOut(root, keepSharedFields(root.buildHeaders()), parts);
  const merged = mergeLiterals(parts);
  for (const part of merged) if (part.kind === 'literal') checkLines(part.text);
  return merged;
}

function makeTree(campaign: Campaign): MimeNode {
  return new MailComposer({
    text: campaign.text === undefined ? undefined : textGap,
    html: campaign.html === undefined ? undefined : htmlGap,
    attachments: campaign.attachments.map(toNodemailer),
    encoding: 'quoted-printable',
    // RFC 2045 §6.7: "=_" occurs in no quoted-printable and no base64 text, so no value can end a part.
    boundaryPrefix: '=_posthaste',
    baseBoundary: createHash('sha256').update(campaign.name).digest('hex').slice(0, 16),
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
}

/**
 * RFC 2045 §6.4 forbids base64 for message/* and multipart/*, and without base64 their bytes could break every promise
 * about lines: such files travel as files without a type.
 */
function toNodemailer({ filename, content, contentType, cid }: Attachment): MailComposerAttachment {
  const type = contentType ?? detectMimeType(filename);
  return {
    filename,
    content: Buffer.from(content.buffer, content.byteOffset, content.byteLength),
    contentType: /^\s*(?:message|multipart)\//i.test(type) ? 'application/octet-stream' : type,
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
function layOut(node: MimeNode, header: string, parts: SkeletonPart[]): void {
  parts.push({ kind: 'literal', text: `${header}\r\n\r\n` });
  node.childNodes.forEach((child, index) => {
    parts.push({ kind: 'literal', text: `${index > 0 ? '\r\n' : ''}--${String(node.boundary)}\r\n` });
    layOut(child, child.buildHeaders(), parts);
  });
  if (node.childNodes.length > 0)
    parts.push({ kind: 'literal', text: `\r\n--${String(node.boundary)}--\r\n` });
  else if (node.content === textGap) parts.push({ kind: 'body', part: 'text' });
  else if (node.content === htmlGap) parts.push({ kind: 'body', part: 'html' });
  else if (Buffer.isBuffer(node.content)) parts.push({ kind: 'literal', text: encodeBase64(node.content) });
}

/** RFC 2045 §6.8: lines of 76 characters. */
function encodeBase64(content: Buffer): string {
  return (content.toString('base64').match(/.{1,76}/g) ?? []).join('\r\n');
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
