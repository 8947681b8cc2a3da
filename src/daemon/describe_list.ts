// A later list of a campaign in words: how many of its rows are known from before, and how many are new.

/** "12,000 rows, 11,966 known from before, 34 new" */
export function describeList({ rows, known }: { readonly rows: number; readonly known: number }): string {
  const [all, old, fresh] = [rows, known, rows - known].map((count) => count.toLocaleString('en-US'));
  return `${all} rows, ${old} known from before, ${fresh} new`;
}
