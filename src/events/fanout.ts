// A fan-out: tells every subscriber in this process of each published event, in the order of publication.

/** Hears events; must not throw and is not awaited: what takes long goes through a bounded queue of the listener's. */
type Listener<T> = (event: T) => void;

export interface Fanout<T> {
  /**
   * Tells all subscribers before it returns. Called by a listener, it returns at once and the event follows when
   * the present one has reached everybody, so that all hear the same order.
   */
  publish(event: T): void;
  /** Returns what ends the subscription. Changes count from the next event on. */
  subscribe(listener: Listener<T>): () => void;
}

/**
 * Opens a fan-out. A listener that throws stops nobody: `onError` gets what was thrown and the event, and must
 * not throw itself.
 */
export function createFanout<T>(onError: (thrown: unknown, event: T) => void): Fanout<T> {
  // Replaced, never changed, so that a loop over it is not disturbed by who comes and goes.
  let listeners: readonly { readonly tell: Listener<T> }[] = [];
  /** Events that wait for the one that is being told; undefined while none is. Only listeners fill it. */
  let waiting: T[] | undefined;

  function tellAll(event: T): void {
    for (const listener of listeners) {
      try {
        listener.tell(event);
      } catch (thrown) {
        onError(thrown, event);
      }
    }
  }

  return {
    publish(event) {
      if (waiting !== undefined) {
        waiting.push(event);
        return;
      }
      waiting = [event];
      try {
        for (const next of waiting) tellAll(next);
      } finally {
        waiting = undefined;
      }
    },
    subscribe(tell) {
      const listener = { tell };
      listeners = [...listeners, listener];
      return () => {
        listeners = listeners.filter((one) => one !== listener);
      };
    },
  };
}
