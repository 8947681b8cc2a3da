// The header of one attachment whose name or file is the recipient's own, as nodemailer writes it.
import { detectMimeType } from 'nodemailer/lib/mime-funcs';
import MimeNode from 'nodemailer/lib/mime-node';
import { RenderFailure } from './cell.ts';

interface AttachmentNames {
  readonly filename: string;
  /** Guessed from the name where absent. */
  readonly contentType?: string | undefined;
  readonly cid?: string | undefined;
}

/** Longer names are of no use, and some file systems refuse them. */
const mostCharacters = 200;

/**
 * RFC 2045 §6.4 forbids base64 for message/* and multipart/*, and without base64 their bytes could break every promise
 * about lines: such files travel as files without a type.
 */
export function attachmentType(filename: string, contentType: string | undefined): string {
  const type = contentType ?? detectMimeType(filename);
  return /^\s*(?:message|multipart)\//i.test(type) ? 'application/octet-stream' : type;
}

/** The media type that nodemailer gives a file of this name. */
export function typeByName(filename: string): string {
  return detectMimeType(filename);
}

/** The header fields without the empty line behind them. Throws RenderFailure where the name is none. */
export function formatAttachmentHeader({ filename, contentType, cid }: AttachmentNames): string {
  const type = attachmentType(filename, contentType);
  const node = new MimeNode(type, { filename, rootNode: rootOf() });
  // The order is nodemailer's (MailComposer's content nodes); the oracle test holds it.
  if (cid !== undefined) node.setHeader('Content-Id', `<${cid.replace(/[<>]/g, '')}>`);
  node.setHeader('Content-Transfer-Encoding', 'base64');
  node.setHeader(
    'Content-Disposition',
    cid !== undefined && /^image\//i.test(type) ? 'inline' : 'attachment',
  );
  const header = node.buildHeaders();
  if (!isHeader(header)) throw new RenderFailure('the name of an attachment cannot be written in a header');
  return header;
}

/**
 * Makes a file name of a rendered template: no folders, no controls, nothing that turns letters around, and nothing
 * like an encoded-word, which RFC 2047 §5 forbids in parameters and readers decode all the same.
 */
export function cleanFilename(rendered: string): string {
  const clean = rendered
    .toWellFormed()
    .replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ')
    .replace(/[/\\]+/g, '_')
    .replaceAll('=?', '=_')
    .trim();
  if (clean === '' || clean === '.' || clean === '..')
    throw new RenderFailure('the name of an attachment is empty');
  return shorten(clean);
}

/** The ending is what programs are chosen by, so the cut is in front of it. */
function shorten(name: string): string {
  const characters = Array.from(name);
  if (characters.length <= mostCharacters) return name;
  const ending = /\.[A-Za-z0-9]{1,10}$/.exec(name)?.[0] ?? '';
  return characters.slice(0, mostCharacters - ending.length).join('') + ending;
}

/** A node that has a root writes no Date, Message-ID and MIME-Version. */
function rootOf(): MimeNode {
  root ??= new MimeNode('multipart/mixed', {});
  return root;
}

let root: MimeNode | undefined;

/** What SMTP sessions rely on, as checkLines in skeleton.ts. */
function isHeader(header: string): boolean {
  return header.split('\r\n').every((line) => line.length <= 998 && /^[!-\-/-~ \t][\t -~]*$/.test(line));
}
