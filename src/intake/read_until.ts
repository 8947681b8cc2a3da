// Reading a list until somebody says stop, though its writer may be silent and never end.
import type { ListSource } from './source.ts';

/** What is read of a list. */
export type Bytes = AsyncIterable<Uint8Array> & Partial<Pick<ListSource, 'close'>>;

/**
 * The bytes of a source. When `signal` is told, the source is closed, which ends a read that waits for a pipe's writer, and the reason
 * of `signal` is thrown: what was read till then must not be taken for a whole list.
 */
export async function* readUntil(
  source: Bytes,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  signal?.throwIfAborted();
  const close = (): void => source.close?.();
  signal?.addEventListener('abort', close, { once: true });
  try {
    yield* source;
  } catch (error) {
    // That it was closed under the reader is no fault of the list.
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', close);
  }
  // Ctrl-C ends a pipe's writer, too: what looks like the end of the list may be that.
  signal?.throwIfAborted();
}
