// Header fields of campaign and row: what they look like, and that hostile values stay what they are.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import PostalMime from 'postal-mime';
import { PosthasteError } from '../../src/base/error.ts';
import type { Composed } from '../../src/compose/compose.ts';
import type { Campaign } from '../../src/mail/campaign.ts';
import type { Cell } from '../../src/mail/recipient.ts';
import { skipUnlessInstalled } from '../peers/required.ts';
import {
  assertContract,
  composeOne,
  hostileText,
  messageOf,
  planOf,
  recipientOf,
  templateOf,
} from './campaigns.ts';
import { readWithPython } from './python_email.ts';

const columns = ['name', 'id'];

function compose(campaign: Partial<Campaign>, cells: readonly Cell[] = [], address?: string): Composed {
  return composeOne(planOf(columns, { text: templateOf('x'), ...campaign }), recipientOf(cells, address));
}

/** The fields of that name, as written. */
function fieldsOf(message: string, name: string): string[] {
  const header = message.slice(0, message.indexOf('\r\n\r\n'));
  return header
    .split(/\r\n(?![ \t])/)
    .filter((field) => field.toLowerCase().startsWith(`${name.toLowerCase()}:`));
}

function field(
  name: string,
  campaign: Partial<Campaign>,
  cells: readonly Cell[] = [],
  address?: string,
): string {
  const message = messageOf(compose(campaign, cells, address));
  return fieldsOf(message, name).join('\n');
}

const to = { to: templateOf('{{ name }}') };

const names: readonly (readonly [what: string, name: string, written: string])[] = [
  ['atoms', 'Ann Example', 'To: Ann Example <ann@example.net>'],
  ['nothing', '', 'To: ann@example.net'],
  ['blanks', ' \t\r\n ', 'To: ann@example.net'],
  ['a comma', 'Example, Ann', 'To: "Example, Ann" <ann@example.net>'],
  ['quotes and a backslash', 'Ann "A\\" E', 'To: "Ann \\"A\\\\\\" E" <ann@example.net>'],
  ['another address', '<evil@example.com>', 'To: "<evil@example.com>" <ann@example.net>'],
  ['letters beyond ASCII', 'Jörg Example', 'To: =?UTF-8?Q?J=C3=B6rg_Example?= <ann@example.net>'],
  ['an encoded-word look-alike', '=?utf-8?q?=41?=', 'To: =?UTF-8?B?PT91dGYtOD9xPz00MT89?= <ann@example.net>'],
  ['line breaks', 'Ann\r\nBcc: b@example.com', 'To: "Ann Bcc: b@example.com" <ann@example.net>'],
  ['a name for two lines', 'x'.repeat(70), `To: ${'x'.repeat(70)}\r\n <ann@example.net>`],
];

for (const [what, name, written] of names) {
  test(`a display name of ${what} is written so that it stays one`, () => {
    assert.equal(field('To', to, [name]), written);
  });
}

test('a name of a megabyte makes the row invalid', () => {
  assert.deepEqual(compose(to, ['x'.repeat(1_000_000)]), {
    kind: 'invalid',
    reason: 'the display name of To has 1000000 characters, at most 500 are sent',
  });
});

test('a long address stands on the next line where that keeps it within 78', () => {
  const long = `${'a'.repeat(60)}@example.net`;
  assert.equal(field('To', {}, [], `${long}.exam`), `To:\r\n ${long}.exam`);
  assert.equal(field('To', {}, [], long), `To: ${long}`);
});

const skip = skipUnlessInstalled('python3');

test('hostile names read back as one name of one mailbox, by two parsers', { skip }, async () => {
  const samples = fc
    .sample(hostileText, 300)
    .concat([
      '‮txet\u202c',
      '👩‍👩‍👧‍👦',
      '"',
      '\\',
      '",<e@x.example>',
      '(comment)',
      'a;b:c',
      '=?UTF-8?B?QQ==?=',
      '?= =?',
      'ü'.repeat(400),
    ]);
  const made = samples.flatMap((name) => {
    const composed = compose({ ...to, replyTo: templateOf('"Help" <help@example.com>') }, [name]);
    return composed.kind === 'message' ? [{ name: expectedName(name), message: composed.message }] : [];
  });
  assert.ok(made.length > 250);
  const python = readWithPython(made.map(({ message }) => Buffer.from(message, 'latin1')));
  for (const [index, { name, message }] of made.entries()) {
    assertContract(message);
    const header = message.slice(0, message.indexOf('\r\n\r\n'));
    for (const line of header.split('\r\n')) assert.ok(line.length <= 78, line);
    const { to: read, headers } = await PostalMime.parse(message);
    assert.deepEqual(read, [{ name, address: 'ann@example.net' }]);
    const [box = ['', ''], ...more] = python[index]?.mailboxes['to'] ?? [];
    // Python makes one blank of many, and of the fold between encoded-words another (RFC 2047 §6.2 wants none).
    const [readName, sentName] = [box[0], name].map((one) => one.replace(/\s/gu, ''));
    assert.deepEqual([readName, box[1], more], [sentName, 'ann@example.net', []]);
    assert.deepEqual(
      python[index]?.names,
      headers.map(({ key }) => key),
    );
  }
});

/** As `normaliseHeader`, and without the separators that readers take for line ends. */
function expectedName(name: string): string {
  return name
    .replace(/[\u2028\u2029]/g, ' ')
    .replace(/\p{Cc}+/gu, ' ')
    .replaceAll('\ufeff', '')
    .toWellFormed()
    .trim();
}

const replies: readonly (readonly [
  what: string,
  template: string,
  cells: readonly Cell[],
  written: string | RegExp,
])[] = [
  ['a mailbox for all', 'Help <help@example.com>', [], 'Reply-To: Help <help@example.com>'],
  ['an address of the row', '{{ id }}', ['', 'rep@example.com'], 'Reply-To: rep@example.com'],
  ['a tagged address', 'help+{{ id }}@example.com', ['', '7'], 'Reply-To: help+7@example.com'],
  [
    'a name of the row',
    '"{{ name }}" <help@example.com>',
    ['Zoë'],
    'Reply-To: =?UTF-8?Q?Zo=C3=AB?= <help@example.com>',
  ],
  ['a missing value', '{{ id }}', [], /column "id" is blank, and replyTo prints it without a default/],
  ['nothing', "{{ id | default: '' }}", [], /replyTo is not a mailbox: address is empty/],
  ['two addresses', '{{ id }}', ['', 'a@b.example, c@d.example'], /replyTo is not a mailbox/],
  ['an encoded-word', '{{ id }}', ['', '=?utf-8?q?x?=@b.example'], /cannot be written in a header/],
  ['no-break spaces', '{{ id }}', ['', '\u00a0\u2028'], /column "id" is blank/],
  ['a group', '{{ id }}', ['', 'g: a@b.example;'], /replyTo is not a mailbox/],
  ['a line break', '{{ id }}', ['', 'a@b.example\r\nBcc: c@d.example'], /has a line break/],
  [
    'a name that ends its quotes',
    '"{{ name }}" <help@example.com>',
    ['x" <evil@example.com>, "'],
    /replyTo is not a mailbox/,
  ],
];

for (const [what, template, cells, written] of replies) {
  test(`a replyTo that gives ${what} is ${typeof written === 'string' ? 'written' : 'invalid for the row'}`, () => {
    const composed = compose({ replyTo: templateOf(template) }, cells);
    if (typeof written === 'string') assert.equal(fieldsOf(messageOf(composed), 'Reply-To')[0], written);
    else assert.match(composed.kind === 'invalid' ? composed.reason : '', written);
  });
}

test('a replyTo never becomes another field or a second mailbox, whatever the values', { skip }, () => {
  const template = templateOf('{{ name }} <help+{{ id }}@example.com>');
  const messages = fc.sample(fc.tuple(hostileText, hostileText), 300).flatMap((cells) => {
    const composed = compose({ replyTo: template }, cells);
    return composed.kind === 'message' ? [composed.message] : [];
  });
  messages.push(messageOf(compose({ replyTo: template }, ['Ann', '7'])));
  for (const read of readWithPython(messages.map((one) => Buffer.from(one, 'latin1')))) {
    const replyTo = read.mailboxes['reply-to'] ?? [];
    assert.equal(replyTo.length, 1);
    assert.match(replyTo[0]?.[1] ?? '', /^"?help\+.*@example\.com$/s);
    assert.ok(!read.names.includes('bcc'));
  }
});

test('Sender stands where it is somebody else', () => {
  const sender = { name: 'Post, GmbH', address: 'post@example.com' };
  assert.equal(field('Sender', { sender }), 'Sender: "Post, GmbH" <post@example.com>');
  assert.equal(field('Sender', { sender: { name: 'Other', address: 'hello@mail.example.com' } }), '');
});

test('the list fields are written as they are configured, once each', () => {
  const message = messageOf(
    compose(
      {
        listId: 'Spring news <news.example.com>',
        unsubscribe: {
          url: templateOf('https://example.com/u'),
          mailto: templateOf('u@example.com?subject=stop it'),
          oneClick: true,
        },
        feedbackId: templateOf('spring:{{ id }}:news:shop1'),
        precedence: 'bulk',
        autoSubmitted: 'auto-generated',
      },
      ['', '7'],
    ),
  );
  assertContract(message);
  const lists = [
    'List-Id',
    'List-Unsubscribe',
    'List-Unsubscribe-Post',
    'Feedback-ID',
    'Precedence',
    'Auto-Submitted',
  ];
  assert.deepEqual(
    lists.flatMap((name) => fieldsOf(message, name)),
    [
      'List-Id: Spring news <news.example.com>',
      'List-Unsubscribe: <https://example.com/u>,\r\n <mailto:u@example.com?subject=stop%20it>',
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
      'Feedback-ID: spring:7:news:shop1',
      'Precedence: bulk',
      'Auto-Submitted: auto-generated',
    ],
  );
});

test('without a URL, or with oneClick: false, there is no List-Unsubscribe-Post', () => {
  for (const unsubscribe of [
    { mailto: templateOf('u@example.com'), oneClick: true },
    { url: templateOf('https://example.com/u'), oneClick: false },
  ])
    assert.equal(field('List-Unsubscribe-Post', { unsubscribe }), '');
});

const urls: readonly (readonly [
  what: string,
  url: string,
  cells: readonly Cell[],
  written: string | RegExp,
])[] = [
  [
    'a parameter',
    'https://a.example/u?t={{ id }}&n={{ name }}',
    ['Zoë & Co', 'a/b?c'],
    '<https://a.example/u?t=a%2Fb%3Fc&n=Zo%C3%AB%20%26%20Co>',
  ],
  [
    'a path',
    'https://a.example/{{ id }}/u',
    ['', '../x>\r\nBcc: b'],
    '<https://a.example/..%2Fx%3E%0D%0ABcc%3A%20b/u>',
  ],
  [
    'a value that is encoded already',
    'https://a.example/u?t={{ id | url_encode }}',
    ['', 'a b'],
    '<https://a.example/u?t=a+b>',
  ],
  [
    'a value with a default that is encoded already',
    'https://a.example/u?t={{ name | default: id | url_encode }}',
    ['', 'a b'],
    '<https://a.example/u?t=a+b>',
  ],
  ['the whole URL', '{{ id }}', ['', 'https://a.example/u?t=ü&x=1'], '<https://a.example/u?t=%C3%BC&x=1>'],
  ['a comment', 'https://a.example/u?t={{ id }}', ['', 'a(b)'], '<https://a.example/u?t=a%28b%29>'],
  ['an IDN', 'https://bücher.example/{{ id }}', ['', '1'], '<https://xn--bcher-kva.example/1>'],
  ['a URL that is not https', '{{ id }}', ['', 'http://a.example/u'], /is not an https URL for this row/],
  ['a script', '{{ id }}', ['', 'javascript:alert(1)'], /is not an https URL for this row/],
  ['a missing value', '{{ id }}', [], /and the unsubscribe URL prints it without a default/],
  ['no URL', "{{ id | default: '' }}", [], /is not an https URL for this row/],
  [
    'a URL with a line break',
    '{{ id }}',
    ['', 'https://a.example/\r\nBcc: b'],
    /is not an https URL for this row/,
  ],
  ['a host that is none', 'https://{{ id }}.example/u', ['', 'a b/'], /is not an https URL for this row/],
  [
    'a URL without end',
    'https://a.example/{{ id }}',
    ['', 'x'.repeat(900)],
    /has 918 characters, at most 900 fit/,
  ],
];

for (const [what, url, cells, written] of urls) {
  test(`an unsubscribe URL with ${what} in it ${typeof written === 'string' ? 'stays one' : 'makes the row invalid'}`, () => {
    const composed = compose({ unsubscribe: { url: templateOf(url), oneClick: true } }, cells);
    if (typeof written === 'string')
      assert.equal(
        fieldsOf(messageOf(composed), 'List-Unsubscribe')[0]?.replace(/^List-Unsubscribe:(?: |\r\n )/, ''),
        written,
      );
    else assert.match(composed.kind === 'invalid' ? composed.reason : '', written);
  });
}

test('no value leads an unsubscribe URL to another host or out of its angle brackets', () => {
  const unsubscribe = {
    url: templateOf("https://a.example/u/{{ id | default: '' }}?n={{ name | default: '' }}"),
    mailto: templateOf("u+{{ id | default: '' }}@a.example"),
    oneClick: true,
  };
  fc.assert(
    fc.property(hostileText, hostileText, (name, id) => {
      const composed = compose({ unsubscribe }, [name, id]);
      if (composed.kind === 'invalid') return assert.match(composed.reason, /at most 900 fit/);
      assertContract(composed.message);
      const value = fieldsOf(composed.message, 'List-Unsubscribe').join().replaceAll('\r\n', '');
      const [, url = '', mailto = ''] =
        /^List-Unsubscribe: ?<([^<>]*)>, <(mailto:[^<>]*)>$/.exec(value) ?? [];
      assert.equal(new URL(url).host, 'a.example');
      assert.ok(mailto.endsWith('@a.example') && !mailto.slice(0, -10).includes('@'));
    }),
  );
});

test('a header value is a template, and one that comes out blank by its default leaves no field', () => {
  const headers = [
    ['X-Order', templateOf("{{ id }} of {{ name | default: '' }}")],
    ['X-Note', templateOf("{{ name | default: '' }}")],
  ] as const;
  const message = messageOf(compose({ headers }, ['', '7']));
  assert.deepEqual(fieldsOf(message, 'X-Order'), ['X-Order: 7 of']);
  assert.deepEqual(fieldsOf(message, 'X-Note'), []);
  assertContract(messageOf(compose({ headers }, ['ü\r\nBcc: x@example.com', '7'])));
});

function reasonOf(campaign: Partial<Campaign>): string {
  const composed = compose(campaign);
  return composed.kind === 'invalid' ? composed.reason : '';
}

function why(part: string): RegExp {
  return new RegExp(
    `^column "id" is blank, and ${part} prints it without a default \\(template.txt:1:\\d+\\)$`,
  );
}

test('a missing value is an error of its row in every field but To', () => {
  const id = templateOf('{{ id }}');
  assert.match(reasonOf({ headers: [['X-Order', id]] }), why('the header X-Order'));
  assert.match(reasonOf({ feedbackId: templateOf('a:{{ id }}') }), why('the header Feedback-ID'));
  const url = templateOf('https://a.example/{{ id | upcase }}');
  assert.match(reasonOf({ unsubscribe: { url, oneClick: true } }), why('the unsubscribe URL'));
  const mailto = templateOf('u+{{ id }}@a.example');
  assert.match(reasonOf({ unsubscribe: { mailto, oneClick: true } }), why('the unsubscribe address'));
  assert.equal(field('To', { to: templateOf('{{ name }} {{ id | upcase }}') }), 'To: ann@example.net');
});

test('the campaign’s own data in a URL are values, in a header they are its text', () => {
  const campaign = {
    data: { tag: 'a&b/c', desk: 'help@example.com' },
    unsubscribe: { url: templateOf('https://a.example/?t={{ tag }}'), oneClick: true },
    replyTo: templateOf('{{ desk }}'),
    headers: [['X-Tag', templateOf('{{ tag }}')]] as const,
  };
  assert.match(field('List-Unsubscribe', campaign), /<https:\/\/a\.example\/\?t=a%26b%2Fc>/);
  assert.equal(field('Reply-To', campaign), 'Reply-To: help@example.com');
  assert.equal(field('X-Tag', campaign), 'X-Tag: a&b/c');
});

test('a value with a word for no line makes the row invalid', () => {
  const composed = compose({ headers: [['X-A', templateOf('{{ id }}')]] }, ['', 'x'.repeat(2000)]);
  assert.deepEqual(composed, {
    kind: 'invalid',
    reason: 'header X-A has a word that does not fit in a line of 998 characters',
  });
});

test('an address that needs SMTPUTF8 stands in the header as its octets, and the message says so', () => {
  const composed = compose(to, ['Jörg'], 'jörg@example.net');
  assert.ok(composed.kind === 'message' && composed.isUtf8);
  assert.equal(fieldsOf(composed.message, 'To')[0], 'To: =?UTF-8?B?SsO2cmc=?= <jÃ¶rg@example.net>');
  assert.equal(
    composed.message.replaceAll('\r\n', '').search(/[^\t -~]/),
    composed.message.replaceAll('\r\n', '').indexOf('Ã'),
  );
  for (const campaign of [
    { from: { name: '', address: 'jörg@example.com' } },
    { replyTo: templateOf('jörg@example.com') },
    { replyTo: templateOf('{{ id }}') },
  ]) {
    const other = compose(campaign, ['', 'jörg@example.com']);
    assert.ok(other.kind === 'message' && other.isUtf8);
  }
  const plain = compose(to, ['Jörg']);
  assert.ok(plain.kind === 'message' && !plain.isUtf8);
});

test('what makes every row’s header unwritable is the campaign’s error, before anything is sent', () => {
  const table: readonly (readonly [RegExp, Partial<Campaign>])[] = [
    [/replyTo is not a mailbox/, { replyTo: templateOf('nobody') }],
    [/does not begin with https/, { unsubscribe: { url: templateOf('http://a.example'), oneClick: true } }],
    [/unsubscribe\.url is no URL/, { unsubscribe: { url: templateOf('https://'), oneClick: true } }],
    [/unsubscribe\.mailto is no address/, { unsubscribe: { mailto: templateOf('nobody'), oneClick: true } }],
    [/listId is not like/, { listId: 'news' }],
    [/listId is not like/, { listId: 'News <news.example.com> x' }],
    [/written by Posthaste itself/, { headers: [['sender', templateOf('a@example.com')]] }],
    [/display name of From has/, { from: { name: 'x'.repeat(501), address: 'a@example.com' } }],
  ];
  for (const [why, campaign] of table)
    assert.throws(
      () => compose(campaign),
      (thrown) =>
        thrown instanceof PosthasteError && thrown.code === 'ERR_CAMPAIGN_HEADER' && why.test(thrown.message),
      String(why),
    );
});
