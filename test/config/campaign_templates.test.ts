// What a campaign file says of its templates: partials read at load time, data, variants, and what is refused.
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadCampaign } from '../../src/config/load_campaign.ts';
import { findPartials } from '../../src/config/partials.ts';
import { errorOf, linesOf, makeFolder } from './problems.ts';

const head = 'from: Shop <hello@example.com>\nsubject: Hi\n';

type Files = Readonly<Record<string, string>>;

function load(test: TestContext, text: string, files: Files = {}) {
  return loadCampaign(join(makeFolder(test, { 'spring.yaml': text, ...files }), 'spring.yaml'));
}

function refuse(test: TestContext, text: string, files: Files = {}): string[] {
  const folder = makeFolder(test, { 'c/spring.yaml': text, ...files });
  symlinkSync(join(folder, 'secret'), join(folder, 'c/link'));
  return linesOf(
    errorOf(() => loadCampaign(join(folder, 'c/spring.yaml'))),
    `${folder}/c`,
  );
}

test('partials are read with the campaign, by the names that templates use, and theirs too', (t) => {
  const text = `${head}text: "{% render 'a.txt' %}"\nhtml: { file: h.html }\nvariants: [{ name: x, share: 1, subject: "{% include 's' %}" }]\n`;
  const files = {
    'h.html': "{% layout 'mail/base.html' %}",
    'a.txt': '\n{%- render "mail/b" -%}{% comment %}{% render "nobody" %}{% endcomment %}',
    'mail/base.html':
      "{% raw %}{% render 'nobody' %}{% endraw %}{% liquid\n  assign x = 1\n  render 'mail/b', y: x\n%}",
    'mail/b': "{% render 'a.txt' %}",
    s: 'S',
  };
  const { partials = {} } = load(t, text, files).campaign;
  assert.deepEqual(Object.keys(partials).sort(), ['a.txt', 'mail/b', 'mail/base.html', 's']);
  assert.equal(partials['s']?.source, 'S');
  assert.match(partials['mail/b']?.file ?? '', /mail\/b$/);
});

test('a partial is found wherever Liquid would read it, with its place', () => {
  assert.deepEqual(findPartials('x\n  {%-   render\n "a" -%}{{ "{% render \'b\' %}" }}'), [
    { name: 'a', line: 2, column: 3 },
    { name: 'b', line: 3, column: 13 },
  ]);
  assert.deepEqual(findPartials('{% render name %}{% rendered "a" %}{% if "render" %}'), []);
});

test('a partial outside of the campaign’s folder is refused, with the place that names it', (t) => {
  const names = ['../secret', '/etc/passwd', 'link', 'a/../../secret', './a', 'nobody', 'x{{ y }}', 'dir'];
  const text = `${head}html: { file: h.html }\n`;
  const html = `\n${names.map((name) => `{% render '${name}' %}`).join('\n')}`;
  const lines = refuse(t, text, { 'c/h.html': html, secret: 'x', 'c/a': 'x', 'c/dir/x': 'x' });
  assert.deepEqual(
    lines.map((line) => line.replace(/; expected .*/, '')),
    [
      'h.html:2:1: the partial "../secret" cannot be read',
      'h.html:3:1: the partial "/etc/passwd" cannot be read',
      'h.html:4:1: the partial "link" leads out of the campaign\'s folder',
      'h.html:5:1: the partial "a/../../secret" leads out of the campaign\'s folder',
      'h.html:6:1: the partial "./a" cannot be read',
      'h.html:7:1: the partial "nobody" cannot be read: it does not exist',
      'h.html:8:1: the partial "x{{ y }}" cannot be read',
      'h.html:9:1: the partial "dir" is not a regular file',
    ],
  );
});

test('data, locale, timezone, trusted columns, preheader and variants become the campaign’s', (t) => {
  const { campaign } = load(
    t,
    `${head}html: <p>\npreheader: |\n  Now\nlocale: pt-BR\ntimezone: Europe/Berlin\ntrusted: [body]\n` +
      'data: { shop: { name: Ann, open: true }, list: [1, null] }\n' +
      'variants:\n  - { name: a, share: 1 }\n  - name: b\n    share: 2.5\n    text: |\n      Hi\n',
  );
  assert.equal(campaign.preheader?.source, 'Now');
  assert.deepEqual(campaign.data, { shop: { name: 'Ann', open: true }, list: [1, null] });
  assert.deepEqual(
    [campaign.locale, campaign.timezone, campaign.trusted],
    ['pt-BR', 'Europe/Berlin', ['body']],
  );
  assert.deepEqual(
    campaign.variants?.map(({ name, share, text }) => [name, share, text?.source, text?.line]),
    [
      ['a', 1, undefined, undefined],
      ['b', 2.5, 'Hi\n', 15],
    ],
  );
});

test('wrong keys for templates are told with their places', (t) => {
  const lines = refuse(
    t,
    `${head}text: x\nlocale: klingon_x\ntimezone: Mars/Olympus\npreheader: Now\ndata: { "a b": 1, empty: 2, x: .inf }\n` +
      'variants: [{ name: a, share: 0 }, { name: a b, share: 1 }, { nme: c, share: 1 }]\n',
  );
  for (const pattern of [
    /^spring\.yaml:4:9: locale cannot be used; expected a language tag/,
    /^spring\.yaml:5:11: timezone cannot be used; expected an IANA timezone/,
    /^spring\.yaml:7:9: a name in data cannot be used; expected a name that Liquid can read/,
    /^spring\.yaml:8:.*variants\[0\]\.share cannot be used; expected a number above 0/,
    /^spring\.yaml:8:.*variants\[1\]\.name cannot be used/,
    /^spring\.yaml:8:.*unknown key "nme" in variants\[2\]; did you mean "name"/,
  ])
    assert.ok(
      lines.some((line) => pattern.test(line)),
      `${String(pattern)}\n${lines.join('\n')}`,
    );
});

test('a preheader needs HTML, data needs JSON, and variants need different names and a body', (t) => {
  assert.deepEqual(
    refuse(
      t,
      `${head}text: x\npreheader: Now\ndata: { x: .inf }\nvariants: [{ name: a, share: 1 }, { name: a, share: 1 }]\n`,
    ),
    [
      'spring.yaml:4:12: preheader stands in the HTML part, and there is none; expected `html`, too',
      'spring.yaml:5:12: data.x cannot be used; expected text, finite numbers, true, false, null, lists and maps of these',
      'spring.yaml:6:43: variants[1].name is the name of a variant above, too',
    ],
  );
  assert.match(
    refuse(t, `${head}variants: [{ name: a, share: 1, text: x }, { name: b, share: 1 }]\n`)[0] ?? '',
    /text and html are both missing/,
  );
  assert.equal(load(t, `${head}variants: [{ name: a, share: 1, text: x }]\n`).campaign.variants?.length, 1);
});

test('the digest changes with whatever templates depend on', (t) => {
  const base = `${head}html: "{% render 'p' %}"\n`;
  const texts = [
    base,
    `${base}preheader: Now\n`,
    `${base}data: { a: 1 }\n`,
    `${base}data: { a: 2 }\n`,
    `${base}locale: de\n`,
    `${base}timezone: Europe/Berlin\n`,
    `${base}trusted: [a]\n`,
    ...[
      'share: 1',
      'share: 2',
      'share: 1, subject: x',
      'share: 1, text: x',
      'share: 1, html: x',
      'share: 1, preheader: x',
    ].map((keys) => `${base}variants: [{ name: a, ${keys} }]\n`),
  ];
  const digests = texts.map((text) => load(t, text, { p: 'x' }).digest);
  digests.push(load(t, base, { p: 'y' }).digest);
  assert.equal(new Set(digests).size, texts.length + 1);
  assert.equal(load(t, base, { p: 'x' }).digest, digests[0]);
});
