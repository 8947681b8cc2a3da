// Counting in windows of any phase: what a limit promises, checked from recorded instants.

/** The most instants that any half-open window of `windowMs` holds. The instants are in order. */
export function mostInWindow(instantsMs: readonly number[], windowMs: number): number {
  let most = 0;
  let oldest = 0;
  for (const [index, at] of instantsMs.entries()) {
    while (at - (instantsMs[oldest] ?? at) >= windowMs) oldest += 1;
    most = Math.max(most, index - oldest + 1);
  }
  return most;
}

export interface Weighed {
  readonly at: number;
  readonly bytes: number;
}

/** The most bytes that any half-open window of `windowMs` holds. The instants are in order. */
export function mostBytesInWindow(all: readonly Weighed[], windowMs: number): number {
  let [most, held, oldest] = [0, 0, 0];
  for (const { at, bytes } of all) {
    held += bytes;
    for (let one = all[oldest]; one !== undefined && at - one.at >= windowMs; one = all[oldest]) {
      held -= one.bytes;
      oldest += 1;
    }
    most = Math.max(most, held);
  }
  return most;
}

/** The fewest that any window between the first and the last instant holds. */
export function fewestInWindow(instantsMs: readonly number[], windowMs: number): number {
  let fewest = Infinity;
  let next = 0;
  const endsAt = instantsMs.at(-1) ?? 0;
  // A window is emptiest when it begins just behind an instant.
  for (const [index, at] of instantsMs.entries()) {
    if (at + windowMs >= endsAt) return fewest;
    while ((instantsMs[next] ?? Infinity) <= at + windowMs) next += 1;
    fewest = Math.min(fewest, next - index - 1);
  }
  return fewest;
}
