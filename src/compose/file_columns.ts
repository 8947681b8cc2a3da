// The columns that name files to attach, found in the list's header.
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { RowAttachments } from '../mail/campaign.ts';
import { findNearestName, type ColumnNames } from './columns.ts';
import { parseTemplate, type Piece, type TemplateHouse } from './template.ts';

/** A column whose files a recipient gets. */
export interface FileColumn {
  readonly options: RowAttachments;
  readonly index: number;
  /** The name that recipients see; undefined for the file's own. */
  readonly filename: readonly Piece[] | undefined;
}

/** Throws ERR_ATTACHMENT_UNKNOWN_COLUMN, and what parseTemplate throws. */
export function findFileColumns(house: TemplateHouse): FileColumn[] {
  const { campaign, columns: names } = house;
  return (campaign.rowAttachments ?? []).map((options) => {
    const index = names.get(options.column);
    if (index === undefined) throw unknownColumn(options, names);
    const { filenameTemplate } = options;
    const filename =
      filenameTemplate === undefined ? undefined : parseTemplate(filenameTemplate, 'filename', house);
    return { options, index, filename };
  });
}

function unknownColumn({ column, where }: RowAttachments, names: ColumnNames): PosthasteError {
  const nearest = findNearestName(column, names.keys());
  return new PosthasteError({
    code: 'ERR_ATTACHMENT_UNKNOWN_COLUMN',
    message: `Attachments are named by "${column}", which is no column of the list.`,
    hint: `${nearest === undefined ? '' : `Did you mean "${nearest}"? `}The list has: ${[...names.keys()].slice(0, 30).join(', ')}.`,
    where,
    exitCode: ExitCode.dataError,
  });
}
