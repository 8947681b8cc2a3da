// From zod's issues to problems: with the place, the words of the schema and a suggestion, without any value.
import type * as z from 'zod';
import { entryOf, kindOf, nameSchemaOf, rowOf, shapeOf } from './key.ts';
import type { Origin, Path, Problem } from './problem.ts';
import { suggestWord } from './suggest.ts';

type Issue = z.core.$ZodIssue;

/** A schema's check of one part of a document; `path` is where the part stands. */
export interface Part<T extends z.ZodType> {
  readonly schema: T;
  readonly origin: Origin;
  readonly path: Path;
}

/** Parses a part; pushes its problems and returns undefined where it has any. */
export function parsePart<T extends z.ZodType>(
  part: Part<T>,
  value: unknown,
  problems: Problem[],
): z.output<T> | undefined {
  const parsed = part.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  problems.push(...describeIssues(parsed.error.issues, [], value, part));
  return undefined;
}

/**
 * Parses what is right of a map that has wrong keys, so that the rules over its other keys can be checked in the
 * same run: wrong keys are left out, or replaced by stand-ins that break no rule.
 */
export function parseRest<T extends z.ZodType>(
  schema: T,
  value: unknown,
  standIns: Readonly<Record<string, unknown>>,
): z.output<T> | undefined {
  const issues = schema.safeParse(value).error?.issues ?? [];
  const wrong = new Set(
    issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys' && issue.path.length === 0 ? issue.keys : [issue.path[0]],
    ),
  );
  const kept = Object.entries(isMapOrList(value) ? value : {}).filter(([name]) => !wrong.has(name));
  const added = Object.entries(standIns).filter(([name]) => wrong.has(name));
  return schema.safeParse(Object.fromEntries([...kept, ...added])).data;
}

/** A key that is missing because it is misspelt is told once, as the unknown key that it is. */
function describeIssues(
  issues: readonly Issue[],
  above: Path,
  root: unknown,
  part: Part<z.ZodType>,
): Problem[] {
  const misspelt = new Set<string>();
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    const path = pathOf(issue, above);
    for (const name of issue.keys) misspelt.add(JSON.stringify([...path, suggestKey(name, path, part)]));
  }
  return issues
    .filter(
      (issue) =>
        !misspelt.has(JSON.stringify(pathOf(issue, above))) ||
        valueAt(root, pathOf(issue, above)) !== undefined,
    )
    .flatMap((issue) => describeIssue(issue, above, root, part));
}

/** `above` is the path, within the part, of the value that the issue's own path starts from. */
function describeIssue(issue: Issue, above: Path, root: unknown, part: Part<z.ZodType>): Problem[] {
  const path = pathOf(issue, above);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((name) => describeUnknownKey(name, path, part));
  if (issue.code === 'invalid_key') return [describeName(path, part)];
  const value = valueAt(root, path);
  if (issue.code === 'invalid_union' && isMapOrList(value)) {
    const inner = issue.errors.find((issues) =>
      issues.every((one) => one.path.length > 0 || isAboutKeys(one)),
    );
    if (inner !== undefined) return describeIssues(inner, path, root, part);
  }
  return [describeValue(issue, value, path, part)];
}

function describeUnknownKey(name: string, path: Path, part: Part<z.ZodType>): Problem {
  const place = part.origin.place([...part.path, ...path, name], 'key');
  const shown = `unknown key${isBelowSecret(part.schema, path) ? '' : quoteWord(name)}`;
  const owner = [...part.path, ...path];
  const what = owner.length === 0 ? shown : `${shown} in ${part.origin.nameOf(owner)}`;
  // A relay has twenty keys: where one is meant, the list of all only hides it.
  const suggestion = suggestKey(name, path, part);
  const expected = suggestion === undefined ? oneOf(knownKeys(path, part)) : undefined;
  return { place, what, expected, suggestion };
}

function suggestKey(name: string, path: Path, part: Part<z.ZodType>): string | undefined {
  return suggestWord(name, knownKeys(path, part));
}

function knownKeys(path: Path, part: Part<z.ZodType>): string[] {
  const schema = schemaAt(part.schema, path);
  return Object.keys((schema === undefined ? undefined : shapeOf(schema)) ?? {});
}

function pathOf(issue: Issue, above: Path): Path {
  return [...above, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
}

function describeName(path: Path, part: Part<z.ZodType>): Problem {
  const owner = path.slice(0, -1);
  const schema = schemaAt(part.schema, owner);
  const names = schema === undefined ? undefined : nameSchemaOf(schema);
  return {
    place: part.origin.place([...part.path, ...path], 'key'),
    what: `a name in ${part.origin.nameOf([...part.path, ...owner])} cannot be used`,
    expected: names === undefined ? undefined : kindOf(names),
  };
}

function describeValue(issue: Issue, value: unknown, path: Path, part: Part<z.ZodType>): Problem {
  const full = [...part.path, ...path];
  const schema = schemaAt(part.schema, path);
  return {
    place: part.origin.place(full, 'value'),
    what: `${part.origin.nameOf(full)} ${predicateOf(issue, value)}`,
    expected: schema === undefined ? undefined : kindOf(schema),
    suggestion: suggestValue(issue, value),
  };
}

function predicateOf(issue: Issue, value: unknown): string {
  if (value === undefined) return 'is missing';
  if (issue.code === 'custom' && issue.message !== '' && issue.message !== 'Invalid input')
    return issue.message;
  const isAboutType = issue.code === 'invalid_type' || issue.code === 'invalid_union';
  return isAboutType ? `is ${nameType(value)}` : 'cannot be used';
}

function suggestValue(issue: Issue, value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'boolean') return undefined;
  const words = wordsOf(issue).map(String);
  // YAML 1.1 took on, off, yes and no for booleans, and people still write them so.
  if (value === false && words.includes('off')) return 'off';
  return suggestWord(String(value), words);
}

function wordsOf(issue: Issue): readonly unknown[] {
  if (issue.code === 'invalid_value') return issue.values;
  return issue.code === 'invalid_union' ? issue.errors.flat().flatMap(wordsOf) : [];
}

function isAboutKeys(issue: Issue): boolean {
  return issue.code === 'unrecognized_keys' || issue.code === 'custom';
}

function schemaAt(schema: z.core.$ZodType, path: Path): z.core.$ZodType | undefined {
  return path.reduce<z.core.$ZodType | undefined>((found, step) => stepInto(found, step), schema);
}

function stepInto(schema: z.core.$ZodType | undefined, step: string | number): z.core.$ZodType | undefined {
  if (schema === undefined) return undefined;
  const shape = shapeOf(schema);
  if (shape === undefined || typeof step === 'number') return entryOf(schema);
  return Object.hasOwn(shape, step) ? shape[step] : undefined;
}

function isBelowSecret(schema: z.core.$ZodType, path: Path): boolean {
  return path.some((_, index) => {
    const above = schemaAt(schema, path.slice(0, index + 1));
    return above !== undefined && rowOf(above)?.secret === true;
  });
}

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, step) => {
    if (Array.isArray(value))
      return typeof step === 'number' ? (value as readonly unknown[])[step] : undefined;
    return isMapOrList(value) && Object.hasOwn(value, step) ? value[step] : undefined;
  }, root);
}

function isMapOrList(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function nameType(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  const names: Record<string, string> = { number: 'a number', boolean: 'true or false', object: 'a map' };
  return names[typeof value] ?? (value === '' ? 'empty' : 'text');
}

function oneOf(known: readonly string[]): string | undefined {
  return known.length === 0 ? undefined : `one of ${known.join(', ')}`;
}

/** Only what looks like a word: what stands where a key should may be a secret that lost its key. */
export function quoteWord(name: string): string {
  return /^[A-Za-z][A-Za-z_-]{0,31}$/.test(name) ? ` "${name}"` : '';
}
