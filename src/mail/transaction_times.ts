// How long things took, counted into buckets: threads count, the main thread adds up.
import type { Stage } from './verdict.ts';

/** Upper bounds of the buckets in seconds, inclusive; one more bucket holds what took longer. */
export const transactionBucketsSeconds: readonly number[] = [
  0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60,
];

/** How long transactions took, or whatever else took its time. Plain data. */
export interface TransactionTimes {
  /** One for each bucket, not cumulative. */
  readonly counts: number[];
  sumSeconds: number;
}

export function emptyTransactionTimes(): TransactionTimes {
  return { counts: Array.from({ length: transactionBucketsSeconds.length + 1 }, () => 0), sumSeconds: 0 };
}

/** From MAIL to the last reply, by the stage of the reply that decided it. */
export type StageTimes = Partial<Record<Stage, TransactionTimes>>;

/** Numbers that times take where threads share them: the counts and, behind them, the sum. */
export const timesLength = transactionBucketsSeconds.length + 2;

/** Puts times where other threads read them, from `base` on. */
export function writeTimes(
  memory: Float64Array,
  base: number,
  { counts, sumSeconds }: TransactionTimes,
): void {
  memory.set(counts, base);
  memory[base + counts.length] = sumSeconds;
}

/** Adds what another thread put there from `base` on. */
export function readTimes(memory: Float64Array, base: number, into: TransactionTimes): void {
  const sumAt = timesLength - 1;
  for (let bucket = 0; bucket < sumAt; bucket += 1)
    into.counts[bucket] = (into.counts[bucket] ?? 0) + (memory[base + bucket] ?? 0);
  into.sumSeconds += memory[base + sumAt] ?? 0;
}

/** Counts one. */
export function addTransactionTime(times: TransactionTimes, seconds: number): void {
  let bucket = 0;
  while (bucket < transactionBucketsSeconds.length && seconds > (transactionBucketsSeconds[bucket] ?? 0))
    bucket += 1;
  times.counts[bucket] = (times.counts[bucket] ?? 0) + 1;
  times.sumSeconds += seconds;
}
