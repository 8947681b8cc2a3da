// Bodies before they are sent: MJML and CSS by their packages, text of HTML, and what is said where a package is missing.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import PostalMime from 'postal-mime';
import { PosthasteError } from '../../src/base/error.ts';
import { checkTemplates, compileCampaign } from '../../src/compose/compose.ts';
import { findInstalled, type PackageFinder } from '../../src/compose/optional_package.ts';
import { prepareCampaign } from '../../src/compose/prepare.ts';
import type { BodyWork, Campaign, TemplateSource, Variant } from '../../src/mail/campaign.ts';
import { at, composeOne, messageOf, planOf, recipientOf } from './campaigns.ts';

const nothing: BodyWork = { makesText: false, inlinesCss: false };

function campaignOf(html: string, work: Partial<BodyWork>, file = 'spring.html'): Campaign {
  const bodyWork = { ...nothing, ...work };
  return planOf([], { html: { file, line: 1, source: html }, bodyWork }).campaign;
}

async function inline(html: string): Promise<string | undefined> {
  return (await prepareCampaign(campaignOf(html, { inlinesCss: true }))).html?.source;
}

const missing: PackageFinder = (name) => {
  throw new Error(`Cannot find module ${name}`);
};

async function errorOf(promise: Promise<unknown>): Promise<PosthasteError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof PosthasteError, String(error));
    return error;
  }
  return assert.fail('nothing was thrown');
}

test('an HTML campaign gets a text part in which merge fields are plain', async () => {
  const campaign = await prepareCampaign(campaignOf('<p>Dear {{ name }},</p><p>hi</p>', { makesText: true }));
  const plan = { id: 1, campaign, columns: ['name'] };
  const { text, html } = await PostalMime.parse(messageOf(composeOne(plan, recipientOf(['<Ann> & Co']))));
  assert.equal(text?.trim(), 'Dear <Ann> & Co,\n\nhi');
  assert.equal(html?.trim(), '<p>Dear &lt;Ann&gt; &amp; Co,</p><p>hi</p>');
});

test('a campaign without body work is left alone', async () => {
  const { campaign } = planOf([], {});
  assert.equal(await prepareCampaign(campaign, missing), campaign);
});

test('a mistake in HTML that is converted is told where it was written', async () => {
  const campaign = await prepareCampaign(
    campaignOf('<p>\n{{ nmae }}</p>', { makesText: true, inlinesCss: true }),
  );
  assert.throws(
    () => checkTemplates(campaign, ['name']),
    (error) => error instanceof PosthasteError && error.where === 'spring.html:2:4',
  );
});

const css: readonly (readonly [what: string, html: string, inlined: string])[] = [
  [
    'rules become attributes, media queries and hovering stay',
    '<style>p { color: red } a:hover { x: y } @media (max-width: 9px) { p { x: z } }</style><p>t</p>',
    '<style>@media (max-width: 9px) { p { x: z } }\na:hover { x: y; }</style><p style="color: red;">t</p>',
  ],
  [
    'a style sheet of which nothing is left goes',
    '<style>p { color: red }</style><p>t</p>',
    '<p style="color: red;">t</p>',
  ],
  [
    'Liquid in text, tags, branches and tables stays where it is',
    '<style>td { x: y }</style><table>{% for i in l %}<tr><td {{ a }} title="{{ t | default: "<td>" }}">{{ i }}</td></tr>{% endfor %}</table>{% if a %}<div>{% else %}<div id=b>{% endif %}</div>',
    '<table>{% for i in l %}<tr><td style="x: y;" {{ a }} title="{{ t | default: "<td>" }}">{{ i }}</td></tr>{% endfor %}</table>{% if a %}<div>{% else %}<div id=b>{% endif %}</div>',
  ],
  [
    'addresses in styles keep their ampersands',
    '<style>p { x: y }</style><p style="background: url(i?a=1&amp;copy=2)">t</p>',
    '<p style="x: y;background: url(i?a=1&amp;copy=2)">t</p>',
  ],
  [
    'what Liquid prints in a rule is printed in the attribute',
    '<style>p { color: {{ c | default: "a & b" }} }</style><p>t</p>',
    '<p style="color: {{ c | default: "a & b" }};">t</p>',
  ],
  [
    'a style that Liquid makes keeps the last word',
    "<style>p { color: red }</style><p style='{% if a %}color: {{ c }}{% endif %}'>t</p>",
    "<p style='color: red; {% if a %}color: {{ c }}{% endif %}'>t</p>",
  ],
  [
    'a class that Liquid chooses is not chosen here, and its rules stay',
    '<style>.a { x: y } .b { x: z }</style><p class="a {% if v %}b{% endif %}">t</p><p {% if v %}class="b"{% endif %}>t</p>',
    '<style>.a { x: y } .b { x: z }</style><p style="x: y;" class="a {% if v %}b{% endif %}">t</p><p {% if v %}class="b"{% endif %}>t</p>',
  ],
  [
    'rules that Liquid chooses, and those for printing, stay',
    '<style>{% if a %}p { x: y }{% endif %}</style><style media="print">p { x: z }</style><p>t</p>',
    '<style>{% if a %}p { x: y }{% endif %}</style><style media="print">p { x: z }</style><p>t</p>',
  ],
  [
    'doctype, comments for Outlook, entities and unclosed elements stay as they are',
    '<!DOCTYPE html><!--[if mso]><p>{{ x }}</p><![endif]--><style>b { x: y }</style><p>&nbsp;<p title="&copy;">1 < 2<br>{{ "<b>" }}',
    '<!DOCTYPE html><!--[if mso]><p>{{ x }}</p><![endif]--><style>b { x: y; }</style><p>&nbsp;<p title="&copy;">1 < 2<br>{{ "<b>" }}',
  ],
];

for (const [what, html, inlined] of css) {
  test(`css: inline: ${what}`, async () => assert.equal(await inline(html), inlined));
}

test('css: inline changes nothing of a template but styles', async () => {
  const piece = fc.constantFrom(
    '<p>',
    '</p>',
    '<b class="a">',
    '</b>',
    '<table>',
    '<tr>',
    '<td>',
    '{% if a %}',
    '{% endif %}',
    '{{ a }}',
    'word',
    ' ',
    '<br/>',
    '<!-- c -->',
    '&lt;',
    '<',
    '>',
    "<p title='\"'>",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 15 }), async (pieces) => {
      const html = pieces.join('');
      const inlined = await inline(`<style>p, .a { x: y }</style>${html}`);
      assert.equal(
        (inlined ?? '').replace(/^<style>.*<\/style>/s, '').replaceAll(' style="x: y;"', ''),
        html,
      );
    }),
    { numRuns: 300 },
  );
});

test('css: inline is about the template itself: rules stay for the tags of partials, and partials as they are', async () => {
  const rule = '<style>p { x: y }</style>';
  assert.equal(
    await inline(`${rule}<p>t</p>{% render 'row.html' %}`),
    `${rule}<p style="x: y;">t</p>{% render 'row.html' %}`,
  );
  const partials = partialsOf({ 'row.html': `<p>r</p>${rule}` });
  const campaign = await prepareCampaign({
    ...campaignOf("<p>t</p>{% render 'row.html' %}", { inlinesCss: true }),
    partials,
  });
  assert.deepEqual(campaign.partials, partials);
  assert.equal(campaign.html?.source, "<p>t</p>{% render 'row.html' %}");
});

function partialsOf(files: Readonly<Record<string, string>>): Record<string, TemplateSource> {
  return Object.fromEntries(
    Object.entries(files).map(([name, source]) => [name, { file: `mail/${name}`, line: 1, source }]),
  );
}

const layouts = {
  'base.html':
    '<html><head><title>{{ name }}</title><style>p{}</style></head><body><div>Shop &amp; Co</div>' +
    "{% block content %}<p>none</p>{% endblock %}<div>{% include 'foot.html' %}</div></body></html>",
  'foot.html': '<a href="https://x.example/{{ name }}">bye</a>\n',
  'item.html': '<li><b>{{ item }}</b></li>',
  'note.html': '<p>a &lt; b</p>',
  'nested.html': "{% render 'note.html' %}",
};

const texts: readonly (readonly [what: string, html: string, text: string])[] = [
  [
    'a layout, its blocks and a partial in it',
    "{% layout 'base.html' %}{% block content %}<p>Dear {{ name }}</p>{% endblock %}",
    'Shop & Co\n\n\nDear <Ann>\n\n\nbye (https://x.example/<Ann>)',
  ],
  [
    'items that a partial makes',
    "<ul>{% render 'item.html' for items as item %}</ul>{% for one in items %}{% render 'item.html', item: one %}{% endfor %}end",
    '- 1\n- 2\n\n- 1\n- 2\nend',
  ],
  [
    'paragraphs of partials, one of them named by another',
    'x{% render \'nested.html\' %}{% include "note.html" %}y',
    'x\n\na < b\n\na < b\n\ny',
  ],
  [
    'a partial that is a part of a line',
    "Say {% render 'foot.html' %}now",
    'Say bye (https://x.example/<Ann>) now',
  ],
  [
    'what is HTML in the HTML part',
    '<p>{{ name | escape }} {{ body | raw }} {{ name | newline_to_br }}{% capture c %}<i>{{ name | upcase }}</i>{% endcapture %}',
    '<Ann> bold <Ann>',
  ],
];

for (const [what, html, text] of texts) {
  test(`made text has no markup of ${what}`, async () => {
    const campaign = await prepareCampaign({
      ...campaignOf(html, { makesText: true }),
      partials: partialsOf(layouts),
      trusted: ['body'],
      preheader: { file: 'c.yaml', line: 1, source: 'Before all' },
    });
    const plan = { id: 1, campaign, columns: ['name', 'items', 'body'] };
    const message = messageOf(composeOne(plan, recipientOf(['<Ann>', [1, 2], '<b>bold</b>'])));
    const read = await PostalMime.parse(message);
    assert.equal(read.text?.trim(), text);
    assert.match(read.html ?? '', /Before all/);
  });
}

test('a mistake in HTML of which only text is made is told in the HTML, and one in a partial in the partial', async () => {
  const makesText = { makesText: true };
  const own = await prepareCampaign(campaignOf('<p>\n{{ nmae }}</p>', makesText));
  const partials = partialsOf({ 'a.html': '<p>\n{{ nmae }}' });
  const inner = await prepareCampaign({ ...campaignOf("{% render 'a.html' %}", makesText), partials });
  for (const [campaign, where] of [
    [own, 'spring.html:2:4'],
    [inner, 'mail/a.html:2:4'],
  ] as const)
    assert.throws(
      () => checkTemplates(campaign, ['name']),
      (error) => error instanceof PosthasteError && error.where === where,
    );
});

test('every variant’s HTML is prepared, and its text is its own', async () => {
  const html = { file: 'v.html', line: 1, source: '<style>p { x: y }</style><p>Own {{ name }}</p>' };
  const bodyWork = { makesText: true, inlinesCss: true };
  const variants: Variant[] = [
    { name: 'own', share: 1, html, bodyWork },
    { name: 'same', share: 1 },
    { name: 'bare', share: 1, leavesOutText: true },
  ];
  const campaign = await prepareCampaign({ ...campaignOf('<p>All {{ name }}</p>', bodyWork), variants });
  const composer = compileCampaign({ id: 1, campaign, columns: ['name'] });
  const seen = new Set<string>();
  for (let row = 1; row <= 30; row++) {
    const message = messageOf(composer.compose({ ...recipientOf(['Ann']), row }, at));
    const { text, html: shown } = await PostalMime.parse(message);
    seen.add(`${/^Content-Type: text\/plain/m.test(message) ? text?.trim() : 'none'} | ${shown?.trim()}`);
  }
  assert.deepEqual([...seen].sort(), [
    'All Ann | <p>All Ann</p>',
    'Own Ann | <p style="x: y;">Own Ann</p>',
    'none | <p>All Ann</p>',
  ]);
});

test('a mistake in a variant’s HTML that is converted is told where it was written', async () => {
  const html = { file: 'v.html', line: 1, source: '<style>p { x: y }</style>\n<p>{{ nmae }}</p>' };
  const variants = [{ name: 'a', share: 1, html, bodyWork: { makesText: false, inlinesCss: true } }];
  const campaign = await prepareCampaign({ ...campaignOf('<p>', {}), bodyWork: undefined, variants });
  assert.throws(
    () => checkTemplates(campaign, ['name']),
    (error) => error instanceof PosthasteError && error.where === 'v.html:2:7',
  );
});

test('a package that is missing is named with the command that brings it', async () => {
  const error = await errorOf(prepareCampaign(campaignOf('<p>', { inlinesCss: true }), missing));
  assert.deepEqual([error.code, error.exitCode], ['ERR_PACKAGE_MISSING', 78]);
  assert.match(error.hint ?? '', /npm install @css-inline\/css-inline/);
  const mjml = { path: 'a.mjml', includes: [] };
  const other = await errorOf(prepareCampaign(campaignOf('<mjml>', { mjml }), missing));
  assert.deepEqual([other.code, other.exitCode], ['ERR_PACKAGE_MISSING', 78]);
  assert.match(other.hint ?? '', /npm install mjml/);
});

test('text is made without any package', async () => {
  const campaign = await prepareCampaign(campaignOf('<p>Hi', { makesText: true }), missing);
  assert.equal(campaign.text?.source, 'Hi\n');
});

/** A package of this name whose module is `code`, in a folder of its own. */
function installFake(context: TestContext, name: string, code: string): PackageFinder {
  const folder = mkdtempSync(join(tmpdir(), 'posthaste-package-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'node_modules', name), { recursive: true });
  writeFileSync(join(folder, 'node_modules', name, 'index.js'), code);
  return (wanted) => createRequire(join(folder, 'campaign.js')).resolve(wanted);
}

const mjml = { path: 'mails/a.mjml', includes: [{ path: 'parts/b.mjml', source: '<b>{{ b }}</b>' }] };
const template = '<mjml>\n{{ a }}\n{% if a %}x{% endif %}</mjml>';

test('MJML gets copies without Liquid in a folder of their own, and Liquid comes back', async (t) => {
  const find = installFake(
    t,
    'mjml',
    `const { readFileSync } = require('node:fs'); const { join, dirname } = require('node:path');
     module.exports = async (input, options) => ({ errors: [], html: '<html>' + input + readFileSync(options.filePath, 'utf8').length
       + readFileSync(join(dirname(options.filePath), '../parts/b.mjml'), 'utf8') + /[{%]/.test(input) + options.includePath });`,
  );
  const campaign = await prepareCampaign(
    campaignOf(template, { mjml, makesText: true }, 'c/mails/a.mjml'),
    find,
  );
  const html = campaign.html?.source ?? '';
  assert.match(
    html,
    /^<html><mjml>\n\{\{ a \}\}\n\{% if a %\}x\{% endif %\}<\/mjml>\d+<b>\{\{ b \}\}<\/b>false/,
  );
  assert.deepEqual(
    campaign.originals?.map(({ file }) => file),
    ['c/mails/a.mjml'],
  );
  assert.match(campaign.text?.source ?? '', /\{\{ a \}\} \{% if a %\}x\{% endif %\}/);
  const folder = /false(.*)$/.exec(html)?.[1] ?? '';
  assert.throws(() => mkdirSync(join(folder, 'x')), { code: 'ENOENT' }, 'the folder is gone');
});

test('MJML keeps the names of partials, which are HTML and become text', async (t) => {
  const find = installFake(t, 'mjml', `module.exports = async (html) => ({ html, errors: [] });`);
  const campaign = await prepareCampaign(
    {
      ...campaignOf(
        "<mj-text>{% render 'note.html' %}</mj-text>",
        { mjml: { path: 'a.mjml', includes: [] }, makesText: true },
        'a.mjml',
      ),
      partials: partialsOf(layouts),
    },
    find,
  );
  assert.equal(campaign.html?.source, "<mj-text>{% render 'note.html' %}</mj-text>");
  const { text, html } = await PostalMime.parse(
    messageOf(composeOne({ id: 1, campaign, columns: [] }, recipientOf([]))),
  );
  assert.deepEqual([text?.trim(), html?.trim()], ['a < b', '<mj-text><p>a &lt; b</p></mj-text>']);
});

test('what MJML complains of is told with file and line', async (t) => {
  const find = installFake(
    t,
    'mjml',
    `module.exports = async (input, { filePath, includePath }) => ({ html: input, errors: [
      { line: 3, message: "Attribute bad is illegal", tagName: 'mj-image', formattedMessage: 'Line 3 of ' + includePath + '/' + (input.includes('own') ? 'mails/a' : 'parts/b') + '.mjml (mj-image) — Attribute bad is illegal' }] });`,
  );
  for (const [source, where] of [
    ['<mjml>own', 'c/mails/a.mjml:3'],
    ['<mjml>', 'parts/b.mjml:3'],
  ] as const) {
    const error = await errorOf(prepareCampaign(campaignOf(source, { mjml }, 'c/mails/a.mjml'), find));
    assert.deepEqual([error.code, error.where, error.exitCode], ['ERR_MJML', where, 65]);
    assert.match(error.message, /mj-image: Attribute bad is illegal/);
  }
});

test('Liquid that MJML drops is an error, and not a message without it', async (t) => {
  const find = installFake(t, 'mjml', `module.exports = async () => ({ html: '<p>', errors: [] });`);
  const error = await errorOf(prepareCampaign(campaignOf(template, { mjml }, 'c/mails/a.mjml'), find));
  assert.deepEqual([error.code, error.where], ['ERR_MJML', 'c/mails/a.mjml:2']);
  assert.match(error.message, /mj-raw/);
});

test('a package that is not what its name says is an error of ours', async (t) => {
  for (const code of ['module.exports = {};', 'module.exports = () => 1;', 'throw new Error("no")']) {
    const find = installFake(t, 'mjml', code);
    const error = await errorOf(prepareCampaign(campaignOf('<mjml>', { mjml }, 'a.mjml'), find));
    assert.deepEqual([error.code, error.exitCode], ['ERR_PACKAGE_BROKEN', 78], code);
  }
});

test('the real MJML keeps Liquid in components, and includes files', { skip: whyNoMjml() }, async () => {
  const source =
    '<mjml><mj-body><mj-include path="../parts/b.mjml"/><mj-section><mj-column><mj-text>Hi {{ name | default: "x" }}</mj-text>' +
    '<mj-raw>{% for i in list %}</mj-raw><mj-button href="{{ link }}?a=1">Go</mj-button><mj-raw>{% endfor %}</mj-raw>' +
    '</mj-column></mj-section></mj-body></mjml>';
  const included = '<mj-section><mj-column><mj-text>{{ city }}</mj-text></mj-column></mj-section>';
  const files = { path: 'mails/a.mjml', includes: [{ path: 'parts/b.mjml', source: included }] };
  const work = { mjml: files, makesText: true, inlinesCss: true };
  const { html, text } = await prepareCampaign(campaignOf(source, work, 'mails/a.mjml'));
  for (const liquid of [
    '{{ name | default: "x" }}',
    '{% for i in list %}',
    'href="{{ link }}?a=1"',
    '{{ city }}',
  ])
    assert.ok(html?.source.includes(liquid), liquid);
  assert.equal(
    text?.source.trim().replace(/\s+/g, ' '),
    '{{ city }} Hi {{ name | default: "x" }} {% for i in list %}Go ({{ link }}?a=1) {% endfor %}',
  );
  const bad = campaignOf(source.replace('mj-button', 'mj-butto'), { mjml: files }, 'mails/a.mjml');
  const error = await errorOf(prepareCampaign(bad));
  assert.deepEqual([error.code, error.where], ['ERR_MJML', 'mails/a.mjml:1']);
  const dropped = campaignOf(
    source.replace('<mj-raw>{% for i in list %}</mj-raw>', '{% for i in list %}'),
    { mjml: files },
    'mails/a.mjml',
  );
  assert.match((await errorOf(prepareCampaign(dropped))).message, /mj-raw/);
});

function whyNoMjml(): string | false {
  try {
    return findInstalled('mjml') === '' ? 'no path' : false;
  } catch {
    return 'mjml is not installed: npm install --no-save mjml';
  }
}
