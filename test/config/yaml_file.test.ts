// YAML: places of keys and values, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatProblem, type Problem } from '../../src/config/problem.ts';
import { parseYaml } from '../../src/config/yaml_file.ts';

function parse(text: string) {
  const problems: Problem[] = [];
  const file = parseYaml('f.yaml', text, (written) => written, problems);
  return { file, lines: problems.map(formatProblem) };
}

test('a value is known by line and column', () => {
  const { file } = parse('a: 1\nb:\n  c: [x, y]\n');
  assert.deepEqual(file.value, { a: 1, b: { c: ['x', 'y'] } });
  assert.deepEqual(file.place(['b', 'c', 1], 'value'), { file: 'f.yaml', line: 3, column: 10 });
  assert.deepEqual(file.place(['b', 'c'], 'key'), { file: 'f.yaml', line: 3, column: 3 });
});

test('a key that is missing is placed at the map it is missing from', () => {
  const { file } = parse('a: 1\nb:\n  c: 2\n');
  assert.deepEqual(file.place(['b', 'd'], 'value'), { file: 'f.yaml', line: 2, column: 1 });
  assert.deepEqual(file.place(['b', 'd', 'e'], 'value'), { file: 'f.yaml', line: 2, column: 1 });
  assert.deepEqual(parse('').file.place(['x'], 'value'), { file: 'f.yaml', line: 1, column: 1 });
});

test('the text of a block scalar begins on the line below its mark', () => {
  const { file } = parse(
    'a: x\nb: |\n  one\n  two\nc: &n |2- # why\n\n  three\nd: "q"\ne:\n  plain\nf: *n\n',
  );
  const lines = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => file.contentLine([name]));
  assert.deepEqual(lines, [1, 3, 6, 8, 10, 6]);
  assert.partialDeepStrictEqual(file.value, { c: '\nthree' });
});

const refused: readonly (readonly [what: string, text: string, line: RegExp])[] = [
  ['a bracket that is not closed', 'a: [1', /^f\.yaml:1:\d+: the indentation is wrong, or a bracket/],
  ['a key that occurs twice', 'a: 1\nb: 2\na: 3', /^f\.yaml:3:1: this key occurs twice/],
  ['a custom tag', 'a: !env X', /^f\.yaml:1:4: tags are not supported/],
  ['a known tag outside of the core schema', 'a: !!binary aGk=', /^f\.yaml:1:4: tags are not supported/],
  ['an alias without anchor', 'a: *x', /^f\.yaml:1:4: an alias names no anchor/],
  [
    'an alias inside of its anchor',
    'a: &x {b: *x}',
    /^f\.yaml:1:7: an alias stands inside of what it names$/,
  ],
  ['a second document', 'a: 1\n---\nb: 2', /^f\.yaml:2:1: a second document/],
  ['tabs as indentation', 'a:\n\tb: 1', /^f\.yaml:2:1: a tab indents/],
  ['a map as a key', '? {a: 1}\n: 2', /^f\.yaml:1:3: a key is a list or a map/],
  ['the key __proto__', 'a:\n  __proto__: {b: 1}', /^f\.yaml:2:3: this name cannot be a key/],
  ['nesting without end', '['.repeat(40) + ']'.repeat(40), /nested too deep/],
];

for (const [what, text, line] of refused) {
  test(`${what} is refused with its place`, () => {
    const { lines } = parse(text);
    assert.match(lines[0] ?? '', line);
  });
}

test('aliases cannot make a small file large', () => {
  const levels = Array.from({ length: 20 }, (_, index) =>
    index === 0
      ? 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]'
      : `a${index}: &a${index} [${`*a${index - 1},`.repeat(9)}*a${index - 1}]`,
  );
  const { lines } = parse(levels.join('\n'));
  assert.equal(lines.filter((line) => line.includes('its aliases repeat too many')).length, 1);
});

test('merge keys are plain keys, so that they are refused as unknown', () => {
  assert.deepEqual(parse('<<: {a: 1}').file.value, { '<<': { a: 1 } });
});

test('a YAML 1.1 directive does not change what words mean', () => {
  assert.deepEqual(parse('%YAML 1.1\n---\na: off\n').file.value, { a: 'off' });
});

test('rubbish throws nothing', () => {
  const pieces = fc.constantFrom(
    'a',
    ':',
    ' ',
    '\n',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '*x',
    '&x ',
    '!t ',
    '|',
    '>',
    '#',
    '\t',
    '?',
    '%',
    '---\n',
    '\r',
  );
  const rubbish = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(rubbish, (text) => {
      const { file } = parse(text);
      file.place(['a', 0, 'b'], 'value');
      file.contentLine(['a']);
    }),
    { numRuns: 1000 },
  );
});
