// Values in HTML: which places take them, which take only some, and that nothing gets past a link's scheme.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { checkTemplates } from '../../src/compose/compose.ts';
import { PosthasteError } from '../../src/base/error.ts';
import type { Campaign } from '../../src/mail/campaign.ts';
import type { Cell } from '../../src/mail/recipient.ts';
import { bodyOf, composeOne, planOf, recipientOf, templateOf } from './campaigns.ts';

const columns = ['a', 'b', 'list'];

function campaignOf(html: string, more: Partial<Campaign> = {}): Partial<Campaign> {
  return { html: templateOf(html), ...more };
}

/** "code place" of the refusal, or "taken". */
function judge(html: string, more: Partial<Campaign> = {}): string {
  try {
    checkTemplates(planOf([], campaignOf(html, more)).campaign, columns);
    return 'taken';
  } catch (thrown) {
    assert.ok(thrown instanceof PosthasteError, String(thrown));
    return `${thrown.code} ${thrown.where}`;
  }
}

/** The HTML that a recipient gets, or "invalid: why". */
function print(html: string, cells: readonly Cell[], more: Partial<Campaign> = {}): string {
  const composed = composeOne(planOf(columns, campaignOf(html, more)), recipientOf(cells));
  return composed.kind === 'invalid' ? `invalid: ${composed.reason}` : bodyOf(composed.message);
}

test('text and attributes in quotes take any value, escaped', () => {
  for (const html of [
    '<p>{{ a }}</p>',
    '<td class="{{ a }}">',
    "<td title='{{ a }}'>",
    '<title>{{ a }}</title>',
    '<textarea>{{ a }}</textarea>',
    '<p{% if b %} class="x"{% endif %}>{{ a }}</p>',
    '<td class="{% if b %}x{% else %}y{% endif %} {{ a }}">',
    '<!-- old --><p>{{ a }}</p><!--[if mso]><td title="{{ a }}"><![endif]-->',
    '<!--[if !mso]><!--><p>{{ a }}</p><!--<![endif]-->',
    '<style>p > a { color: red }</style><script>if (a < b) {}</script>{{ a }}',
    '1 < 2 {{ a }} <3',
    '<img alt="{{ a }}" src="cid:logo"/>{{ a }}',
  ]) {
    const printed = print(html, ['"\'<script>&', 'b']);
    assert.match(printed, /&#34;&#39;&lt;script&gt;&amp;/, html);
    assert.doesNotMatch(printed, /["']<script>&/, html);
  }
});

test('a value is refused before sending where no encoder makes it safe', () => {
  for (const html of [
    '<script>{{ a }}</script>',
    '<SCRIPT type="x">var a = "{{ a }}"</script>',
    '<style>p { color: {{ a }} }</style>',
    '<style></styles>{{ a }}</style>',
    '<!-- {{ a }} -->',
    '<!---{{ a }}',
    '<!doctype {{ a }}>',
    '<{{ a }}>',
    '<a{{ a }}>',
    '</{{ a }}>',
    '<a {{ a }}="x">',
    '<a x{{ a }}="x">',
    '<a href={{ a }}>',
    '<a href= {{ a }}>',
    '<a href=x{{ a }}>',
    '<a "{{ a }}">',
    '<p onclick="{{ a }}">',
    '<p ONMOUSEOVER=\'x("{{ a }}")\'>',
    '<iframe srcdoc="{{ a }}">',
    '<meta http-equiv="refresh" content="0;url={{ a }}">',
    '<meta http-equiv="{{ a }}">',
    '<iframe>{{ a }}</iframe>',
    '<plaintext>{{ a }}</plaintext>',
    '<p {% if b %}on{% else %}title{% endif %}="{{ a }}">',
    '<td{% if b %} title="x"{% endif %}x="{{ a }}">',
    '<p title={% if b %}"{% endif %}{{ a }}">',
  ]) {
    assert.match(judge(html), /^ERR_TEMPLATE_PLACE template\.txt:1:\d+$/, html);
    assert.match(
      judge(`<p>\n{% if b %}${html}{% endif %}`),
      /^ERR_TEMPLATE_PLACE template\.txt:2:\d+$/,
      html,
    );
  }
});

test('ways that end in different places are refused, and those that come together are not', () => {
  for (const html of [
    '{% if a %}<p title="{% endif %}{{ b }}',
    '{% if a %}<!--{% endif %}{{ b }}-->',
    '{% for i in list %}<p title="{% endfor %}',
    '{% for i in list %}<p title="{% break %}">{% endfor %}',
    '<p {% case a %}{% when "x" %}title="{% else %}class="{% endcase %}{{ b }}">',
    '<a {% if a %}href{% else %}title{% endif %}="{{ b }}">',
    '{% capture x %}<p title="{% endcapture %}',
    '<p title="{% tablerow i in list %}x{% endtablerow %}">',
  ])
    assert.match(judge(html), /^ERR_TEMPLATE_PLACE /, html);
  for (const html of [
    '{% if a %}<p title="x">{% else %}<p>{% endif %}{{ b }}',
    '{% unless a %}<b>{% endunless %}{% for i in list %}<i title="{{ i }}">{{ i }}</i>{% else %}-{% endfor %}',
    '<input {% if a %}checked{% endif %} title="{{ b }}">',
    '<a href="{% if a %}https://x{% else %}https://y{% endif %}/{{ b }}">',
  ])
    assert.equal(judge(html), 'taken', html);
});

test('a link in the template that runs scripts is refused before sending', () => {
  for (const html of [
    '<a href="javascript:alert(1)">',
    "<a href='JavaScript:alert(1)'>",
    '<a href=javascript:alert(1)>',
    '<a href=" java\tscript:alert(1)">',
    '<a href="java\nscript:alert(1)">',
    '<a href="&#106;avascript:alert(1)">',
    '<a href="&#x6A;avascript&#58;alert(1)">',
    '<a href="javascript&colon;alert(1)">',
    '<a href="java&Tab;script:alert(1)">',
    '<a href="\u0001javascript:alert(1)">',
    '<form action="vbscript:x">',
    '<a href="data:text/html,x">',
    '<svg><a xlink:href="javascript:x">',
    '<body background="javascript:x">',
    '<animate to="javascript:x">',
    '<a href="{% if a %}javascript{% endif %}:x">',
    '<a href="{{ a }}:x">',
    '<a href="{% for i in list %}{% if forloop.first %}java{% else %}script:x{% endif %}{% endfor %}">',
  ])
    assert.match(judge(html), /^ERR_TEMPLATE_LINK template\.txt:1/, html);
  assert.equal(judge('<p>\n<a\n href="javascript:x">'), 'ERR_TEMPLATE_LINK template.txt:3:8');
  for (const html of [
    '<a href="https://example.com/?javascript:x">',
    '<a href="#javascript:x">',
    '<a href="mailto:a@example.com">',
    '<a href="myapp://x/{{ a }}">',
    '<img src="data:image/gif;base64,R0lGOD">',
    '<p title="javascript:x">',
  ])
    assert.equal(judge(html), 'taken', html);
});

const links = ['<a href="{{ a }}">', "<a href='{{ a | strip }}'>", '<a href="{% if b %}{{ a }}{% endif %}">'];
const attributes = [
  '<img src="{{ a }}">',
  '<form action="{{ a }}">',
  '<button formaction="{{ a }}">',
  '<td background="{{ a }}">',
  '<q cite="{{ a }}">',
  '<video poster="{{ a }}">',
  '<a xlink:href="{{ a }}">',
  '<!--[if mso]><v:rect href="{{ a }}"><![endif]-->',
  '<A HREF = "{{ a }}">',
  '{% for i in list %}<a href="{{ a }}">{% endfor %}',
  '<a href="{{ x }}">'.replace('x', "a | default: 'https://example.com'"),
];

const bypasses = [
  'javascript:alert(1)',
  'JAVASCRIPT:alert(1)',
  'java\tscript:alert(1)',
  'java\r\nscript:alert(1)',
  ' javascript:alert(1)',
  '\u0001javascript:alert(1)',
  '\u00a0javascript:alert(1)',
  '\ufeffjava\u200bscript:alert(1)',
  'javascript&colon;alert(1)',
  'javascript&#58;alert(1)',
  'javascript&#x3a;alert(1)',
  '&#106;avascript:alert(1)',
  'java&Tab;script:alert(1)',
  'java&NewLine;script:alert(1)',
  'vbscript:x',
  'data:text/html,<script>',
  'data:image/svg+xml,x',
  'file:///etc/passwd',
  'blob:x',
  'x:y',
  'view-source:https://example.com',
  ':x',
];

test('a value cannot begin a link with a scheme that is not allowed, however it is written', () => {
  for (const html of [...links, ...attributes])
    for (const value of bypasses)
      assert.match(
        print(html, [value, 'b', ['i']]),
        /^invalid: "a" begins a link with a scheme other than .* \(template\.txt:1:\d+\)$/,
        `${html} ${JSON.stringify(value)}`,
      );
});

test('links that people have are taken', () => {
  for (const html of [...links, ...attributes])
    for (const value of [
      'https://example.com/?a=b:c&d=1',
      'HTTP://example.com',
      'mailto:ann@example.com',
      'tel:+49',
      'sms:+49',
      'cid:logo',
      '/path:x',
      'path/x:y',
      '?a=b:c',
      '#a:b',
      '//example.com',
      'ann',
    ])
      assert.doesNotMatch(print(html, [value, 'b', ['i']]), /^invalid/, `${html} ${value}`);
});

test('a scheme cannot be put together of two values, nor of a value and text', () => {
  for (const [html, cells] of [
    ['<a href="{{ a }}{{ b }}">', ['java', 'script:alert(1)']],
    ['<a href="{{ a }}{{ b }}">', ['javascript', ':alert(1)']],
    ['<a href="java{{ a }}">', ['script:alert(1)']],
    ['<a href="{% if a %}{{ a }}{% endif %}{{ b }}">', ['java', 'script:x']],
    ['<a href="{% for i in list %}{{ i }}{% endfor %}">', ['', '', ['java', 'script:x']]],
    ['<a href="{{ list }}">', ['', '', ['java', 'script:x']]],
    ['{% capture x %}{{ a }}{{ b }}{% endcapture %}<a href="{{ x }}">', ['javascript', ':x']],
    ['{% assign x = a | append: b %}<a href="{{ x }}">', ['javascript', ':x']],
    ['<a href="{{ a | url_decode }}">', ['javascript%3Ax']],
    ['<a href="{{ a | base64_decode }}">', ['amF2YXNjcmlwdDp4']],
    ['<a href="{% echo a %}">', ['javascript:x']],
  ] as const)
    assert.match(print(html, cells), /^invalid: .* link/, html);
  assert.doesNotMatch(print('<a href="{{ a }}{{ b }}">', ['https://example.com', '/x:y']), /^invalid/);
  assert.doesNotMatch(print('<a href="https://{{ a }}/{{ b }}">', ['example.com:80', 'x:y']), /^invalid/);
});

test('no value that a browser reads a refused scheme from is printed at the start of a link', () => {
  const junk = fc.constantFrom('', '\t', '\n', ' ', '\u0000', '\u001f', '&Tab;', '&#9;', '&#x0a;', '\u200b');
  const letters = fc.array(fc.tuple(fc.constantFrom(0, 1), junk), { minLength: 11, maxLength: 11 });
  fc.assert(
    fc.property(letters, junk, (ways, end) => {
      const value = `${ways.map(([upper, gap], at) => gap + spell('javascript:'.charAt(at), upper)).join('')}${end}x`;
      assert.match(print('<a href="{{ a }}">', [value]), /^invalid/, JSON.stringify(value));
    }),
    { numRuns: 300 },
  );
});

function spell(character: string, upper: number): string {
  return upper === 1 ? character.toUpperCase() : character;
}

test('a style takes colours, sizes and words only', () => {
  const html = '<p style="color: {{ a }}; width: {{ b }}%">';
  for (const cells of [
    ['#ff0000', '10'],
    ['dark red', '10.5'],
  ])
    assert.doesNotMatch(print(html, cells), /^invalid/);
  for (const value of [
    'red; x: y',
    'url(x)',
    'expression(1)',
    '\\75rl',
    'red/**/',
    '"',
    "'",
    '@import',
    'a:b',
    '&#58;',
  ])
    assert.match(print(html, [value, '1']), /^invalid: "a" goes into a style/, value);
});

test('raw is for trusted columns, data and captures, and only between elements', () => {
  const trusted = { trusted: ['a'], data: { own: '<b>own</b>' } };
  assert.match(print('{{ a | raw }}{{ own | raw }}', ['<i>x</i>'], trusted), /^<i>x<\/i><b>own<\/b>/);
  assert.match(
    print('{% capture c %}<b>{{ b }}</b>{% endcapture %}{{ c | raw }}', ['', '<']),
    /^<b>&lt;<\/b>/,
  );
  assert.match(print('{{ b | newline_to_br }}', ['', '<\n&']), /^&lt;<br>\n&amp;/);
  for (const html of [
    '{{ b | raw }}',
    '{{ b | upcase | raw }}',
    '{{ b | default: "x" | raw }}',
    '{{ a | append: b | raw }}',
    '{{ "x" | append: b | raw }}',
    '{% echo b | raw %}',
    '{% cycle b | raw, "x" %}',
    '{% liquid echo b | raw %}',
    '{% assign a = b %}{{ a | raw }}',
    '{% for a in list %}{{ a | raw }}{% endfor %}',
    '{% tablerow a in list %}{{ a | raw }}{% endtablerow %}',
    '{% capture b %}x{% endcapture %}{{ b | raw }}',
    '{% capture c %}x{% endcapture %}{% assign c = b %}{{ c | raw }}',
    '<p title="{{ a | raw }}">',
    '<a href="{{ a | raw }}">',
    '<title>{{ a | raw }}</title>',
    '<p title="{{ b | newline_to_br }}">',
    '{{ list[0] | raw }}',
  ])
    assert.match(judge(html, trusted), /^ERR_TEMPLATE_(?:RAW|FILTER) template\.txt:1:\d+$/, html);
});

test('a trusted column that the list does not have is an error', () => {
  assert.match(judge('x', { trusted: ['nobody'] }), /^ERR_CAMPAIGN_TRUSTED/);
});

test('any text at all is either judged or refused with an error of ours', () => {
  const atom = fc.constantFrom(
    '<',
    '>',
    '"',
    "'",
    '=',
    '/',
    '!',
    '-',
    '--',
    '[if x]>',
    'a',
    ' ',
    'href',
    'style',
    'script',
    '<a ',
    '</',
    '{{ a }}',
    '{% if b %}',
    '{% else %}',
    '{% endif %}',
    '{% for i in list %}',
    '{% endfor %}',
    '&#',
    ':',
    'javascript',
  );
  fc.assert(
    fc.property(fc.array(atom, { maxLength: 20 }), (atoms) => {
      judge(atoms.join(''));
    }),
    { numRuns: 2000 },
  );
});

test('block.super is not a way around escaping for a column that is called block', () => {
  const html = templateOf('<p>{{ block.super }}</p>');
  const composed = composeOne(
    planOf(['block'], { html }),
    recipientOf([{ super: '<script>alert(1)</script>' }]),
  );
  assert.ok(composed.kind === 'invalid' || !composed.message.includes('<script>'), JSON.stringify(composed));
});
