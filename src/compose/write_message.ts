// Program + recipient → message: only what differs is encoded, where it stands.
import { unreachable } from '../base/invariant.ts';
import { messageIdOf } from '../mail/message_id.ts';
import type { Recipient } from '../mail/recipient.ts';
import { cleanFilename, formatAttachmentHeader, typeByName } from './attachment_header.ts';
import { encodeBase64 } from './base64.ts';
import { finishCalendar, markValue } from './calendar.ts';
import { formatDate } from './date.ts';
import { writeOwnFields, writeTo } from './fields.ts';
import { formatField } from './header.ts';
import { printPiece } from './print_piece.ts';
import type { BodyPiece, FilePlan, MessagePart, Program } from './program.ts';
import { appendEnd, appendEscaped, appendRun, appendText } from './quoted_printable.ts';
import type { RowFile } from './row_files.ts';
import type { Piece } from './template.ts';

/**
 * A message. `message` is ready for DATA and BDAT alike: octets (mail/octets.ts), every line ends in CRLF, none begins with ".", none
 * has more than 998 characters and none of a body more than 76. It is US-ASCII, but for addresses in header fields where
 * `isUtf8` says that only SMTPUTF8 can carry it. `messageId` is without angle brackets.
 */
export interface Message {
  readonly kind: 'message';
  readonly message: string;
  readonly messageId: string;
  readonly isUtf8: boolean;
}

/** Writes the message of one recipient. Throws RenderFailure. */
export function writeMessage(program: Program, recipient: Recipient, at: number): Message {
  const { cursor, fields, print } = program;
  program.scope = undefined;
  program.calendarText = undefined;
  program.house.clock.now = at;
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

/** A recipient's file, ready for the message. */
interface ReadyFile {
  readonly header: string;
  readonly encoded: string;
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
      writeBody(program, part.pieces, part.isHtml, recipient);
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

function writeBody(
  program: Program,
  pieces: readonly BodyPiece[],
  isHtml: boolean,
  recipient: Recipient,
): void {
  const { cursor } = program;
  for (const piece of pieces) {
    switch (piece.kind) {
      case 'run':
        appendRun(cursor, piece.run);
        break;
      case 'column':
        if (isHtml) appendEscaped(cursor, printPiece(program, piece, recipient));
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
