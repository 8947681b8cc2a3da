// The attachments of a campaign: files that all recipients get, read; and columns that name files, with their folders.
import { basename } from 'node:path';
import type { Attachment, RowAttachments, TemplateSource } from '../mail/campaign.ts';
import { findFolder } from './campaign_folder.ts';
import type { WrittenCampaign } from './campaign_schema.ts';
import type { Path } from './problem.ts';
import { readNamed, tell, type Reading } from './reading.ts';

type Written = WrittenCampaign['attachments'][number];

const mostAttachmentBytes = 64 * 1_048_576;

/** The files that every recipient gets. */
export function readAttachments(reading: Reading): Attachment[] {
  const cids = new Set<string>();
  return reading.written.attachments.flatMap((one, index) => {
    if (one.cid !== undefined && cids.has(one.cid)) {
      tell(reading, ['attachments', index, 'cid'], { what: 'is the cid of an attachment above, too' });
    }
    cids.add(one.cid ?? '');
    if (one.path === undefined) return [];
    const read = readNamed(reading, one.path, mostAttachmentBytes);
    if (read.kind === 'problem') {
      tell(reading, ['attachments', index, 'path'], { what: read.what, missingInput: read.isMissing });
      return [];
    }
    const { contentType, cid } = one;
    const filenameTemplate = readFilename(reading, one, index);
    const filename =
      filenameTemplate === undefined ? (one.filename ?? basename(one.path)) : basename(one.path);
    return [{ filename, filenameTemplate, content: read.bytes, contentType, cid }];
  });
}

/** The columns that name files; undefined where there are none. */
export function readRowAttachments(reading: Reading): RowAttachments[] | undefined {
  const found = reading.written.attachments.flatMap((one, index) => {
    checkKeys(reading, one, index);
    if (one.column === undefined || one.root === undefined) return [];
    const root = findFolder(reading.path, one.root);
    if (root.kind === 'problem') {
      tell(reading, ['attachments', index, 'root'], { what: root.what, missingInput: root.isMissing });
      return [];
    }
    const { file, line, column } = reading.file.place(['attachments', index, 'column'], 'value');
    const { separator, optional: isOptional, maxSize: mostBytes, contentType } = one;
    return [
      {
        column: one.column,
        root: root.path,
        separator,
        isOptional,
        mostBytes,
        contentType,
        filenameTemplate: readFilename(reading, one, index),
        where: `${file}:${line ?? 1}:${column ?? 1}`,
      },
    ];
  });
  return found.length === 0 ? undefined : found;
}

/** Which keys go together. */
function checkKeys(reading: Reading, one: Written, index: number): void {
  const place: Path = ['attachments', index];
  if ((one.path === undefined) === (one.column === undefined))
    tell(reading, place, { what: 'has neither or both of path and column', expected: 'one of them' });
  if (one.column !== undefined && one.root === undefined)
    tell(reading, place, { what: 'has a column and no root', expected: 'the folder that its files are in' });
  if (one.column === undefined && one.root !== undefined)
    tell(reading, [...place, 'root'], { what: 'goes with a column' });
  if (one.column !== undefined && one.cid !== undefined)
    tell(reading, [...place, 'cid'], { what: 'is for files that every recipient gets' });
}

/** A name is a template where it looks like Liquid; other names are the same for all. */
function readFilename(
  reading: Reading,
  { filename, column }: Written,
  index: number,
): TemplateSource | undefined {
  if (filename === undefined || (column === undefined && !/\{\{|\{%/.test(filename))) return undefined;
  const line = reading.file.contentLine(['attachments', index, 'filename']);
  return { file: reading.path, line, source: filename };
}
