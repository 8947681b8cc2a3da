// The names that a campaign brings itself, against the columns of the list.
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { Campaign } from '../mail/campaign.ts';
import { findNearestName, type ColumnNames } from './columns.ts';

/** Throws ERR_CAMPAIGN_DATA for data that a column hides, ERR_CAMPAIGN_TRUSTED for trusted columns that the list lacks. */
export function checkNames({ data, trusted }: Campaign, columns: ColumnNames): void {
  const twice = Object.keys(data ?? {}).find((name) => columns.has(name));
  if (twice !== undefined) {
    throw new PosthasteError({
      code: 'ERR_CAMPAIGN_DATA',
      message: `"${twice}" is a name in the campaign's data and a column of the list.`,
      hint: 'Rename it in `data:`, or the column: nobody could tell which of the two a template means.',
      exitCode: ExitCode.dataError,
    });
  }
  const lacking = (trusted ?? []).find((name) => !columns.has(name));
  if (lacking === undefined) return;
  const nearest = findNearestName(lacking, columns.keys());
  throw new PosthasteError({
    code: 'ERR_CAMPAIGN_TRUSTED',
    message: `The campaign trusts the column "${lacking}", which the list does not have.`,
    hint: nearest === undefined ? 'Take it out of `trusted:`.' : `Did you mean "${nearest}"?`,
    exitCode: ExitCode.dataError,
  });
}
