// Partials, layouts, data, preheaders and variants: what a campaign's templates are made of besides one file.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosthasteError } from '../../src/base/error.ts';
import { checkTemplates, compileCampaign } from '../../src/compose/compose.ts';
import { nameColumns } from '../../src/compose/columns.ts';
import { makeHouse, parseTemplate } from '../../src/compose/template.ts';
import type { Campaign, TemplateSource } from '../../src/mail/campaign.ts';
import type { Cell } from '../../src/mail/recipient.ts';
import { makeVariantChooser } from '../../src/mail/variant.ts';
import { at, bodyOf, composeOne, messageOf, planOf, recipientOf, templateOf } from './campaigns.ts';

const columns = ['name', 'items', 'url'];

function withPartials(files: Readonly<Record<string, string>>, more: Partial<Campaign>): Partial<Campaign> {
  const partials = Object.entries(files).map(([name, source]): [string, TemplateSource] => [
    name,
    { file: `mail/${name}`, line: 1, source },
  ]);
  return { partials: Object.fromEntries(partials), ...more };
}

function printHtml(
  campaign: Partial<Campaign>,
  cells: readonly Cell[] = ['Ann', [1, 2], 'https://x'],
): string {
  const composed = composeOne(planOf(columns, campaign), recipientOf(cells));
  return composed.kind === 'invalid' ? `invalid: ${composed.reason}` : bodyOf(composed.message).trimEnd();
}

function refusal(campaign: Partial<Campaign>): PosthasteError {
  try {
    checkTemplates(planOf([], campaign).campaign, columns);
  } catch (thrown) {
    assert.ok(thrown instanceof PosthasteError, String(thrown));
    return thrown;
  }
  return assert.fail('the template was taken');
}

function piecesOf(campaign: Partial<Campaign>): string[] {
  const house = makeHouse(planOf([], campaign).campaign, nameColumns(columns));
  return parseTemplate(campaign.html ?? templateOf(''), 'html', house).map(({ kind }) => kind);
}

test('partials print what they are given, and know columns and data', () => {
  const files = { 'parts/hi.html': '<b>{{ name }} {{ greeting }}{{ mark }}</b>', 'row.html': '[{{ item }}]' };
  const campaign = withPartials(files, {
    data: { greeting: 'hello' },
    html: templateOf(
      "{% render 'parts/hi.html', mark: '!' %}{% include \"row.html\" item: name %}{% render 'row.html' for items as item %}",
    ),
  });
  assert.equal(printHtml(campaign, ['<Ann>', ['a', 'b']]), '<b>&lt;Ann&gt; hello!</b>[&lt;Ann&gt;][a][b]');
});

test('a layout prints the blocks of the template that names it', () => {
  const files = {
    'base.html':
      '<html>{% block head %}<title>Shop</title>{% endblock %}<body>{% block content %}none{% endblock %}</body></html>',
    'news.html':
      "{% layout 'base.html' %}{% block content %}<p>{% block text %}{% endblock %}</p>{% endblock %}",
  };
  const content = "{% layout 'base.html' %}\n{% block content %}Dear {{ name }}{% endblock %}";
  const campaign = withPartials(files, { html: templateOf(content) });
  assert.equal(printHtml(campaign), '<html><title>Shop</title><body>Dear Ann</body></html>');
  assert.deepEqual(piecesOf(campaign), ['static', 'column', 'static'], 'laid in when compiled');
  const kept = "{% layout 'base.html' %}{% block head %}{{ block.super }}<b>{% endblock %}";
  assert.equal(
    printHtml(withPartials(files, { html: templateOf(kept) })),
    '<html><title>Shop</title><b><body>none</body></html>',
  );
  const unnamed = withPartials({ bare: '<body>{% block %}{% endblock %}</body>' }, {});
  assert.equal(
    printHtml({ ...unnamed, html: templateOf("{% layout 'bare' %}Hi {{ name }}") }),
    '<body>Hi Ann</body>',
    'a block without a name is what stands outside of blocks',
  );
  const nested = "{% layout 'news.html' %}{% block text %}{{ name }}{% endblock %}";
  assert.equal(
    printHtml(withPartials(files, { html: templateOf(nested) })),
    '<html><title>Shop</title><body><p>Ann</p></body></html>',
  );
});

test('partials without arguments are laid in when the campaign is compiled', () => {
  const files = { a: '<i>{{ name }}</i>', b: "{% render 'a' %}" };
  const campaign = withPartials(files, { html: templateOf("<p>{% include 'b' %}</p>") });
  assert.deepEqual(piecesOf(campaign), ['static', 'column', 'static']);
  assert.equal(printHtml(campaign), '<p><i>Ann</i></p>');
});

test('a place inside of a partial is told in the file of the partial', () => {
  const table: readonly (readonly [source: string, code: string, where: string])[] = [
    ['x\n {{ nme }}', 'ERR_TEMPLATE_UNKNOWN_VARIABLE', 'mail/p:2:5'],
    ['x\n {% foo %}', 'ERR_TEMPLATE_SYNTAX', 'mail/p:2:2'],
    ['x\n<script>{{ name }}', 'ERR_TEMPLATE_PLACE', 'mail/p:2:9'],
    ['x\n<a href="javascript:x">', 'ERR_TEMPLATE_LINK', 'mail/p:2:10'],
    ['x\n{{ name | raw }}', 'ERR_TEMPLATE_RAW', 'mail/p:2:1'],
    ["x\n{{ name | money: 'euro' }}", 'ERR_TEMPLATE_FILTER', 'mail/p:2:1'],
  ];
  for (const [source, code, where] of table) {
    const error = refusal(withPartials({ p: source }, { html: templateOf("<p>{% render 'p' %}</p>") }));
    assert.deepEqual([error.code, error.where], [code, where], source);
  }
  const missing = withPartials({ p: 'x\n{{ name | upcase }}' }, { html: templateOf("{% render 'p' %}") });
  assert.equal(
    printHtml(missing, ['']),
    'invalid: column "name" is blank, and the HTML part prints it without a default (mail/p:2:1)',
  );
});

test('a partial stands where it is included: its values are judged there', () => {
  const files = { v: '{{ url }}', open: '<a href="', script: '<script>' };
  const link = withPartials(files, { html: templateOf("{% render 'v' %}<a href=\"{% render 'v' %}\">") });
  assert.match(printHtml(link, ['', '', 'javascript:x']), /^invalid: "url" begins a link/);
  const half = withPartials(files, { html: templateOf("{% include 'open' %}{{ url }}\">") });
  assert.match(printHtml(half, ['', '', 'javascript:x']), /^invalid: "url" begins a link/);
  assert.equal(
    refusal(withPartials(files, { html: templateOf("{% include 'script' %}{{ url }}") })).code,
    'ERR_TEMPLATE_PLACE',
  );
});

test('partials with dynamic names, unknown ones and circles are refused with their place', () => {
  const files = { a: "{% render 'b' %}", b: "x\n{% include 'a' %}" };
  for (const [source, message] of [
    ['{% render name %}', /made of values|illegal/],
    ['{% include name %}', /made of values/],
    ["{% render 'x{{ name }}' %}", /made of values/],
    ['{% layout name %}', /made of values/],
    ["{% render 'nobody' %}", /"nobody" is no file that was read/],
    ["{% render 'toString' %}", /"toString" is no file that was read/],
    ["{% render '../a' %}", /is no file that was read/],
    ["{% render '/etc/passwd' %}", /is no file that was read/],
    ["{% render 'a' %}", /in a circle: a, b, a/],
    ["{% if name %}{% layout 'a' %}{% endif %}", /"endif" not found/],
  ] as const)
    for (const campaign of [{ html: templateOf(source) }, { text: templateOf(source) }]) {
      const error = refusal(withPartials(files, campaign));
      assert.match(`${error.code}: ${error.message}`, message, source);
      assert.match(error.where ?? '', /^(?:template\.txt|mail\/\w):\d+:\d+$/, source);
    }
});

test('data is used like columns, and its names must not be columns', () => {
  const data = { shop: { name: 'Ann & Co', open: true }, year: 2026 };
  assert.equal(
    printHtml({ data, html: templateOf('{{ shop.name }} {{ year }}{% if shop.open %} open{% endif %}') }),
    'Ann &amp; Co 2026 open',
  );
  assert.deepEqual(piecesOf({ data, html: templateOf('{{ shop.name }} {{ year }} {{ "x" }}') }), ['static']);
  assert.equal(printHtml({ data: { day: 'now' }, html: templateOf("{{ day | date: '%Y' }}") }), '2026');
  const blank = refusal({ data, html: templateOf('\n{{ shop.city }}') });
  assert.deepEqual([blank.code, blank.where], ['ERR_TEMPLATE_DATA', 'template.txt:2:1']);
  assert.equal(refusal({ data: { url: 'x' }, text: templateOf('x') }).code, 'ERR_CAMPAIGN_DATA');
  assert.equal(
    refusal({ data, text: templateOf('{{ yaer }}') }).hint?.startsWith('Did you mean "year"?'),
    true,
  );
});

test('a preheader stands hidden right behind the body tag, escaped, and not in the text', () => {
  const preheader = templateOf('For {{ name }}');
  const html = templateOf('<!--[if mso]><body class="x"><![endif]-->\n<body style="a>b"><p>Hi</p></body>');
  const printed = printHtml({ preheader, html }, ['<Ann>']);
  assert.match(
    printed,
    /<body style="a>b"><div style="display:none[^"]*">For &lt;Ann&gt;(?:&#847;&zwnj;&nbsp;)+<\/div><p>Hi<\/p>/,
  );
  assert.match(
    printHtml({ preheader, html: templateOf('<p>Hi</p>') }),
    /^<div style="[^"]*">For Ann.*<\/div><p>Hi<\/p>$/,
  );
  assert.equal(printHtml({ preheader, text: templateOf('Hi') }), 'Hi');
  const assigning = templateOf('{% assign x = name %}<body>{{ x }}');
  assert.match(printHtml({ preheader, html: assigning }), /^<body><div .*>For Ann.*<\/div>Ann$/);
  const inLayout = withPartials({ base: '<body>{% block a %}{% endblock %}' }, { preheader });
  assert.match(
    printHtml({ ...inLayout, html: templateOf("{% layout 'base' %}{% block a %}x{% endblock %}") }),
    /^<body><div .*>For Ann.*<\/div>x$/,
  );
  assert.match(
    printHtml({ preheader, html }, ['']),
    /^invalid: column "name" is blank, and the preheader prints it/,
  );
  const wrong = refusal({ preheader: { file: 'c.yaml', line: 7, source: '{{ nme }}' }, html });
  assert.deepEqual([wrong.code, wrong.where], ['ERR_TEMPLATE_UNKNOWN_VARIABLE', 'c.yaml:7:4']);
});

const variants = [
  { name: 'a', share: 1, subject: templateOf('A for {{ name }}') },
  { name: 'b', share: 3, text: templateOf('B') },
];

test('a row gets one variant, and what the variant does not say is the campaign’s', () => {
  const plan = planOf(columns, { variants, subject: templateOf('Both'), text: templateOf('Hi') });
  const choose = makeVariantChooser(plan.campaign.name, variants);
  const composer = compileCampaign(plan);
  for (let row = 1; row <= 200; row += 1) {
    const message = messageOf(composer.compose({ ...recipientOf(['Ann']), row }, at));
    const [subject, body] = choose(row) === 0 ? ['A for Ann', 'Hi'] : ['Both', 'B'];
    assert.match(message, new RegExp(`^Subject: ${subject}\\r$`, 'm'));
    assert.equal(bodyOf(message).trimEnd(), body);
    assert.deepEqual(compileCampaign(plan).compose({ ...recipientOf(['Ann']), row }, at).kind, 'message');
  }
});

test('every variant is checked before sending', () => {
  const wrong = [...variants, { name: 'c', share: 1, html: templateOf('{{ nobody }}') }];
  assert.equal(refusal({ variants: wrong, text: templateOf('x') }).code, 'ERR_TEMPLATE_UNKNOWN_VARIABLE');
});
