// Randomness as an argument, so that what depends on it can be tested.

/** Returns a number in [0, 1), like Math.random. */
export type Random = () => number;

/** A repeatable source for tests and the sandbox (mulberry32, public domain algorithm by Tommy Ettinger). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
