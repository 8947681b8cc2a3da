// Filters, missing values and limits: what a template may ask for, and what it costs a row if it cannot be had.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosthasteError } from '../../src/base/error.ts';
import { checkTemplates, compileCampaign } from '../../src/compose/compose.ts';
import type { Campaign } from '../../src/mail/campaign.ts';
import type { Cell } from '../../src/mail/recipient.ts';
import { at, bodyOf, composeOne, planOf, recipientOf, templateOf } from './campaigns.ts';

const columns = ['a', 'b', 'first name'];

function print(text: string, cells: readonly Cell[], more: Partial<Campaign> = {}): string {
  const composed = composeOne(planOf(columns, { text: templateOf(text), ...more }), recipientOf(cells));
  return composed.kind === 'invalid' ? `invalid: ${composed.reason}` : bodyOf(composed.message).trimEnd();
}

test('money is written as the locale has it, and keeps every digit of numeric text', () => {
  assert.equal(print("{{ a | money: 'EUR' }}", ['1234.5']), '€1,234.50');
  assert.equal(print("{{ a | money: 'EUR' }}", [1234.5], { locale: 'de' }), '1.234,50\u00a0€');
  assert.equal(print("{{ a | money: 'JPY' }}", [' 1234 ']), '¥1,234');
  assert.equal(
    print("{{ a | money: 'USD' }}", ['12345678901234567890.12']),
    '$12,345,678,901,234,567,890.12',
  );
  assert.equal(print('{{ a | money: b }}', ['1', 'CHF'], { locale: 'de-CH' }), 'CHF\u00a01.00');
  assert.equal(print("{{ a | money: 'EUR' | default: 'free' }}", ['']), 'free');
});

test('numbers, plurals and lists follow the locale', () => {
  assert.equal(
    print('{{ a | number }} {{ a | number: 1 }}', ['1234.56'], { locale: 'fr' }),
    '1\u202f234,56 1\u202f234,6',
  );
  assert.equal(print("{{ a }} {{ a | plural: 'item', 'items' }}", ['1']), '1 item');
  assert.equal(print("{{ a }} {{ a | plural: 'item', 'items' }}", [2]), '2 items');
  const polish = "{{ a | plural: one: 'plik', few: 'pliki', many: 'plików', other: 'pliku' }}";
  assert.deepEqual(
    ['1', '3', '5', '1.5'].map((count) => print(polish, [count], { locale: 'pl' })),
    ['plik', 'pliki', 'plików', 'pliku'],
  );
  assert.equal(print('{{ a | list }}', [['Ann', 'Ben', 'Cho']]), 'Ann, Ben, and Cho');
  assert.equal(print('https://x/?q={{ a | url_encode }}', ['a&b c=ü']), 'https://x/?q=a%26b+c%3D%C3%BC');
});

test('what is not numeric fails its row with what was expected', () => {
  for (const value of ['12 €', '1,5', '1e5', 'NaN', '0x10', '--1', [1], { x: 1 }, true])
    for (const filter of ["money: 'EUR'", 'number', "plural: 'a', 'b'"])
      assert.match(
        print(`{{ a | ${filter} }}`, [value]),
        /^invalid: .* is not a number; expected digits .*\(template\.txt:1:1\)$/,
      );
});

test('a date is read and written in the campaign’s timezone and locale', () => {
  const berlin = { timezone: 'Europe/Berlin', locale: 'de' };
  const newYork = { timezone: 'America/New_York' };
  const format = "{{ a | date: '%Y-%m-%d %H:%M' }}";
  assert.equal(print(format, ['2026-09-01'], newYork), '2026-09-01 00:00', 'a day is that day everywhere');
  assert.equal(print(format, ['2026-09-01T09:30'], berlin), '2026-09-01 09:30');
  assert.equal(print(format, ['2026-09-01T09:30:00Z'], berlin), '2026-09-01 11:30');
  assert.equal(print(format, ['2026-12-01 09:30+05:30'], berlin), '2026-12-01 05:00');
  assert.equal(print(format, ['Tue, 01 Sep 2026 09:30:00 -0200']), '2026-09-01 11:30');
  assert.equal(print(format, [1788255000]), '2026-09-01 09:30');
  assert.equal(print(format, ['now']), '2026-09-01 09:30', 'now is when the message is composed');
  assert.equal(print("{{ a | date: '%-d. %B %Y' }}", ['2026-03-05'], berlin), '5. März 2026');
  assert.equal(print("{{ a | date: '%Y' | default: 'never' }}", [null]), 'never');
});

test('a date that cannot be read fails its row instead of being guessed', () => {
  for (const value of [
    '01.02.2026',
    '1/2/2026',
    'foo 1',
    '2026-02-30',
    '2026-13-01',
    '2026-01-01T25:00',
    true,
    [1],
  ])
    assert.match(
      print("{{ a | date: '%Y' }}", [value]),
      /^invalid: .* is not a date; expected one such as 2026-09-01 .*\(template\.txt:1:1\)$/,
      JSON.stringify(value),
    );
});

test('filters that would fail for everybody are refused before sending', () => {
  for (const source of [
    '{{ a | money }}',
    "{{ a | money: 'euro' }}",
    "{{ a | plural: 'x' }}",
    "{{ a | plural: one: 'x' }}",
    "{{ a | plural: 'x', other: 'y' }}",
    "{{ a | plural: odd: 'x', other: 'y' }}",
    '{% cycle a | upcase, b %}',
  ])
    assert.throws(
      () => checkTemplates(planOf([], { text: templateOf(source) }).campaign, columns),
      (thrown) => thrown instanceof PosthasteError && thrown.code === 'ERR_TEMPLATE_FILTER',
      source,
    );
  assert.throws(
    () => checkTemplates(planOf([], { text: templateOf('{{ a | sample }}') }).campaign, columns),
    /undefined filter: sample/,
  );
});

function reason(name: string, part: string, column = 5): string {
  return `invalid: column "${name}" is blank, and ${part} prints it without a default (template.txt:2:${column})`;
}

test('a missing value that is printed fails its row, and the reason names column, part and place', () => {
  for (const blank of ['', ' ', '\t\n', null, []])
    for (const tail of ['', ' | upcase', ' | append: "x"', '{% assign x = 1 %}'])
      assert.equal(
        print(`Hi\nDear{{ a${tail.startsWith(' |') ? tail : ''} }}${tail.startsWith('{') ? tail : ''}`, [
          blank,
        ]),
        reason('a', 'the text part'),
      );
  assert.equal(print('Hi\nDear{{ a.city }}', [{}]), reason('a.city', 'the text part'));
  assert.equal(print('Hi\nDear{{ a.b.c }}', [{ b: {} }]), reason('a.b.c', 'the text part'));
  assert.equal(print('Hi\nDear{{ "x" | append: a }}', ['']), reason('a', 'the text part'));
  assert.equal(print('Hi\nDear{{ a | default: b }}', ['', '']), reason('b', 'the text part'));
  assert.equal(print('Hi\nDear{% echo a %}', ['']), reason('a', 'the text part'));
  assert.equal(print('Hi\nDear{{ first_name }}', ['', '', '']), reason('first_name', 'the text part'));
  assert.equal(print('x', [''], { html: templateOf('Hi\n<b>{{ a }}</b>') }), reason('a', 'the HTML part', 4));
  assert.match(print('x', [''], { subject: templateOf('{{ a }}') }), /is blank, and the subject prints it/);
  assert.match(print('{% cycle a, b %}', ['', '']), /^invalid: .*cycle.* blank/);
});

test('a missing value may be asked about, and an explicit default may be nothing', () => {
  for (const [source, cells, printed] of [
    ['[{% if a %}{{ a }}{% endif %}]', [null], '[]'],
    ['[{% if a != blank %}{{ a }}{% endif %}]', [' '], '[]'],
    ["[{{ a | default: '' }}]", [''], '[]'],
    ["[{{ a | default: 'x' }}]", ['  '], '[x]'],
    ["[{{ a | upcase | default: 'x' }}]", [''], '[x]'],
    ["[{{ a.b | default: 'x' }}]", [{}], '[x]'],
    ['[{% for i in a %}{{ i }}{% endfor %}]', [[]], '[]'],
    ['[{{ a }}{{ b }}]', [0, false], '[0false]'],
    ["[{{ b | default: 'x' }}{{ b | default: 'x', allow_false: true }}]", ['', false], '[xfalse]'],
  ] as const)
    assert.equal(print(source, cells), printed, source);
});

test('a nested loop without end fails its row soon, on every machine alike, and no other row', () => {
  const loops =
    '{% for i in (1..a) %}{% for j in (1..a) %}{% for k in (1..a) %}x{% endfor %}{% endfor %}{% endfor %}';
  const composer = compileCampaign(planOf(columns, { text: templateOf(loops) }));
  const startedAt = performance.now();
  const composed = composer.compose(recipientOf([1000]), at);
  assert.ok(performance.now() - startedAt < 3000);
  assert.deepEqual(composed, {
    kind: 'invalid',
    reason: 'the template takes more than 100000 steps (template.txt:1:43)',
  });
  assert.equal(composer.compose(recipientOf([10]), at).kind, 'message');
});

test('a text that would fill the memory fails its row', () => {
  const long = 'x'.repeat(100_000);
  for (const source of [
    '{% for i in (1..9999) %}{{ a }}{% endfor %}',
    `{% for i in (1..9999) %}${long}{% endfor %}`,
  ])
    assert.match(print(source, [long]), /^invalid: (?:memory alloc limit exceeded|the text is longer than)/);
});

test('escape in HTML escapes once', () => {
  const html = templateOf('{{ a | escape }}{{ a | xml_escape }}{{ a | escape | newline_to_br }}');
  const composed = composeOne(planOf(columns, { html }), recipientOf(['<']));
  assert.equal(composed.kind === 'message' && bodyOf(composed.message).trimEnd(), '&lt;&lt;&lt;');
});

test('filters that evaluate an expression for each element are not there: nothing would bound them', () => {
  for (const filter of ['where_exp', 'reject_exp', 'group_by_exp', 'find_exp', 'find_index_exp', 'has_exp']) {
    const text = templateOf(`{{ list | ${filter}: "i", "i contains i" | size }}`);
    assert.throws(() => composeOne(planOf(['list'], { text }), recipientOf([['a']])), /undefined filter/);
  }
});
