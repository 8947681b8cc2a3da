// Templates: what is read, what is refused with which position, and that the short cuts print what liquidjs prints.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Liquid } from 'liquidjs';
import { PosthasteError } from '../../src/base/error.ts';
import { isBlank, printCell, printValue, RenderFailure } from '../../src/compose/cell.ts';
import { nameColumns } from '../../src/compose/columns.ts';
import { checkTemplates } from '../../src/compose/compose.ts';
import type { Part } from '../../src/compose/part.ts';
import { appendEscaped } from '../../src/compose/quoted_printable.ts';
import {
  makeHouse,
  makeScope,
  parseTemplate,
  renderLiquid,
  replaceMissing,
  type Piece,
} from '../../src/compose/template.ts';
import type { TemplateSource } from '../../src/mail/campaign.ts';
import type { Cell } from '../../src/mail/recipient.ts';
import { decodeQuotedPrintable, hostileText, normaliseText, planOf, templateOf } from './campaigns.ts';

const columns = ['email', 'first name', 'data', 'empty_one', '__proto__', 'size'];
const house = makeHouse(planOf([], { trusted: ['email'] }).campaign, nameColumns(columns));

function parse(source: string, part: Part = 'text'): readonly Piece[] {
  return parseTemplate(templateOf(source), part, house);
}

function kindsOf(source: string, part: Part = 'text'): string[] {
  return parse(source, part).map(({ kind }) => kind);
}

function refusal(source: TemplateSource): PosthasteError {
  try {
    checkTemplates(planOf([], { html: source }).campaign, columns);
  } catch (thrown) {
    assert.ok(thrown instanceof PosthasteError, String(thrown));
    return thrown;
  }
  return assert.fail('the template was taken');
}

test('static text is one piece, whatever it is made of', () => {
  assert.deepEqual(parse('a {% raw %}{{ b }}{% endraw %}{% comment %}c{% endcomment %} d', 'html'), [
    { kind: 'static', text: 'a {{ b }} d' },
  ]);
});

test('a column with or without a literal default is read without Liquid', () => {
  for (const source of [
    '{{ email }}',
    '{{email}}',
    '{{ first_name }}',
    "{{ data | default: 'x' }}",
    '{{ ["first name"] }}',
  ])
    for (const part of ['subject', 'text', 'html'] as const)
      assert.deepEqual(kindsOf(source, part), ['column'], source);
});

test('every other output is left to Liquid', () => {
  for (const source of [
    '{{ data.x }}',
    '{{ email | upcase }}',
    '{{ email | raw }}',
    '{{ email | default: data }}',
    '{{ email email }}',
    "{{ data | default: 'x', allow_false: true }}",
  ])
    for (const part of ['subject', 'text', 'html'] as const)
      assert.deepEqual(kindsOf(source, part), ['liquid'], source);
});

test('a tag without state is a piece of its own', () => {
  assert.deepEqual(kindsOf('a{% if data %}{{ email }}{% endif %}b{{ email }}'), [
    'static',
    'liquid',
    'static',
    'column',
  ]);
});

test('a tag with state, however deep, makes the whole template one piece', () => {
  for (const tag of [
    '{% assign x = data %}',
    '{% capture x %}{% endcapture %}',
    '{% increment x %}',
    '{% decrement x %}',
    "{% cycle 'a', 'b' %}",
    '{% liquid assign x = 1 %}',
    '{% break %}',
    '{% for i in data offset: continue %}{% endfor %}',
  ])
    for (const source of [
      `a{{ email }}${tag}b`,
      `a{% if data %}{% unless data %}${tag}{% endunless %}{% endif %}{{ email }}`,
    ])
      assert.deepEqual(kindsOf(source), ['liquid'], source);
});

test('state of one rendering does not leak into the next', () => {
  const pieces = parse('{% increment n %}{% increment n %}');
  for (let run = 0; run < 2; run++) assert.equal(print(pieces, 'text', []), '01');
});

const cell: fc.Arbitrary<Cell> = fc.oneof(
  { weight: 3, arbitrary: hostileText },
  fc.constantFrom<Cell[]>('', null, true, false, 0, -0, 1e21, 0.1, [], [[]], {}, [null, 'a', [1, false]]),
  fc.letrec<{ json: Cell }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 3 },
      hostileText,
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('json'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('x', 'size', 'toString', '__proto__', 'toLiquid'), tie('json')),
    ),
  })).json,
);

const atom = fc.constantFrom(
  'Hello ',
  '\n',
  "<b class='x'>",
  '{{ email }}',
  '{{- first_name -}}',
  "{{ first_name | default: 'you & me' }}",
  "{{ data | default: '' }}",
  '{{ data }}',
  '{{ data.x }}',
  '{{ data[0] | default: email }}',
  '{{ email | upcase | truncate: 8 }}',
  '{{ email | raw }}',
  '{{ empty_one }}',
  '{{ size }}',
  '{% if data %}yes {{ data }}{% else %}no{% endif %}',
  '{%- unless first_name == "x" -%}{{ email }}{%- endunless -%}',
  '{% for item in data %}{{ item }},{{ forloop.index }}{% endfor %}',
  '{% case email %}{% when "a" %}A{% else %}{{ email }}{% endcase %}',
  '{% raw %}{{ email }}{% endraw %}',
  '{% comment %}{{ nothing }}{% endcomment %}',
  '{% echo first_name %}',
  '{% assign x = email %}',
  '{% capture y %}<i>{{ data }}</i>{% endcapture %}',
  '{% cycle email, "b" %}',
  '{% increment n %}',
);

test('pieces print what liquidjs prints for the whole template', () => {
  const oracles = {
    text: makeOracle({ outputEscape: printValue }),
    html: makeOracle({ outputEscape: 'escape' }),
  };
  fc.assert(
    fc.property(
      fc.array(atom, { maxLength: 8 }),
      fc.array(cell, { maxLength: 7 }),
      fc.constantFrom('text', 'html'),
      (atoms, cells, part) => {
        const source = atoms.join('');
        const actual = attempt(() => print(parse(source, part), part, cells));
        // What liquidjs prints as nothing is missing for us.
        if (actual === 'missing') return;
        const expected = attempt(() =>
          String(oracles[part].parseAndRenderSync(source, makeScope(house, cells))),
        );
        assert.deepEqual(actual, expected);
      },
    ),
    { numRuns: 1000 },
  );
});

function makeOracle(options: { outputEscape: 'escape' | typeof printValue }): Liquid {
  const oracle = new Liquid({ strictFilters: true, ownPropertyOnly: true, ...options });
  oracle.registerFilter('default', (value: unknown, fallback: unknown) =>
    value === false || isBlank(value) ? fallback : value,
  );
  return oracle;
}

test('a value that cannot be printed fails its recipient with a reason', () => {
  assert.throws(
    () => printCell({ toString: 1 }, 'data'),
    new RenderFailure(
      'column "data" holds a value that cannot be printed: Cannot convert object to primitive value',
    ),
  );
  const source = { file: 'c.yaml', line: 4, source: 'a\n {{ data | append: "x" }}' };
  const pieces = parseTemplate(source, 'text', house);
  assert.throws(
    () => print(pieces, 'text', ['', '', { toString: 1 }]),
    new RenderFailure('Cannot convert object to primitive value (c.yaml:5:2)'),
  );
});

test('a loop that would fill the memory fails its recipient', () => {
  const pieces = parse('{% for i in (1..data) %}x{% endfor %}');
  assert.throws(
    () => print(pieces, 'text', ['', '', 1e12]),
    /memory alloc limit exceeded \(template.txt:1:1\)/,
  );
});

test('an unknown variable is refused with its place and the nearest name', () => {
  const error = refusal({ file: 'campaign.yaml', line: 12, source: 'Hi\n  {{ fist_name }} {{ other }}' });
  assert.equal(error.code, 'ERR_TEMPLATE_UNKNOWN_VARIABLE');
  assert.equal(error.message, 'The template uses "fist_name", which is no column of the list.');
  assert.match(error.hint ?? '', /^Did you mean "first_name"\? The list has: email, first name, /);
  assert.equal(error.where, 'campaign.yaml:13:6');
});

test('a variable is unknown wherever it stands', () => {
  for (const source of [
    '{{ x }}',
    '{{ x.y }}',
    '{{ email | append: x }}',
    '{{ email | default: x }}',
    '{% if x %}{% endif %}',
    '{% for i in x %}{% endfor %}',
    '{{ data[x] }}',
    '{{ ["x"] }}',
    '{{ x }}{% assign x = 1 %}',
    '{% for x in data %}{% endfor %}{{ x }}',
    '{{ toString }}',
  ])
    assert.equal(refusal(templateOf(source)).code, 'ERR_TEMPLATE_UNKNOWN_VARIABLE', source);
});

test('names that the template itself makes are known', () => {
  const source =
    '{% assign a = email %}{{ a }}{% capture b %}{% endcapture %}{{ b }}{% for c in data %}{{ c.d }}{{ forloop.last }}{% endfor %}';
  checkTemplates(planOf([], { text: templateOf(source) }).campaign, columns);
});

test('broken Liquid is refused with file, line and column', () => {
  const table: readonly (readonly [source: string, where: string, message: RegExp])[] = [
    ['Hi\n {{ email', '4:2', /output "\{\{ email" not closed/],
    ['Hi\n{% foo %}', '4:1', /tag "foo" not found/],
    ['{{ email | shout }}', '3:1', /undefined filter: shout/],
    ['{% if email %}', '3:1', /tag \{% if email %\} not closed/],
    ['x {% if %}{% endif %}', '3:8', /invalid value expression/],
  ];
  for (const [source, where, message] of table) {
    const error = refusal({ file: 'spring.html', line: 3, source });
    assert.equal(error.code, 'ERR_TEMPLATE_SYNTAX');
    assert.equal(error.where, `spring.html:${where}`);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /line:/);
  }
});

test('data is never read as a template', () => {
  const pieces = parse('{{ email }}{% if true %}{{ email }}{% endif %}');
  assert.equal(print(pieces, 'text', ['{{ size }}']), '{{ size }}{{ size }}');
});

/** Prints pieces as composing does, escaping included. */
function print(pieces: readonly Piece[], part: Part, cells: readonly Cell[]): string {
  let printed = '';
  for (const piece of pieces) {
    if (piece.kind === 'static') printed += piece.text;
    else if (piece.kind === 'liquid')
      printed += renderLiquid(piece.engine, piece.templates, makeScope(house, cells));
    else {
      const value = cells[piece.index];
      const isMissing = isBlank(value) || (value === false && piece.fallback !== undefined);
      const text = isMissing ? replaceMissing(piece) : printCell(value, piece.name);
      printed += part === 'html' ? escapeAsComposed(text) : text;
    }
  }
  return printed;
}

function escapeAsComposed(text: string): string {
  const cursor = { text: '', column: 0 };
  // Line breaks and half characters are the encoder's business; they are kept apart here.
  return text
    .split(/([\r\n\ud800-\udfff])/)
    .map((part, index) => {
      if (index % 2 === 1) return part;
      cursor.text = '';
      cursor.column = 0;
      appendEscaped(cursor, part);
      return decodeQuotedPrintable(cursor.text);
    })
    .join('');
}

function attempt(render: () => string): string {
  try {
    return normaliseText(render());
  } catch (thrown) {
    if (thrown instanceof PosthasteError) throw thrown;
    return /is blank, and|blank value/.test(String(thrown)) ? 'missing' : 'failed';
  }
}
