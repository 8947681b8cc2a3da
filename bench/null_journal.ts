// A journal that writes nothing, so that a benchmark can tell what the real one costs.

/** Stands in for `JournalWriter` (null_device.ts). */
export class JournalWriter {
  readonly writer: number;
  readonly oldestNeeded = 0;

  constructor({ writer }: { readonly writer: number }) {
    this.writer = writer;
  }

  noteEnd(): void {}
  noteOutcome(): void {}
  endBatch(): void {}
  commit(): undefined {}
  close(): void {}
}
