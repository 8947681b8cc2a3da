// Problems: what is wrong with a file or URL and where, collected so that all of them are told at once.
import { PosthasteError, type ExitCode } from '../base/error.ts';

/** Where a problem is. Line and column are 1-based; a URL has neither. */
export interface Place {
  readonly file: string;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

/**
 * One problem. No text of it may hold a value that the user wrote or that came from the environment, for any
 * of them may be a secret: keys, positions and known words only.
 */
export interface Problem {
  readonly place: Place;
  readonly what: string;
  /** Completes "expected …". */
  readonly expected?: string | undefined;
  /** Completes "did you mean …?". */
  readonly suggestion?: string | undefined;
  /** A file that the campaign names does not exist. */
  readonly missingInput?: boolean | undefined;
  /** Others at the same place only follow from this one, and are not told. */
  readonly isCause?: boolean | undefined;
}

/** Position in a document: keys and list indexes from its root. */
export type Path = readonly (string | number)[];

/** A parsed document, as far as telling its problems needs it. */
export interface Origin {
  readonly value: unknown;
  /** The place of a key or of its value; the nearest enclosing one where there is no such key. */
  place(path: Path, part: 'key' | 'value'): Place;
  /** How users know a key: "relays.primary.port", "parameter ca". */
  nameOf(path: Path): string;
}

export interface Failure {
  readonly code: string;
  readonly hint: string;
  readonly exitCode: ExitCode;
}

const mostLines = 50;

/** Makes one error of all problems, in the order of the file: one line each, at most 50. */
export function failureOf(problems: readonly Problem[], failure: Failure): PosthasteError {
  const causes = new Set(problems.filter((one) => one.isCause).map((one) => formatPlace(one.place)));
  const told = problems.filter((one) => one.isCause === true || !causes.has(formatPlace(one.place)));
  const lines = [...new Set(told.toSorted(comparePlaces).map(formatProblem))];
  const more = lines.length - mostLines;
  const shown = more > 0 ? [...lines.slice(0, mostLines), `and ${more} more problems`] : lines;
  return new PosthasteError({ ...failure, message: shown.join('\n') });
}

/** `file:line:column: what; expected …; did you mean "…"?` */
export function formatProblem(problem: Problem): string {
  const expected = problem.expected === undefined ? '' : `; expected ${problem.expected}`;
  const suggestion = problem.suggestion === undefined ? '' : `; did you mean "${problem.suggestion}"?`;
  return `${formatPlace(problem.place)}: ${problem.what}${expected}${suggestion}`;
}

/** "relays.primary.tls", "attachments[0].path". */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

function formatPlace(place: Place): string {
  return place.line === undefined ? place.file : `${place.file}:${place.line}:${place.column ?? 1}`;
}

function comparePlaces(a: Problem, b: Problem): number {
  return (a.place.line ?? 0) - (b.place.line ?? 0) || (a.place.column ?? 0) - (b.place.column ?? 0);
}
