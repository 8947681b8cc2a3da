// The columns of a list: which delimiter parts them, whether their names will do, which one holds the address.
import { ExitCode, PosthasteError } from '../base/error.ts';
import { maxColumns } from './row.ts';

/** A delimiter that a CSV list may have. */
export type Delimiter = ',' | ';' | '\t' | '|';

/** In the order of preference where counts are equal. */
const delimiters: readonly Delimiter[] = [',', ';', '\t', '|'];

/** The delimiter that stands most often outside quotes in the header line; a comma where there is none. */
export function chooseDelimiter(headerLine: string): Delimiter {
  const unquoted = headerLine.replace(/"[^"]*("|$)/g, '');
  const counts = delimiters.map((one) => unquoted.split(one).length);
  return delimiters[counts.indexOf(Math.max(...counts))] ?? ',';
}

/** Checks the header of a CSV list and returns its column names, trimmed. */
export function parseHeader(
  cells: readonly string[],
  list: { name: string; line: number; charset: string },
): string[] {
  const where = `${list.name}:${list.line}:1`;
  if (cells.some((cell) => !cell.isWellFormed() || cell.includes('\0'))) {
    throw new PosthasteError({
      code: 'ERR_LIST_ENCODING',
      message: `The header of the list ${list.name} is not text in ${list.charset}.`,
      hint: "Name the list's charset (windows-1252 and utf-16le are common), or save it as UTF-8.",
      where,
      exitCode: ExitCode.dataError,
    });
  }
  const columns = cells.map((cell) => cell.trim());
  const problem = findHeaderProblem(columns);
  if (problem !== undefined) {
    const hint = 'Give every column a name of its own in the first line of the list.';
    throw new PosthasteError({
      code: 'ERR_LIST_COLUMNS',
      message: `The header of the list ${list.name} has ${problem}.`,
      hint,
      where,
      exitCode: ExitCode.dataError,
    });
  }
  return columns;
}

/**
 * The index of the address column: the one that is named, or the only one that is named like an address.
 * "email" and its like win over "mail" and "address", which may well be a postal address.
 */
export function chooseAddressColumn(
  columns: readonly string[],
  wanted: string | undefined,
  name: string,
): number {
  if (wanted !== undefined) {
    const index = columns.indexOf(wanted);
    if (index < 0) throw addressColumnError(`The list ${name} has no column "${wanted}"`, columns, name);
    return index;
  }
  for (const names of [
    ['email', 'emailaddress', 'mailaddress', 'emailaddr'],
    ['mail', 'address', 'addr'],
  ]) {
    const found = columns.filter((column) => names.includes(column.toLowerCase().replace(/[\s_.-]/g, '')));
    if (found.length > 1)
      throw addressColumnError(
        `The list ${name} has several columns that could hold the address (${found.join(', ')})`,
        columns,
        name,
      );
    if (found[0] !== undefined) return columns.indexOf(found[0]);
  }
  throw addressColumnError(`No column of the list ${name} is named like an address`, columns, name);
}

/** The index of the column with a recipient's own timezone; -1 where none is wanted. */
export function chooseZoneColumn(
  columns: readonly string[],
  wanted: string | undefined,
  name: string,
): number {
  const index = wanted === undefined ? -1 : columns.indexOf(wanted);
  if (wanted === undefined || index >= 0) return index;
  throw new PosthasteError({
    code: 'ERR_LIST_NO_TIMEZONE_COLUMN',
    message: `The list ${name} has no column "${wanted}", which list.timezone of the campaign file expects; its columns are: ${nameColumns(columns)}.`,
    hint: 'Name the column with the timezones in list.timezone, or add it to the list; a blank cell (in NDJSON: null) means the campaign’s timezone.',
    where: name,
    exitCode: ExitCode.dataError,
  });
}

function findHeaderProblem(columns: readonly string[]): string | undefined {
  if (columns.length > maxColumns) return `${columns.length} columns, at most ${maxColumns} are allowed`;
  const empty = columns.indexOf('');
  if (empty >= 0) return `no name for column ${empty + 1} of ${columns.length} (${nameColumns(columns)})`;
  const repeated = [...new Set(columns.filter((column, index) => columns.indexOf(column) !== index))];
  return repeated.length > 0 ? `the same name for more than one column: ${nameColumns(repeated)}` : undefined;
}

function addressColumnError(message: string, columns: readonly string[], name: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIST_NO_ADDRESS_COLUMN',
    message: `${message}; its columns are: ${nameColumns(columns)}.`,
    hint: 'Say which column holds the address: list.address in the campaign file.',
    where: name,
    exitCode: ExitCode.dataError,
  });
}

/** Columns for messages: "email, first_name and 3 more". */
export function nameColumns(columns: readonly string[]): string {
  const shown = columns
    .slice(0, 20)
    .map((column) => (column === '' ? '""' : column.slice(0, 60).toWellFormed()));
  return (
    shown.join(', ') + (columns.length > shown.length ? ` and ${columns.length - shown.length} more` : '')
  );
}
