// The names that a template may use for a list's columns, and the one a misspelt name was meant to be.

/** From the names that templates may use to the index of the cell. */
export type ColumnNames = ReadonlyMap<string, number>;

/**
 * Names the columns of a list: each by its own name, and a column that is no Liquid identifier (`first name`)
 * also by its identifier (`first_name`), unless another column has that name or makes the same one.
 * Of two columns with one name the first counts.
 */
export function nameColumns(columns: readonly string[]): ColumnNames {
  const names = new Map<string, number>();
  columns.forEach((column, index) => {
    if (!names.has(column)) names.set(column, index);
  });
  const makers = new Map<string, number[]>();
  for (const [column, index] of names) {
    const identifier = identifierOf(column);
    if (identifier !== column) makers.set(identifier, [...(makers.get(identifier) ?? []), index]);
  }
  for (const [identifier, indexes] of makers) {
    const only = indexes.length === 1 ? indexes[0] : undefined;
    if (only !== undefined && identifier !== '' && !names.has(identifier)) names.set(identifier, only);
  }
  return names;
}

/** Runs of what Liquid does not read as part of a name become one `_`, or nothing at the ends; no digit in front. */
function identifierOf(column: string): string {
  const words = column.split(/[^\p{L}\p{M}\p{N}_-]+/u).filter((word) => word !== '');
  const identifier = words.join('_');
  return /^[\d-]/.test(identifier) ? `_${identifier}` : identifier;
}

/** The name that is most like `name`, or undefined where none is like it at all. */
export function findNearestName(name: string, names: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let fewest = Math.max(2, Math.ceil(name.length / 2)) + 1;
  for (const candidate of names) {
    const edits = countEdits(name.toLowerCase(), candidate.toLowerCase());
    if (edits < fewest) {
      fewest = edits;
      nearest = candidate;
    }
  }
  return nearest;
}

/** Levenshtein's distance: characters to insert, remove or replace on the way from one text to the other. */
function countEdits(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[to.length] ?? 0;
}
