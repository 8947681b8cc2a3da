// Packed outcomes: those of a batch by columns, as they cross threads.
import { invariant } from '../base/invariant.ts';
import type { Outcome, OutcomeKind } from './outcome.ts';
import type { Verdict } from './verdict.ts';

/** What outcomes of a batch have in common but for row, time and words. */
export interface OutcomePattern {
  readonly kind: OutcomeKind;
  readonly verdict: Omit<Verdict, 'text'>;
}

/**
 * Columns of equal length. Invariant: outcomes of a batch follow a handful of patterns, so each is written once; copied as
 * objects, their 12 property names would cross 250 times a batch (bench/flow.ts).
 */
export interface PackedOutcomes {
  readonly rows: readonly number[];
  /** Milliseconds since the epoch. */
  readonly at: readonly number[];
  readonly texts: readonly string[];
  /** Indexes into `patterns`. */
  readonly patternOf: readonly number[];
  readonly patterns: readonly OutcomePattern[];
}

export function packOutcomes(outcomes: readonly Outcome[]): PackedOutcomes {
  const patterns: OutcomePattern[] = [];
  return {
    rows: outcomes.map(({ row }) => row),
    at: outcomes.map(({ at }) => at),
    texts: outcomes.map(({ verdict }) => verdict.text),
    patternOf: outcomes.map((outcome) => indexOfPattern(patterns, outcome)),
    patterns,
  };
}

/** The inverse of `packOutcomes`. */
export function unpackOutcomes({ rows, at, texts, patternOf, patterns }: PackedOutcomes): Outcome[] {
  return rows.map((row, index) => {
    const pattern = patterns[patternOf[index] ?? -1];
    invariant(pattern !== undefined, `outcome ${index} of a batch has no pattern`);
    const verdict = { ...pattern.verdict, text: texts[index] ?? '' };
    return { row, kind: pattern.kind, at: at[index] ?? 0, verdict };
  });
}

/** Adds the pattern where it is not known yet. */
function indexOfPattern(patterns: OutcomePattern[], { kind, verdict }: Outcome): number {
  for (let index = 0; index < patterns.length; index += 1) {
    const known = patterns[index];
    if (known?.kind === kind && isAlike(known.verdict, verdict)) return index;
  }
  const { text: _ownText, ...shared } = verdict;
  return patterns.push({ kind, verdict: shared }) - 1;
}

function isAlike(one: OutcomePattern['verdict'], other: Verdict): boolean {
  return (
    one.code === other.code &&
    one.stage === other.stage &&
    one.replyCode === other.replyCode &&
    one.enhancedStatus === other.enhancedStatus &&
    one.kind === other.kind &&
    one.scope === other.scope &&
    one.session === other.session &&
    one.category === other.category &&
    one.retryable === other.retryable
  );
}
