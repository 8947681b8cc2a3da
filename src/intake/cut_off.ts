// Whether a list was cut off: what can be known of it at its end, and what is said then.
import { ExitCode, PosthasteError } from '../base/error.ts';

/** The error for a list that ends where no list does. `row` is its last one; 0 where not even the first line is whole. */
export function cutOffList(name: string, row: number, why: string): PosthasteError {
  const at = row === 0 ? 'in its first line' : `at row ${row}`;
  return cutOffError(
    name,
    `The list ${name} seems to be cut off ${at}: ${why}.`,
    'If it is whole, say --partial. Else give the whole list: what has been read of it stays, and nobody gets it twice.',
  );
}

/** The error for a list with fewer rows than were promised. */
export function tooFewRows(name: string, rows: number, expected: number): PosthasteError {
  return cutOffError(
    name,
    `The list ${name} has ${rows} rows, and at least ${expected} were expected.`,
    'Give the whole list, or correct --expect-rows: what has been read of it stays, and nobody gets it twice.',
  );
}

function cutOffError(name: string, message: string, hint: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIST_CUT_OFF',
    message,
    hint,
    where: name,
    exitCode: ExitCode.dataError,
  });
}
