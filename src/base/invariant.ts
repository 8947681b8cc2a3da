// What cannot happen: said where it cannot, so that the compiler or the first run finds out.

/** Ends a switch over a union: the compiler refuses a value that was forgotten. */
export function unreachable(value: never): never {
  throw new Error(`bug: unexpected value ${JSON.stringify(value)}`);
}

/** Throws when something that must hold does not; `what` completes "bug: …". */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`bug: ${what}`);
}
