// The threads' places: each has one of its own, with its share of the sessions and its gauges, and a dead one's goes to its successor.

/*
 * A place is an Int32 in the control memory: 0 while it is free, else 1 + the threadId of whoever has it.
 */

/** Takes the first free place and returns its number; undefined where all are taken. */
export function takePlace(places: Int32Array, threadId: number): number | undefined {
  for (let place = 0; place < places.length; place += 1) {
    if (Atomics.compareExchange(places, place, 0, threadId + 1) === 0) return place;
  }
  return undefined;
}

/** Frees the places of threads that are no more. */
export function freePlaces(places: Int32Array, isAlive: (threadId: number) => boolean): void {
  for (let place = 0; place < places.length; place += 1) {
    const holder = Atomics.load(places, place);
    if (holder !== 0 && !isAlive(holder - 1)) Atomics.compareExchange(places, place, holder, 0);
  }
}
