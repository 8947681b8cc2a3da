// Plain text of HTML templates: what it looks like, and that making it and filling it in can change places.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Liquid } from 'liquidjs';
import { makeTextTemplate } from '../../src/compose/text_from_html.ts';

const table: readonly (readonly [what: string, html: string, text: string])[] = [
  [
    'a condition keeps its paragraph to itself',
    '<p>A</p>{% if x %}<p>B</p>{% endif %}<p>C</p>',
    'A\n\n{% if x %}B\n\n{% endif %}C\n',
  ],
  [
    'blanks around a condition are not lost',
    'Hello {% if x %}dear {% endif %}Ann',
    'Hello {% if x %}dear {% endif %}Ann\n',
  ],
  [
    'blanks at the end of a round stay in the loop',
    'A<br>{% for i in a %}{{ i }}, {% endfor %}B',
    'A\n{% for i in a %}{{ i }}, {% endfor %}B\n',
  ],
  [
    'items of a loop have a line each',
    '<p>x</p><ul>\n{% for i in a %}\n<li>{{ i }}</li>\n{% endfor %}\n</ul><p>C</p>',
    'x\n\n{% for i in a %}- {{ i }}\n{% endfor %}\nC\n',
  ],
  [
    'items are numbered where their number is known',
    '<ol><li>one<li><p>two</p></ol><ol>{% for i in a %}<li>x</li>{% endfor %}</ol>',
    '1. one\n2. two\n\n{% for i in a %}- x\n{% endfor %}\n'.trimEnd() + '\n',
  ],
  ['nested lists are indented', '<ul><li>a<ul><li>b</li></ul></li></ul>', '- a\n  - b\n'],
  [
    'a link says where it leads',
    '<a href="{{ url }}?a=1&amp;b=2&copy=3">Go <b>now</b> </a>!',
    'Go now ({{ url }}?a=1&b=2&copy=3)!\n',
  ],
  [
    'a link that says it itself does not say it twice',
    '<a href="https://example.com/">example.com</a> <a href="mailto:x@y.z">x@y.z</a> <a href="#top">top</a>',
    'example.com x@y.z top\n',
  ],
  [
    'a link around an image is its alt',
    '<a href="https://e.x/?q={{ q | url_encode }}"><img alt="Logo &amp; more" src="x>y.png"></a>',
    'Logo & more (https://e.x/?q={{ q | url_encode }})\n',
  ],
  [
    'a link that Liquid chooses stands where it is chosen',
    '{% if a %}<a href="1">{% else %}<a href="2">{% endif %}text</a>',
    '{% if a %}(1) {% else %}(2) {% endif %}text\n',
  ],
  ['links that lead to scripts are words', '<a href="javascript:alert(1)">x</a>', 'x\n'],
  [
    'what is not shown is not said, and still assigns',
    '<head>{% assign g = "x" %}<title>{{ g }}</title><style>p{ {{ c }} }</style></head><!-- {{ h }} --><script>{{ s }}</script><div style="display: none">pre <div>{{ x }}</div></div>{{ g }}',
    '{% assign g = "x" %}{{ g }}\n',
  ],
  [
    'what one branch hides is hidden in that branch',
    '{% if a %}<div style="display:none">{% else %}<div>{% endif %}shown</div>',
    '{% if a %}{% else %}{% endif %}shown\n',
  ],
  [
    'entities are characters',
    '&lt;b&gt; &eacute;&nbsp;&euro;&#x1F600;&#33; &notanentity; &amp;amp;',
    '<b> é €😀! &notanentity; &amp;\n',
  ],
  [
    'braces that HTML spells are no Liquid',
    '&#123;&#123; n }} {<b>{ x }}</b> {&#37; if %}',
    "{{ '{' }}{ n }} {{ '{' }}{ x }} {{ '{' }}% if %}\n",
  ],
  [
    'rows are lines, cells have blanks between them',
    '<table><tr><th>Item</th><th>Price</th></tr>{% for r in rows %}<tr><td>{{ r.n }}</td><td>{{ r.p }}</td></tr>{% endfor %}</table>end',
    'Item  Price\n{% for r in rows %}{{ r.n }}  {{ r.p }}\n{% endfor %}end\n',
  ],
  [
    'headings are paragraphs, <pre> keeps its lines',
    '<h1>Title</h1>text<hr><pre>a\n  b</pre>',
    'Title\n\ntext\n\n--------------------\n\na\n  b\n',
  ],
  ['HTML that a column brings is stripped', '<p>{{ body | raw }}</p>', '{{ body | strip_html }}\n'],
  [
    'raw blocks stay, comments go',
    '<p title=\'{{ a | default: "x>y" }}\'>{% raw %}{{ no }}{% endraw %}{% comment %}{{ c }}{% endcomment %} 1 < 2</p>',
    '{% raw %}{{ no }}{% endraw %} 1 < 2\n',
  ],
  [
    'white space control means what it means in HTML',
    'a {%- if z -%}  y  {%- endif -%}  w',
    'a{% if z %}y{% endif %}w\n',
  ],
];

for (const [what, html, text] of table) test(what, () => assert.equal(makeTextTemplate(html), text));

const inline = fc.constantFrom(
  'word',
  ' and ',
  '{{ name }}',
  ' {{ city }} ',
  '<b>bold</b>',
  '<br>',
  '\n  ',
  '{%- if yes -%} x {%- endif %}',
  '<a href="https://example.com/{{ city }}">link</a>',
  '&amp;',
  '<img alt="pic" src="cid:a">',
);

const template = fc.letrec<{ block: string; blocks: string }>((tie) => ({
  blocks: fc
    .array(fc.oneof({ depthSize: 'small' }, inline, tie('block')), { maxLength: 4 })
    .map((parts) => parts.join('')),
  block: fc
    .tuple(
      fc.constantFrom<readonly [string, string]>(
        ['<p>', '</p>'],
        ['<div class="{% if yes %}a{% endif %}">', '</div>'],
        ['<ul><li>', '</li></ul>'],
        ['<ul>\n{% for i in list %}<li>', '</li>\n{% endfor %}</ul>'],
        ['<table><tr><td>', '</td><td>x</td></tr></table>'],
        ['{% if yes %}', '{% else %}<p>other</p>{% endif %}'],
        ['{% if no %}', '{% endif %}'],
        ['{% for i in list %}', '{% endfor %}'],
        ['{% for i in none %}', '{% endfor %}'],
        ['{% case name %}{% when "Ann" %}', '{% else %}<h1>z</h1>{% endcase %}'],
        ['<div style="display:none">', '</div>'],
        ['{% capture c %}', '{% endcapture %}[{{ c | raw | size }}]'],
        ['<h2>', '</h2>'],
      ),
      tie('blocks'),
    )
    .filter(([[open], inner]) => !open.startsWith('{% capture') || inner !== '')
    .map(([[open, close], inner]) => open + inner + close),
})).blocks;

test('making text and filling it in can change places: the same letters, and no two words become one', () => {
  const engine = new Liquid();
  const data = { name: 'Ann', city: 'Brno', yes: true, no: false, list: ['1', '2'], none: [] };
  fc.assert(
    fc.property(template, (html) => {
      const first = String(engine.parseAndRenderSync(makeTextTemplate(html), data));
      const second = makeTextTemplate(String(engine.parseAndRenderSync(html, data)));
      assert.equal(lettersOf(first), lettersOf(second));
      // Behind a loop there may be a blank more, never one less.
      const apart = new Set(endsOf(first));
      assert.deepEqual(
        endsOf(second).filter((end) => !apart.has(end)),
        [],
      );
    }),
    { numRuns: 2000 },
  );
});

/** Sizes of captured HTML and of captured text differ; an item without words may have a mark or none. */
function wordsOf(text: string): string[] {
  return text
    .replace(/\[\d+\]/g, '[]')
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '-');
}

function lettersOf(text: string): string {
  return wordsOf(text).join('');
}

/** After how many letters a word ends. */
function endsOf(text: string): number[] {
  let letters = 0;
  return wordsOf(text).map((word) => (letters += word.length));
}

test('whatever is taken for HTML, text comes of it, in one breath', () => {
  const piece = fc.constantFrom(
    '<',
    '>',
    '</',
    '<!--',
    '-->',
    '{{',
    '}}',
    '{%',
    '%}',
    '"',
    "'",
    '=',
    'a',
    ' ',
    '<a href=',
    '<style>',
    '{% raw %}',
    '<p',
    '/>',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 3 })), { maxLength: 40 }), (pieces) => {
      assert.equal(typeof makeTextTemplate(pieces.join('')), 'string');
    }),
    { numRuns: 1000 },
  );
});
