// "Did you mean …?": the known word that is nearest to a wrong one.

/** Returns the known word that `word` is probably meant to be, or undefined where none is near. */
export function suggestWord(word: string, known: readonly string[]): string | undefined {
  const wanted = word.toLowerCase();
  if (wanted.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = distanceOf(wanted, candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Edits between two words, or infinity where they are too many for a slip of the hand. */
function distanceOf(wanted: string, candidate: string): number {
  const edits = countEdits(wanted, candidate);
  const shorter = Math.min(wanted.length, candidate.length);
  if (edits <= Math.max(1, Math.floor(shorter / 3))) return edits;
  const begins = wanted.startsWith(candidate) || candidate.startsWith(wanted);
  return shorter >= 3 && begins ? edits : Number.POSITIVE_INFINITY;
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
function countEdits(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        at(last, j) + 1,
        at(row, j - 1) + 1,
        at(last, j - 1) + (same ? 0 : 1),
        swapped ? at(beforeLast, j - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    [beforeLast, last] = [last, row];
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
