// A YAML file as plain values, with the place of each key and value.
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  Scalar,
  type Document,
  type ErrorCode,
  type Pair,
} from 'yaml';
import { formatPath, type Origin, type Path, type Place, type Problem } from './problem.ts';

/** Turns the text of a string value into the value; may report a problem at its place. */
export type ReadText = (written: string, place: Place, path: Path) => string;

export interface YamlFile extends Origin {
  /** False after syntax errors: what the value seems to be wrong with then only follows from them. */
  readonly isSound: boolean;
  /** The line at which the text of a string value begins: for a block scalar the one below its "|" or ">". */
  contentLine(path: Path): number;
}

interface Reading {
  readonly document: Document;
  readonly readText: ReadText;
  readonly placeOf: (node: unknown) => Place;
  readonly problems: Problem[];
  readonly ancestors: Set<unknown>;
  nodesLeft: number;
}

/** Aliases may repeat what they name: these bound what a small file can become. */
const mostNodes = 20_000;
const deepest = 32;

/**
 * Parses one YAML 1.2 document with the core schema: no custom tags, no merge keys, string keys only.
 * Pushes every problem; the value is what could be read nevertheless.
 */
export function parseYaml(file: string, text: string, readText: ReadText, problems: Problem[]): YamlFile {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    schema: 'core',
    stringKeys: true,
    resolveKnownTags: false,
    // Pretty errors quote the source, which may hold secrets.
    prettyErrors: false,
  });
  const placeAt = (offset: number): Place => {
    const { line, col } = lineCounter.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const placeOf = (node: unknown): Place => placeAt(offsetOf(node));
  for (const { code, pos } of [...document.errors, ...document.warnings]) {
    problems.push({ place: placeAt(pos[0]), what: sentences[code] });
  }
  const reading = { document, readText, placeOf, problems, ancestors: new Set(), nodesLeft: mostNodes };
  const root = document.contents;
  const value = readNode(root, [], reading);
  return {
    isSound: document.errors.every(({ code }) => code === 'DUPLICATE_KEY'),
    value,
    nameOf: (path) => (path.length === 0 ? 'the file' : formatPath(path)),
    place: (path, part) => placeOf(findNode(document, path, part)),
    contentLine: (path) => {
      const found = findNode(document, path, 'value');
      const node = isAlias(found) ? found.resolve(document) : found;
      const isBlock =
        isScalar(node) && (node.type === Scalar.BLOCK_LITERAL || node.type === Scalar.BLOCK_FOLDED);
      return (placeOf(node).line ?? 1) + (isBlock ? 1 : 0);
    },
  };
}

function readNode(node: unknown, path: Path, reading: Reading): unknown {
  const fail = (what: string): undefined => {
    reading.problems.push({ place: reading.placeOf(node), what });
    return undefined;
  };
  reading.nodesLeft--;
  if (reading.nodesLeft === 0) return fail('the file has too many values, or its aliases repeat too many');
  if (reading.nodesLeft < 0) return undefined;
  if (isAlias(node)) {
    const target = node.resolve(reading.document);
    if (target === undefined)
      return fail('an alias names no anchor before it (quote text that begins with "*")');
    return readNode(target, path, reading);
  }
  if (reading.ancestors.has(node)) return fail('an alias stands inside of what it names');
  if (reading.ancestors.size > deepest) return fail('the values are nested too deep');
  if (isScalar(node)) return readScalar(node, path, reading);
  reading.ancestors.add(node);
  const value = readCollection(node, path, reading);
  reading.ancestors.delete(node);
  return value;
}

function readScalar(node: Scalar, path: Path, reading: Reading): unknown {
  if (typeof node.value !== 'string') return node.value;
  return reading.readText(node.value, reading.placeOf(node), path);
}

function readCollection(node: unknown, path: Path, reading: Reading): unknown {
  if (isSeq(node)) return node.items.map((item, index) => readNode(item, [...path, index], reading));
  if (!isMap(node)) return undefined;
  const entries: [string, unknown][] = [];
  for (const pair of node.items) {
    const name = keyText(pair);
    if (name === '__proto__') {
      reading.problems.push({ place: reading.placeOf(pair.key), what: 'this name cannot be a key' });
    } else {
      entries.push([name, readNode(pair.value, [...path, name], reading)]);
    }
  }
  return Object.fromEntries(entries);
}

/** The key's or value's node; where the path leaves the document, the key above. */
function findNode(document: Document, path: Path, part: 'key' | 'value'): unknown {
  let found: unknown = document.contents;
  let node: unknown = document.contents;
  for (const [index, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    const wantsKey = part === 'key' && index === path.length - 1;
    if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      found = node;
    } else {
      const pair = isMap(node) ? node.items.findLast((one) => keyText(one) === step) : undefined;
      if (pair === undefined) return found;
      node = pair.value;
      found = wantsKey || index < path.length - 1 || !isNode(node) ? pair.key : node;
    }
  }
  return found;
}

function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

function offsetOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}

/** The parser's own messages quote the source, which may hold secrets; these do not. */
const sentences: Record<ErrorCode, string> = {
  ALIAS_PROPS: 'an alias cannot have an anchor or tag',
  BAD_ALIAS: 'an alias is malformed (quote text that begins with "*" or "&")',
  BAD_COLLECTION_TYPE: 'a tag does not fit its value',
  BAD_DIRECTIVE: 'a line that begins with "%" is no directive that YAML knows',
  BAD_DQ_ESCAPE: 'a backslash in double quotes begins no escape that YAML knows (use single quotes)',
  BAD_INDENT: 'the indentation is wrong, or a bracket or brace is not closed',
  BAD_PROP_ORDER: 'an anchor or tag stands in the wrong place',
  BAD_SCALAR_START: 'a value begins with a character that needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a second ": " in one line (quote the value)',
  BLOCK_IN_FLOW: 'indented lists, maps and block text cannot stand inside of brackets or braces',
  DUPLICATE_KEY: 'this key occurs twice in its map',
  IMPOSSIBLE: 'this is no YAML',
  KEY_OVER_1024_CHARS: 'a key has more than 1024 characters',
  MISSING_CHAR: 'a quote, bracket, comma, colon or space is missing',
  MULTILINE_IMPLICIT_KEY: 'a key goes over more than one line (is a ":" or a quote missing?)',
  MULTIPLE_ANCHORS: 'a value has two anchors',
  MULTIPLE_DOCS: 'a second document begins; a file has one',
  MULTIPLE_TAGS: 'a value has two tags',
  NON_STRING_KEY: 'a key is a list or a map; expected text',
  RESOURCE_EXHAUSTION: 'the values are nested too deep',
  TAB_AS_INDENT: 'a tab indents this line; expected spaces',
  TAG_RESOLVE_FAILED: 'tags are not supported (quote text that begins with "!")',
  UNEXPECTED_TOKEN: 'this is not expected here (is a quote, a ":" or an indentation wrong?)',
};
