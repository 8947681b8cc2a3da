// The parts of a campaign file beside text and HTML: attachments by column, invitations, MJML, images, and the digest of all.
import assert from 'node:assert/strict';
import { realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadCampaign } from '../../src/config/load_campaign.ts';
import { errorOf, linesOf, makeFolder } from './problems.ts';

type Files = Readonly<Record<string, string | Uint8Array>>;

const head = 'from: Shop <hello@example.com>\nsubject: Hi\n';
const small = `${head}text: Hello\n`;
const ics = 'BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n';
const files: Files = {
  'c/invoices/a.pdf': 'A',
  'c/logo.png': 'png',
  'c/invite.ics': ics,
  'c/none.ics': 'BEGIN:VCALENDAR\n',
  'c/no.ics': 'METHOD:REQUEST\n',
  'c/a.mjml': '<mjml>\n<mj-include path="parts/b.mjml" /></mjml>',
  'c/parts/b.mjml': '<mj-text/><mj-include type="css" path="./s.css">',
  'c/parts/s.css': 'p {}',
  'outside/x.mjml': 'x',
};

function load(test: TestContext, text: string, more: Files = {}) {
  const folder = makeFolder(test, { 'c/spring.yaml': text, ...files, ...more });
  return loadCampaign(join(folder, 'c/spring.yaml'));
}

function refuse(test: TestContext, text: string, more: Files = {}): string[] {
  const folder = makeFolder(test, { 'c/spring.yaml': text, ...files, ...more });
  symlinkSync('../outside', join(folder, 'c/way'));
  const error = errorOf(() => loadCampaign(join(folder, 'c/spring.yaml')));
  assert.equal(error.code, 'ERR_CAMPAIGN_INVALID');
  return linesOf(error, `${folder}/c`);
}

test('attachments by column have a folder, and defaults', (t) => {
  const { campaign, directory } = load(t, `${small}attachments: [{ column: invoice, root: invoices }]`);
  const [one] = campaign.rowAttachments ?? [];
  assert.deepEqual(
    { ...one, where: one?.where.replace(/^.*\//, '') },
    {
      column: 'invoice',
      root: join(realpathSync(directory), 'invoices'),
      separator: ';',
      isOptional: false,
      mostBytes: 10_485_760,
      contentType: undefined,
      filenameTemplate: undefined,
      where: 'spring.yaml:4:25',
    },
  );
  assert.deepEqual(campaign.attachments, []);
});

test('a name with Liquid in it is a template, and the type is that of the file', (t) => {
  const { campaign } = load(
    t,
    `${small}attachments:\n  - { path: logo.png, filename: "{{ n }}.txt" }\n  - { path: logo.png, filename: plain.txt }\n` +
      '  - { column: c, root: invoices, filename: plain.pdf, separator: "|", optional: true, maxSize: 1kB, contentType: a/b }\n',
  );
  assert.deepEqual(
    campaign.attachments.map((one) => [
      one.filename,
      one.filenameTemplate?.source,
      one.filenameTemplate?.line,
    ]),
    [
      ['logo.png', '{{ n }}.txt', 5],
      ['plain.txt', undefined, undefined],
    ],
  );
  assert.partialDeepStrictEqual(campaign.rowAttachments?.[0], {
    separator: '|',
    isOptional: true,
    mostBytes: 1000,
    contentType: 'a/b',
    filenameTemplate: { source: 'plain.pdf', line: 7 },
  });
});

test('an invitation brings its method and a name', (t) => {
  const { calendar } = load(t, `${small}calendar: { file: invite.ics }`).campaign;
  assert.deepEqual(
    [calendar?.method, calendar?.filename, calendar?.source.source],
    ['REQUEST', 'invite.ics', ics],
  );
  const other = load(t, `${small}calendar: { file: invite.ics, method: REQUEST, attach: false }`).campaign;
  assert.equal(other.calendar?.filename, undefined);
});

test('text is made of HTML unless there is some, or none is wanted', (t) => {
  const workOf = (text: string) => load(t, text).campaign.bodyWork;
  assert.equal(workOf(small), undefined);
  assert.equal(workOf(`${small}html: <p>`), undefined);
  assert.partialDeepStrictEqual(workOf(`${head}html: <p>`), { makesText: true, inlinesCss: false });
  for (const none of ['none', 'false']) assert.equal(workOf(`${head}html: <p>\ntext: ${none}`), undefined);
  assert.partialDeepStrictEqual(workOf(`${small}html: <p>\ncss: inline`), {
    makesText: false,
    inlinesCss: true,
  });
});

test('MJML brings the files that it includes, and those that they include', (t) => {
  const { campaign } = load(t, `${small}html: { file: a.mjml }`);
  assert.deepEqual(campaign.bodyWork?.mjml, {
    path: 'a.mjml',
    includes: [
      { path: 'parts/b.mjml', source: files['c/parts/b.mjml'] },
      { path: 'parts/s.css', source: 'p {}' },
    ],
  });
});

test('images of the message are found by their cid, however it is written', (t) => {
  const html =
    '<img src="cid:logo"><p style="background: url(\'cid:a%2Bb\')"><img src=cid:logo><a href="x?cid:no">{{ c }}<img src="cid:{{ c }}">';
  const text = `${small}html: ${JSON.stringify(html)}\nattachments: [{ path: logo.png, cid: logo }, { path: logo.png, cid: a+b }]`;
  assert.equal(load(t, text).campaign.attachments.length, 2);
});

const refused: readonly (readonly [what: string, text: string, line: string | RegExp])[] = [
  [
    'path and column',
    'attachments: [{ path: logo.png, column: a, root: invoices }]',
    /:4:15: attachments\[0\] has neither or both of path and column; expected one of them$/,
  ],
  [
    'neither path nor column',
    'attachments: [{ filename: x }]',
    /:4:15: attachments\[0\] has neither or both/,
  ],
  [
    'a column without a root',
    'attachments: [{ column: a }]',
    /:4:15: attachments\[0\] has a column and no root; expected the folder/,
  ],
  [
    'a root without a column',
    'attachments: [{ path: logo.png, root: invoices }]',
    /attachments\[0\]\.root goes with a column$/,
  ],
  [
    'a cid with a column',
    'attachments: [{ column: a, root: invoices, cid: x }]',
    /cid is for files that every recipient gets$/,
  ],
  [
    'a root outside',
    'attachments: [{ column: a, root: ../outside }]',
    "spring.yaml:4:34: attachments[0].root is not inside of the campaign's folder",
  ],
  [
    'a root that is the folder itself',
    'attachments: [{ column: a, root: . }]',
    /is not inside of the campaign's folder$/,
  ],
  [
    'a root behind a link that leads out',
    'attachments: [{ column: a, root: way }]',
    /is not inside of the campaign's folder$/,
  ],
  ['a root that is a file', 'attachments: [{ column: a, root: logo.png }]', /root is not a folder$/],
  [
    'a root that is not there',
    'attachments: [{ column: a, root: no }]',
    /root cannot be used: it does not exist$/,
  ],
  [
    'a size without unit',
    'attachments: [{ column: a, root: invoices, maxSize: 5 }]',
    /maxSize is a number; expected a size from 1B to 64MiB, such as 10MiB$/,
  ],
  [
    'a size that is too large',
    'attachments: [{ column: a, root: invoices, maxSize: 1GiB }]',
    /maxSize cannot be used/,
  ],
  [
    'a separator of two',
    'attachments: [{ column: a, root: invoices, separator: "; " }]',
    /separator cannot be used; expected one character$/,
  ],
  [
    'an invitation with another method',
    'calendar: { file: invite.ics, method: CANCEL }',
    /calendar\.file and the invitation disagree about the method; expected a line METHOD:CANCEL in the file$/,
  ],
  [
    'an invitation without a method',
    'calendar: { file: none.ics }',
    /expected a line METHOD:REQUEST in the file$/,
  ],
  [
    'an invitation that is none',
    'calendar: { file: no.ics }',
    /calendar\.file is no iCalendar text; expected a line BEGIN:VCALENDAR$/,
  ],
  [
    'an invitation from outside',
    'calendar: { file: ../outside/x.mjml }',
    /leads out of the campaign's folder$/,
  ],
  ['css without html', 'css: inline', 'spring.yaml:4:6: css is about html, which is missing'],
  ['another css', 'html: x\ncss: embed', /css cannot be used; expected inline/],
  [
    'a cid that no attachment has',
    'html: "<img src=cid:lgo>"\nattachments: [{ path: logo.png, cid: logo }]',
    'spring.yaml:4:14: no attachment has the cid "lgo"; did you mean "logo"?',
  ],
  [
    'a cid without attachments',
    'html: |\n  <p>\n  <img src="cid:logo">',
    /^spring\.yaml:6:15: no attachment has the cid "logo"; expected an attachment with that cid$/,
  ],
  [
    'MJML that includes what is outside',
    'html: { file: bad.mjml }',
    "bad.mjml:2:1: the file of mj-include leads out of the campaign's folder",
  ],
  [
    'MJML that includes what is not there',
    'html: { file: worse.mjml }',
    'worse.mjml:1:1: the file of mj-include cannot be read: it does not exist',
  ],
];

for (const [what, text, line] of refused) {
  test(`${what} is refused with its place`, (t) => {
    const more = {
      'c/bad.mjml': '<mjml>\n<mj-include path="way/x.mjml"/>',
      'c/worse.mjml': "<mj-include path='no.mjml' />",
    };
    const lines = refuse(t, `${small}${text}\n`, more);
    assert.equal(lines.length, 1, lines.join('\n'));
    if (typeof line === 'string') assert.equal(lines[0], line);
    else assert.match(lines[0] ?? '', line);
  });
}

test('neither text nor HTML is refused where text is left out on purpose, too', (t) => {
  assert.match(refuse(t, `${head}text: none\n`)[0] ?? '', /text and html are both missing/);
});

test('the digest changes with every part, and with the files that MJML includes', (t) => {
  const html = `${head}html: <p>\n`;
  const mjml = `${small}html: { file: a.mjml }\n`;
  const column = `${small}attachments: [{ column: a, root: invoices`;
  const digests = [
    load(t, small),
    load(t, html),
    load(t, `${html}text: none\n`),
    load(t, `${html}css: inline\n`),
    load(t, mjml),
    load(t, mjml, { 'c/parts/s.css': 'p { x: y }' }),
    load(t, `${small}calendar: { file: invite.ics }\n`),
    load(t, `${small}calendar: { file: invite.ics, attach: false }\n`),
    load(t, `${column} }]\n`),
    load(t, `${column}, optional: true }]\n`),
    load(t, `${column}, filename: a }]\n`),
    load(t, `${column}, separator: "|" }]\n`),
    load(t, `${column}, maxSize: 1MiB }]\n`),
    load(t, `${small}attachments: [{ path: logo.png, filename: "{{ a }}" }]\n`),
    load(t, `${small}attachments: [{ path: logo.png, filename: "{{ b }}" }]\n`),
    load(t, `${html}variants: [{ name: a, share: 1, html: <b> }]\n`),
    load(t, `${html}css: inline\nvariants: [{ name: a, share: 1, html: <b> }]\n`),
    load(t, `${html}variants: [{ name: a, share: 1, html: <b>, text: none }]\n`),
    load(t, `${html}variants: [{ name: a, share: 1, html: { file: a.mjml } }]\n`),
    load(t, `${html}variants: [{ name: a, share: 1, html: { file: a.mjml } }]\n`, { 'c/parts/s.css': 'x' }),
    load(t, `${small}to: "{% render 'a' %}"\n`, { 'c/a': 'a' }),
    load(t, `${small}to: "{% render 'a' %}"\n`, { 'c/a': 'b' }),
  ].map(({ digest }) => digest);
  assert.equal(new Set(digests).size, digests.length);
});

test('a variant has its own text and body work, or the campaign’s', (t) => {
  const written = `variants:
  - { name: own, share: 1, html: { file: a.mjml } }
  - { name: text, share: 1, html: <p>, text: T }
  - { name: bare, share: 1, text: none }
  - { name: same, share: 1 }
`;
  const { campaign } = load(t, `${head}html: <p>\ncss: inline\n${written}`);
  assert.deepEqual(
    campaign.variants?.map((one) => [
      one.text?.source,
      one.leavesOutText,
      one.bodyWork?.makesText,
      one.bodyWork?.inlinesCss,
      one.bodyWork?.mjml?.includes.length,
    ]),
    [
      [undefined, undefined, true, true, 2],
      ['T', undefined, false, true, undefined],
      [undefined, true, undefined, undefined, undefined],
      [undefined, undefined, undefined, undefined, undefined],
    ],
  );
  const [other] = load(t, `${small}${variants('html: <p>')}`).campaign.variants ?? [];
  assert.equal(other?.bodyWork, undefined, 'the campaign has a text of its own');
});

function variants(one: string): string {
  return `variants: [{ name: a, share: 1, ${one} }]\n`;
}

test('every wording needs a body, and every image of any of them its attachment', (t) => {
  assert.deepEqual(refuse(t, `${small}${variants('text: none')}`), [
    'spring.yaml:4:39: variants[0].text and html are both missing; expected at least one of them',
  ]);
  assert.match(
    refuse(t, `${head}${variants('text: none')}`)[0] ?? '',
    /:1:1: text and html are both missing/,
  );
  load(t, `${head}text: none\n${variants('html: <p>')}`);
  assert.match(
    refuse(t, `${small}${variants('html: <img src="cid:a">')}`)[0] ?? '',
    /^spring\.yaml:4:\d+: no attachment has the cid "a"/,
  );
  assert.deepEqual(
    refuse(t, `${small}html: "{% render 'p.html' %}"\n`, { 'c/p.html': '\n<img src="cid:a">' }),
    ['p.html:2:15: no attachment has the cid "a"; expected an attachment with that cid'],
  );
});

test('whatever is a template may name partials', (t) => {
  const names = 'to replyTo header feedback url mailto file column'.split(' ');
  const [to, reply, header, feedback, url, mailto, file, column] = names.map(
    (name) => `"{% render '${name}' %}{{ n }}"`,
  );
  const text = `${small}to: ${to}\nreplyTo: ${reply}\nheaders: { X-A: ${header}, X-B: "{% render 'literal' %}" }\nfeedbackId: ${feedback}
unsubscribe: { url: ${url?.replace('"', '"https://')}, mailto: ${mailto?.replace('"', '"a@b.example')} }
calendar: { file: tea.ics }
attachments: [{ path: logo.png, filename: ${file} }, { column: a, root: invoices, filename: ${column} }]
html: { file: p.mjml }
`;
  const more = Object.fromEntries([...names, 'event', 'mj'].map((name) => [`c/${name}`, 'x']));
  const { campaign } = load(t, text, {
    ...more,
    'c/tea.ics': `${ics}{% include 'event' %}`,
    'c/p.mjml': '<mj-include path="q.mjml">',
    'c/q.mjml': "{% render 'mj' %}",
  });
  assert.deepEqual(Object.keys(campaign.partials ?? {}).sort(), [...names, 'event', 'mj'].sort());
});

test('the digest is the same in every folder', (t) => {
  const text = `${small}attachments: [{ column: a, root: invoices }]\n`;
  assert.equal(load(t, text).digest, load(t, text).digest);
});
