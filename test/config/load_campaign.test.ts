// Campaign files: what they become, what is refused, and which files they may name.
import assert from 'node:assert/strict';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { PosthasteError } from '../../src/base/error.ts';
import { loadCampaign } from '../../src/config/load_campaign.ts';
import { errorOf, linesOf, makeFolder } from './problems.ts';

const exampleDirectory = resolve(import.meta.dirname, '../../config');
const head = 'from: Shop <hello@example.com>\nsubject: Hi\n';
const small = `${head}text: Hello\n`;

function load(test: TestContext, text: string, files: Readonly<Record<string, string | Uint8Array>> = {}) {
  return loadCampaign(join(makeFolder(test, { 'spring.yaml': text, ...files }), 'spring.yaml'));
}

function refuse(test: TestContext, text: string, files: Readonly<Record<string, string | Uint8Array>> = {}) {
  const folder = makeFolder(test, { 'c/spring.yaml': text, ...files });
  const error = errorOf(() => loadCampaign(join(folder, 'c/spring.yaml')));
  assert.equal(error.code, 'ERR_CAMPAIGN_INVALID');
  return { lines: linesOf(error, `${folder}/c`), exitCode: error.exitCode };
}

test('the example loads', () => {
  const path = join(exampleDirectory, 'campaign.example.yaml');
  const file = loadCampaign(path);
  const { campaign } = file;
  assert.equal(campaign.name, 'spring-sale');
  assert.deepEqual(campaign.from, { name: 'Shop', address: 'hello@mail.example.com' });
  assert.equal(campaign.replyTo?.source, 'help@example.com');
  assert.equal(campaign.reversePath, 'hello@mail.example.com');
  assert.deepEqual(campaign.subject, {
    file: path,
    line: 8,
    source: "{{ first_name | default: 'Hello' }}, spring is here",
  });
  assert.equal(campaign.text?.file, join(exampleDirectory, 'spring.txt'));
  assert.equal(campaign.text?.line, 1);
  assert.match(campaign.html?.source ?? '', /^<!doctype html>/);
  assert.deepEqual(
    campaign.headers.map(([name, { source, line }]) => [name, source, line]),
    [['X-Campaign', 'spring-sale', 19]],
  );
  assert.partialDeepStrictEqual(file.list, { addressColumn: 'email', format: 'csv' });
  assert.deepEqual(
    [file.relay, file.pace.rates, file.inDoubt],
    ['primary', [{ count: 200, perMs: 1000 }], 'resend'],
  );
  assert.equal(file.directory, exampleDirectory);
});

test('a small campaign has defaults', (t) => {
  const file = load(t, small);
  assert.equal(file.campaign.name, 'spring');
  assert.equal(file.campaign.reversePath, 'hello@example.com');
  assert.deepEqual(
    [file.relay, file.pace.rates[0], file.inDoubt, file.campaign.html, file.campaign.replyTo],
    [undefined, undefined, 'resend', undefined, undefined],
  );
  const usual = {
    firstDelayMs: 300_000,
    factor: 2,
    maxDelayMs: 14_400_000,
    giveUpAfterMs: 172_800_000,
  };
  assert.deepEqual(file.retry, {
    ...usual,
    jitter: 0.2,
    byCategory: {
      greylisted: { ...usual, firstDelayMs: 60_000 },
      'mailbox-full': { ...usual, firstDelayMs: 14_400_000 },
      'rate-limited': usual,
      network: usual,
    },
  });
});

test('start, deadline and send windows are on the clocks of the timezone, or at their own offset', (t) => {
  const { time } = load(
    t,
    `${small}
timezone: Europe/Berlin
startAt: 2026-03-29T02:30
deadline: 2026-04-01 09:00:30+05:30
sendWindows:
  - { days: [mon, fri], from: 09:00, to: 17:30 }
  - { from: "22:00", to: "00:00" }
`,
  );
  assert.deepEqual(time, {
    // The hour that is left out that night.
    startAt: Date.parse('2026-03-29T01:30:00Z'),
    deadlineAt: Date.parse('2026-04-01T03:30:30Z'),
    windows: [
      { weekdays: [1, 5], fromMinute: 540, toMinute: 1050 },
      { weekdays: [0, 1, 2, 3, 4, 5, 6], fromMinute: 1320, toMinute: 1440 },
    ],
    zone: 'Europe/Berlin',
    hasOwnZones: false,
  });
  assert.deepEqual(load(t, small).time, {
    startAt: undefined,
    deadlineAt: undefined,
    windows: [],
    zone: 'UTC',
    hasOwnZones: false,
  });
});

test('windows are on the clocks of each recipient where the list has a column for that', (t) => {
  const windows = 'sendWindows: [{ from: "09:00", to: "17:00" }]\n';
  const { time, list } = load(t, `${small}timezone: Europe/Rome\nlist: { timezone: tz }\n${windows}`);
  assert.deepEqual([time.zone, time.hasOwnZones, list.zoneColumn], ['Europe/Rome', true, 'tz']);
  assert.deepEqual(refuse(t, `${small}list: { timezone: tz }\n`), {
    lines: [
      'spring.yaml:4:19: list.timezone is there without sendWindows; ' +
        'expected sendWindows, which are then on the clocks of each recipient, or no list.timezone',
    ],
    exitCode: 65,
  });
});

test('times that are none are told', (t) => {
  for (const [key, wrong] of [
    ['startAt', 'startAt: 2026-02-30T09:00'],
    ['startAt', 'startAt: tomorrow'],
    ['startAt', 'startAt: 2026-01-01T25:00'],
    ['deadline', 'startAt: 2026-01-02T00:00Z\ndeadline: 2026-01-01T00:00Z'],
    ['sendWindows', 'sendWindows: [{ from: "25:00", to: "09:00" }]'],
    ['sendWindows', 'sendWindows: [{ from: "09:00", to: "09:00" }]'],
    ['sendWindows', 'sendWindows: [{ days: [], from: "09:00", to: "10:00" }]'],
  ] as const)
    assert.throws(() => load(t, `${small}\n${wrong}\n`), new RegExp(key), wrong);
});

test('a category of replies has what is written for it, and the rest of retry', (t) => {
  const { retry } = load(
    t,
    `${small}\nretry: { first: 2s, factor: 3, max: 1m, greylisted: { first: 90s }, network: { giveUpAfter: 1h } }\n`,
  );
  const usual = { firstDelayMs: 2000, factor: 3, maxDelayMs: 60_000, giveUpAfterMs: 172_800_000 };
  assert.deepEqual(retry.byCategory, {
    greylisted: { ...usual, firstDelayMs: 90_000, maxDelayMs: 90_000 },
    'mailbox-full': { ...usual, firstDelayMs: 60_000 },
    'rate-limited': usual,
    network: { ...usual, giveUpAfterMs: 3_600_000 },
  });
  assert.throws(
    () => load(t, `${small}\nretry: { network: { first: 2h, max: 1h } }\n`),
    /retry\.network\.max/,
  );
});

test('inline templates know the line of the campaign at which they begin', (t) => {
  const { campaign } = load(
    t,
    '# why\nfrom: a@example.com\nsubject: >-\n  folded\n  subject\ntext: |\n  line 7\n  line 8\nhtml: "<p>"\n',
  );
  assert.deepEqual([campaign.subject.line, campaign.text?.line, campaign.html?.line], [4, 7, 9]);
  assert.equal(campaign.text?.source, 'line 7\nline 8\n');
  assert.match(campaign.text?.file ?? '', /spring\.yaml$/);
});

test('the newline that ends a block scalar is no part of the subject', (t) => {
  assert.equal(load(t, 'from: a@example.com\nsubject: |\n  Hi\ntext: x').campaign.subject.source, 'Hi');
});

test('variables of the environment are not for campaigns', (t) => {
  assert.equal(
    load(t, 'from: a@example.com\nsubject: "${HOME}"\ntext: x').campaign.subject.source,
    '${HOME}',
  );
});

test('attachments are read', (t) => {
  const { campaign } = load(
    t,
    `${small}attachments:\n  - { path: a/logo.png, cid: logo }\n  - { path: t.bin, filename: terms.pdf, contentType: application/pdf }\n`,
    { 'a/logo.png': Uint8Array.of(1, 2), 't.bin': 'x' },
  );
  const shown = campaign.attachments.map((one) => [
    one.filename,
    one.contentType,
    one.cid,
    one.content.length,
  ]);
  assert.deepEqual(shown, [
    ['logo.png', undefined, 'logo', 2],
    ['terms.pdf', 'application/pdf', undefined, 1],
  ]);
});

test('the list is described, and its file is found from the campaign', (t) => {
  const folder = makeFolder(t, {
    'spring.yaml': `${small}list: { address: Mail, timezone: Zone, format: csv, delimiter: tab, charset: windows-1252, file: l.csv }\nsendWindows: [{ from: "09:00", to: "17:00" }]`,
  });
  const { list } = loadCampaign(join(folder, 'spring.yaml'));
  assert.deepEqual(list, {
    addressColumn: 'Mail',
    zoneColumn: 'Zone',
    format: 'csv',
    delimiter: '\t',
    charset: 'windows-1252',
    file: join(folder, 'l.csv'),
  });
});

test('a byte order mark of a template is no part of it', (t) => {
  assert.equal(load(t, `${head}text: { file: t.txt }`, { 't.txt': '\ufeffHi' }).campaign.text?.source, 'Hi');
});

const refused: readonly (readonly [what: string, text: string, line: string | RegExp])[] = [
  [
    'neither text nor html',
    head,
    'spring.yaml:1:1: text and html are both missing; expected at least one of them',
  ],
  [
    'no from',
    'subject: x\ntext: x',
    'spring.yaml:1:1: from is missing; expected a mailbox such as Shop <hello@example.com>',
  ],
  [
    'a from that is no mailbox',
    'from: nobody\nsubject: x\ntext: x',
    /^spring\.yaml:1:7: from is not a mailbox: .+; expected Name <local@domain>$/,
  ],
  [
    'a from with CR and LF',
    'from: "a@example.com\\r\\nBcc: b@example.com"\nsubject: x\ntext: x',
    'spring.yaml:1:7: from cannot be used; expected a mailbox such as Shop <hello@example.com>',
  ],
  [
    'a replyTo that is no mailbox',
    `${small}replyTo: nobody`,
    /^spring\.yaml:4:10: replyTo is not a mailbox: .+; expected Name <local@domain>$/,
  ],
  ['a sender that is no mailbox', `${small}sender: nobody`, /^spring\.yaml:4:9: sender is not a mailbox: /],
  [
    'a Sender among the headers',
    `${small}headers: { Sender: a@example.com }`,
    /other than From, To, Cc, Bcc, Reply-To, Sender/,
  ],
  [
    'an unsubscribe URL without TLS',
    `${small}unsubscribe: { url: "http://example.com/" }`,
    'spring.yaml:4:21: unsubscribe.url cannot be used; expected a Liquid template of a URL that begins with https:// or with a merge field',
  ],
  [
    'an empty unsubscribe',
    `${small}unsubscribe: { oneClick: false }`,
    'spring.yaml:4:14: unsubscribe has neither url nor mailto; expected at least one of them',
  ],
  [
    'a verp secret in the file itself',
    `${small}verp: { secret: "0123456789abcdef" }`,
    /^spring\.yaml:4:17: verp\.secret .*expected \{ env: NAME \}/,
  ],
  [
    'a verp secret that is not there',
    `${small}verp: { secret: { env: POSTHASTE_TEST_UNSET } }`,
    /verp\.secret needs the environment variable POSTHASTE_TEST_UNSET, which is not set/,
  ],
  ['a dsn that asks for never and more', `${small}dsn: { notify: [never, failure] }`, /dsn\.notify/],
  [
    'a precedence that nobody knows',
    `${small}precedence: urgent`,
    'spring.yaml:4:13: precedence cannot be used; expected one of bulk, list, junk',
  ],
  [
    'a returnPath that is no address',
    `${small}returnPath: x`,
    /^spring\.yaml:4:13: returnPath is not an address: .+; expected local@domain$/,
  ],
  ['a returnPath with a name', `${small}returnPath: A <a@example.com>`, /returnPath is not an address/],
  [
    'a subject of two lines',
    'from: a@example.com\nsubject: "a\\nb"\ntext: x',
    'spring.yaml:2:10: subject cannot be used; expected text in one line',
  ],
  [
    'an unknown key',
    `${small}attachment: []`,
    /^spring\.yaml:4:1: unknown key "attachment"; did you mean "attachments"\?$/,
  ],
  [
    'an unknown key of a template',
    `${head}text: { fil: x }`,
    /unknown key "fil" in text; did you mean "file"\?/,
  ],
  [
    'an unknown inDoubt',
    `${small}inDoubt: retry`,
    'spring.yaml:4:10: inDoubt cannot be used; expected one of resend, hold',
  ],
  [
    'a rate without a unit',
    `${small}rate: 100`,
    'spring.yaml:4:7: rate is a number; expected a rate such as 100/s, 6000/m, 20000/h or 50000/d, or a list of them with different units such as [20/s, 50000/d]',
  ],
  [
    'a longest delay below the first',
    `${small}retry: { first: 2h, max: 1h }`,
    'spring.yaml:4:26: retry.max is shorter than retry.first; expected at least as long',
  ],
  [
    'a jitter above 1',
    `${small}retry: { jitter: 1.5 }`,
    'spring.yaml:4:18: retry.jitter cannot be used; expected a number from 0 to 1',
  ],
  [
    'an unknown charset',
    `${small}list: { charset: latin-99 }`,
    'spring.yaml:4:18: list.charset cannot be used; expected an encoding label such as windows-1252',
  ],
  [
    'a header with a line break',
    `${small}headers: { X-A: "a\\r\\nBcc: b@example.com" }`,
    'spring.yaml:4:17: headers.X-A cannot be used; expected text in one line, in quotes where YAML sees a number',
  ],
  [
    'a header with a number',
    `${small}headers: { X-Priority: 1 }`,
    'spring.yaml:4:24: headers.X-Priority is a number; expected text in one line, in quotes where YAML sees a number',
  ],
  [
    'two headers that differ in case only',
    `${small}headers: { X-A: a, x-a: b }`,
    'spring.yaml:4:25: headers.x-a occurs twice',
  ],
  [
    'two attachments with one cid',
    `${small}attachments: [{ path: spring.yaml, cid: a }, { path: spring.yaml, cid: a }]`,
    'spring.yaml:4:72: attachments[1].cid is the cid of an attachment above, too',
  ],
  [
    'a cid with angle brackets',
    `${small}attachments: [{ path: spring.yaml, cid: <a> }]`,
    /attachments\[0\]\.cid cannot be used/,
  ],
  [
    'a filename with a folder',
    `${small}attachments: [{ path: spring.yaml, filename: a/b }]`,
    /attachments\[0\]\.filename cannot be used/,
  ],
  [
    'a content type with a line break',
    `${small}attachments: [{ path: spring.yaml, contentType: "a/b\\r\\nX: y" }]`,
    /contentType cannot be used/,
  ],
  [
    'a template that is a folder',
    `${head}text: { file: sub }`,
    'spring.yaml:3:15: text.file is not a regular file',
  ],
  [
    'a template that is no text',
    `${head}text: { file: sub/latin.txt }`,
    'spring.yaml:3:15: text.file is not UTF-8 text',
  ],
  [
    'a syntax error',
    `${small}html: "x`,
    /^spring\.yaml:4:\d+: a quote, bracket, comma, colon or space is missing$/,
  ],
  [
    'a custom tag',
    `${small}html: !include x`,
    'spring.yaml:4:7: tags are not supported (quote text that begins with "!")',
  ],
];

for (const [what, text, line] of refused) {
  test(`${what} is refused with its place`, (t) => {
    const { lines, exitCode } = refuse(t, text, { 'c/sub/latin.txt': Uint8Array.of(0xe4) });
    assert.equal(exitCode, 65);
    assert.equal(lines.length, 1, lines.join('\n'));
    if (typeof line === 'string') assert.equal(lines[0], line);
    else assert.match(lines[0] ?? '', line);
  });
}

const ownHeaders = [
  'From',
  'to',
  'CC',
  'bcc',
  'Reply-To',
  'SUBJECT',
  'Date',
  'Message-Id',
  'MIME-Version',
  'Content-Type',
  'content-x',
  'Return-Path',
  'Received',
  'DKIM-Signature',
];
const noHeaders = ['X A', '"X:"', '"X\\r\\nBcc"', '"X\\0"', 'Ü', '""', 'x'.repeat(77)];

for (const name of [...ownHeaders, ...noHeaders]) {
  test(`${name.slice(0, 20)} is no header field that a campaign can set`, (t) => {
    const { lines } = refuse(t, `${small}headers: { ${name}: x }`);
    assert.match(
      lines.join('\n'),
      /^spring\.yaml:4:12: a name in headers cannot be used; expected a header field name/,
    );
  });
}

test('header fields keep their order and their spelling', (t) => {
  const { campaign } = load(t, `${small}headers: { X-b: '1', Precedence: bulk, X-a: "{{ literal }}" }`);
  assert.deepEqual(
    campaign.headers.map(([name, { source }]) => [name, source]),
    [
      ['X-b', '1'],
      ['Precedence', 'bulk'],
      ['X-a', '{{ literal }}'],
    ],
  );
});

test('every problem is told at once: of single keys, of keys together and of files', (t) => {
  const { lines, exitCode } = refuse(
    t,
    'from: nobody\ntext: { file: no.txt }\nrte: 1/s\nrate: fast\nreturnPath: x\nattachments: [{ path: ../secret }]\n',
    { secret: 'x' },
  );
  assert.equal(exitCode, 65);
  assert.deepEqual(
    lines.map((line) => line.split(/ |: /)[0]),
    [
      'spring.yaml:1:1',
      'spring.yaml:1:7',
      'spring.yaml:2:15',
      'spring.yaml:3:1',
      'spring.yaml:4:7',
      'spring.yaml:5:13',
      'spring.yaml:6:23',
    ],
  );
});

test('a campaign that does not exist ends with 66', () => {
  const error = errorOf(() => loadCampaign('no/such.yaml'));
  assert.deepEqual([error.code, error.exitCode], ['ERR_CAMPAIGN_READ', 66]);
});

test('a campaign whose files do not exist ends with 66', (t) => {
  const { lines, exitCode } = refuse(t, `${head}text: { file: no.txt }\nhtml: { file: no.html }`);
  assert.equal(exitCode, 66);
  assert.deepEqual(lines, [
    'spring.yaml:3:15: text.file cannot be read: it does not exist',
    'spring.yaml:4:15: html.file cannot be read: it does not exist',
  ]);
});

test('a campaign that is a folder ends with 66', (t) => {
  const error = errorOf(() => loadCampaign(makeFolder(t, {})));
  assert.deepEqual([error.code, error.exitCode], ['ERR_CAMPAIGN_READ', 66]);
});

test("a file's own name that cannot be a campaign's is refused", (t) => {
  const folder = makeFolder(t, { 'Spring sale.yaml': small });
  const error = errorOf(() => loadCampaign(join(folder, 'Spring sale.yaml')));
  assert.match(error.message, /name is missing, and the file's own name cannot take its place/);
});

const outside = ['../secret', 'sub/../../secret', '/etc/passwd', 'link', 'sub/link'];

for (const path of outside) {
  test(`a campaign cannot read ${path}`, (t) => {
    const folder = makeFolder(t, { secret: 'x', 'c/sub/a': 'x' });
    symlinkSync('../secret', join(folder, 'c/link'));
    symlinkSync('../../secret', join(folder, 'c/sub/link'));
    for (const key of [
      'text: { file: PATH }',
      'text: x\nattachments: [{ path: PATH }]',
      'text: x\nlist: { file: PATH }',
    ]) {
      const campaign = makeCampaign(folder, `${head}${key.replace('PATH', path)}`);
      assert.match(errorOf(() => loadCampaign(campaign)).message, /leads out of the campaign's folder$/, key);
    }
  });
}

test('a link within the folder is a file of the folder', (t) => {
  const folder = makeFolder(t, { 'c/real.txt': 'Hi' });
  symlinkSync('real.txt', join(folder, 'c/link'));
  const campaign = makeCampaign(folder, `${head}text: { file: link }`);
  assert.equal(loadCampaign(campaign).campaign.text?.source, 'Hi');
});

test('a campaign may be named through a link to its folder', (t) => {
  const folder = makeFolder(t, { 'c/spring.yaml': `${head}text: { file: a.txt }`, 'c/a.txt': 'Hi' });
  symlinkSync('c', join(folder, 'way'));
  assert.equal(loadCampaign(join(folder, 'way/spring.yaml')).campaign.text?.source, 'Hi');
});

test('the digest changes with everything that makes up the message', (t) => {
  const files = { 'a.txt': 'A', 'b.txt': 'B' };
  const texts = [
    small,
    `${small}name: other\n`,
    small.replace('Shop', 'Shopp'),
    small.replace('hello@', 'hi@'),
    `${small}replyTo: r@example.com\n`,
    `${small}returnPath: r@example.com\n`,
    small.replace('Hi', 'Ho'),
    small.replace('Hello', 'Hallo'),
    `${head}html: Hello\n`,
    `${small}html: Hello\n`,
    `${small}attachments: [{ path: a.txt }]\n`,
    `${small}attachments: [{ path: b.txt }]\n`,
    `${small}attachments: [{ path: b.txt, filename: a.txt }]\n`,
    `${small}attachments: [{ path: a.txt, cid: a }]\n`,
    `${small}attachments: [{ path: a.txt, contentType: a/b }]\n`,
    `${small}headers: { X-A: b }\n`,
    `${small}headers: { X-A: c }\n`,
  ];
  const digests = new Set(texts.map((text) => load(t, text, files).digest));
  assert.equal(digests.size, texts.length);
});

test('the digest does not change with the list, the way of sending, comments and folders', (t) => {
  const same = [
    small,
    `# why\n${small}`,
    `${small}list: { address: x }\nrelay: r\nrate: 1/s\ninDoubt: hold\nretry: { first: 1s }\n`,
    `${head}text: { file: t.txt }\n`,
  ];
  const digests = same.map((text) => load(t, text, { 't.txt': 'Hello' }).digest);
  assert.deepEqual(
    digests,
    Array.from({ length: 4 }, () => digests[0]),
  );
});

test('the digest of a campaign is the same in every version', (t) => {
  assert.equal(load(t, small).digest, 'b18667d5aa035e31f67ba72300f502b4e4034d838bd2ca49449ccdad2155acd8');
});

function makeCampaign(folder: string, text: string): string {
  const path = join(folder, 'c/spring.yaml');
  writeFileSync(path, text);
  return path;
}

test('whatever becomes of a campaign file, only our own errors come out', (t) => {
  const folder = makeFolder(t, { 'c/spring.txt': 'Hi' });
  const text = readFileSync(join(exampleDirectory, 'campaign.example.yaml'), 'utf8');
  const piece = fc.oneof(
    fc.string({ maxLength: 6 }),
    fc.constantFrom(': ', '\n', '{', '}', '[', ']', '"', '|', '&a ', '*a', '- ', '!x ', '0', '~'),
  );
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(40), piece, (at, length, inserted) => {
      const path = makeCampaign(folder, text.slice(0, at) + inserted + text.slice(at + length));
      try {
        loadCampaign(path);
      } catch (error) {
        assert.ok(error instanceof PosthasteError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('a local part that is not ASCII is for the relay to judge', (t) => {
  const { campaign } = load(t, 'from: jürgen@bücher.example\nsubject: x\ntext: x');
  assert.deepEqual(campaign.from, { name: '', address: 'jürgen@xn--bcher-kva.example' });
});

test('header and envelope keys become what they say', (t) => {
  const folder = makeFolder(t, {
    'spring.yaml': `${head}text: x
to: "{{ name }}"
sender: Post <post@example.com>
listId: News <news.example.com>
unsubscribe: { url: "https://example.com/u?{{ id }}", mailto: u@example.com }
feedbackId: "a:b:{{ id }}:shop1"
precedence: bulk
autoSubmitted: auto-generated
returnPath: bounces@example.com
verp: { secret: { file: verp.key } }
dsn: { ret: hdrs, notify: [failure, delay] }
requireTls: true
`,
    'verp.key': '0123456789abcdef\n',
  });
  const { campaign } = loadCampaign(join(folder, 'spring.yaml'));
  assert.partialDeepStrictEqual(campaign, {
    to: { line: 4, source: '{{ name }}' },
    sender: { name: 'Post', address: 'post@example.com' },
    listId: 'News <news.example.com>',
    unsubscribe: { url: { line: 7 }, mailto: { source: 'u@example.com' }, oneClick: true },
    feedbackId: { source: 'a:b:{{ id }}:shop1' },
    precedence: 'bulk',
    autoSubmitted: 'auto-generated',
    reversePath: 'bounces@example.com',
    verp: { secret: '0123456789abcdef' },
    dsn: { ret: 'hdrs', notify: ['failure', 'delay'], envid: true, orcpt: true },
    requireTls: true,
  });
});

test('a secret that is short, or a reverse-path without room for the token, is refused', (t) => {
  const folder = (returnPath: string, secret: string) =>
    makeFolder(t, {
      'c.yaml': `${small}returnPath: ${returnPath}\nverp: { secret: { file: k } }\n`,
      k: secret,
    });
  const short = folder('b@example.com', '0123456789abcde');
  assert.match(
    errorOf(() => loadCampaign(join(short, 'c.yaml'))).message,
    /verp\.secret is too short to be a secret; expected at least 16/,
  );
  const long = folder(`${'b'.repeat(32)}@example.com`, '0123456789abcdef');
  assert.match(
    errorOf(() => loadCampaign(join(long, 'c.yaml'))).message,
    /verp has no room .* at most 31 octets/,
  );
});

test('the digest changes with what stands in header and reverse-path, and not with how it is sent', (t) => {
  const base = load(t, small).digest;
  for (const keys of [
    'to: "{{ a }}"',
    'sender: s@example.com',
    'listId: a.example.com',
    'precedence: bulk',
    'feedbackId: x',
    'headers: { X-A: b }',
    'replyTo: r@example.com',
  ])
    assert.notEqual(load(t, `${small}${keys}`).digest, base, keys);
  for (const keys of ['dsn: { ret: full }', 'requireTls: true'])
    assert.equal(load(t, `${small}${keys}`).digest, base, keys);
});
