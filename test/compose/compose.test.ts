// Whole messages: what they look like, what they promise, and what makes a recipient invalid.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosthasteError } from '../../src/base/error.ts';
import { compileCampaign } from '../../src/compose/compose.ts';
import type { Campaign } from '../../src/mail/campaign.ts';
import { assertContract, at, composeOne, messageOf, planOf, recipientOf, templateOf } from './campaigns.ts';

test('a text message', () => {
  const plan = planOf(['email', 'first name'], {
    subject: templateOf("{{ first_name | default: 'Hello' }}, spring is here"),
    text: templateOf('Dear {{ first_name }},\n\n.hidden\nIt costs 1 = one.\n'),
    replyTo: templateOf('help@example.com'),
    headers: [['X-SMTPAPI', templateOf('{"category": "spring"}')]],
  });
  const composed = composeOne(plan, recipientOf(['ann@example.net', 'Zoë']));
  assert.ok(composed.kind === 'message');
  assert.equal(composed.messageId, composed.message.match(/^Message-ID: <(.*)>\r$/m)?.[1]);
  assert.equal(
    composed.message,
    [
      'Date: Tue, 01 Sep 2026 09:30:00 +0000',
      `Message-ID: <${composed.messageId}>`,
      'To: ann@example.net',
      'Subject: =?UTF-8?Q?Zo=C3=AB=2C_spring_is_here?=',
      'From: Shop <hello@mail.example.com>',
      'Reply-To: help@example.com',
      'X-SMTPAPI: {"category": "spring"}',
      'Content-Transfer-Encoding: quoted-printable',
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      '',
      'Dear=20Zo=C3=AB,',
      '',
      '=2Ehidden',
      'It costs 1 =3D one.',
      '',
    ].join('\r\n'),
  );
});

test('a message with text, HTML, an inline image and a file', () => {
  const plan = planOf(['name'], {
    text: templateOf('Hi {{ name }}'),
    html: templateOf('<p>Hi {{ name }}<img src="cid:logo"></p>'),
    attachments: [
      { filename: 'logo.png', content: Buffer.from('png'), cid: 'logo' },
      { filename: 'terms.pdf', content: Buffer.alloc(100, 'pdf') },
    ],
  });
  const message = messageOf(composeOne(plan, recipientOf(['<Ann>'])));
  assertContract(message);
  const outline = message
    .match(/^(?:Content-Type: [^;\r]*|Hi.*|<p>.*|--=_.*)(?=\r$)/gm)
    ?.map((line) => line.replace(/=_posthaste-[0-9a-f]{16}/, '='));
  assert.deepEqual(outline, [
    '--=-Part_1',
    '--=-Part_2',
    'Hi=20<Ann>',
    '--=-Part_2',
    '--=-Part_4',
    '<p>Hi=20&lt;Ann&gt;<img src=3D"cid:logo"></p>',
    '--=-Part_4',
    '--=-Part_4--',
    '--=-Part_2--',
    '--=-Part_1',
    '--=-Part_1--',
  ]);
});

test('a message is a function of campaign, recipient and time', () => {
  const plan = planOf(['name'], {
    text: templateOf('{% assign n = name %}{{ n }}'),
    html: templateOf('{{ name }}'),
  });
  const composer = compileCampaign(plan);
  const first = composer.compose(recipientOf(['Ann']), at);
  composer.compose(recipientOf(['Ben']), at + 1000);
  assert.deepEqual(composer.compose(recipientOf(['Ann']), at), first);
  assert.deepEqual(composeOne(plan, recipientOf(['Ann'])), first);
});

test('the Date is that of the moment, to the second', () => {
  const composer = compileCampaign(planOf([], { text: templateOf('x') }));
  for (const [laterMs, seconds] of [
    [0, '00'],
    [999, '00'],
    [1000, '01'],
    [0, '00'],
  ] as const)
    assert.ok(
      messageOf(composer.compose(recipientOf([]), at + laterMs)).startsWith(
        `Date: Tue, 01 Sep 2026 09:30:${seconds} +0000\r\n`,
      ),
    );
});

test('what one template counts or assigns is unknown to the others', () => {
  const count = templateOf('{% increment n %}{% increment n %}{{ n }}');
  const message = messageOf(
    composeOne(planOf(['n'], { subject: count, text: count, html: count }), recipientOf(['x'])),
  );
  assert.match(message, /^Subject: 012\r$/m);
  assert.equal(message.match(/^012\r$/gm)?.length, 2);
});

test('a value cannot end a part, whatever it knows of the boundary', () => {
  const plan = planOf(['name'], { text: templateOf('{{ name }}'), html: templateOf('{{ name }}') });
  const boundary = messageOf(composeOne(plan, recipientOf(['x']))).match(/^--=_.*(?=\r$)/m)?.[0] ?? '';
  assert.match(boundary, /^--=_posthaste/);
  const message = messageOf(
    composeOne(plan, recipientOf([`\r\n${boundary}\r\nContent-Type: text/html\r\n\r\n<script>`])),
  );
  assert.equal(message.split(`\r\n${boundary}\r\n`).length, 3);
});

test('a missing cell takes the default', () => {
  const plan = planOf(['a', 'b'], {
    subject: templateOf("[{{ b | default: 'none' }}]"),
    text: templateOf('x'),
  });
  assert.match(messageOf(composeOne(plan, recipientOf(['a']))), /^Subject: \[none\]\r$/m);
});

test('a name in the recipient address never reaches another header', () => {
  const plan = planOf([], { text: templateOf('x') });
  assert.equal(composeOne(plan, recipientOf([], 'a@example.net\r\nBcc: b@example.net')).kind, 'invalid');
});

test('what Liquid cannot render for one recipient makes that recipient invalid and no other', () => {
  const composer = compileCampaign(planOf(['n'], { text: templateOf('{% for i in (1..n) %}x{% endfor %}') }));
  assert.deepEqual(composer.compose(recipientOf([1e12]), at), {
    kind: 'invalid',
    reason: 'memory alloc limit exceeded (template.txt:1:1)',
  });
  assert.equal(composer.compose(recipientOf([3]), at).kind, 'message');
});

test('an address of the campaign with an international domain is written in A-labels', () => {
  const plan = planOf([], { text: templateOf('x'), from: { name: '', address: 'hello@bücher.example' } });
  const message = messageOf(composeOne(plan, recipientOf([])));
  assert.match(message, /^From: hello@xn--bcher-kva\.example\r$/m);
  assert.match(message, /^Message-ID: <.*\.7@xn--bcher-kva\.example>\r$/m);
});

test('a message as attachment travels as a file, for its lines would break the promises', () => {
  for (const contentType of [undefined, 'message/rfc822', 'multipart/mixed']) {
    const attachment = { filename: 'old.eml', content: Buffer.from('.\r\nSubject: \xe9\n'), contentType };
    const message = messageOf(
      composeOne(planOf([], { text: templateOf('x'), attachments: [attachment] }), recipientOf([])),
    );
    assertContract(message);
    assert.match(message, /^Content-Type: application\/octet-stream; name=old\.eml\r$/m);
  }
});

test('header fields that cannot be written are refused when the campaign is compiled', () => {
  const table: readonly (readonly [why: RegExp, campaign: Partial<Campaign>])[] = [
    [/"Bcc" is written by Posthaste itself/, { headers: [['Bcc', templateOf('x@example.com')]] }],
    [/"content-type" is written/, { headers: [['content-type', templateOf('text/plain')]] }],
    [/"X: y" is no header name/, { headers: [['X: y', templateOf('z')]] }],
    [/"X\r\nBcc" is no header name/, { headers: [['X\r\nBcc', templateOf('z')]] }],
    [/"\.X" is no header name/, { headers: [['.X', templateOf('z')]] }],
    [/"" is no header name/, { headers: [['', templateOf('z')]] }],
    [/is longer than 998 characters/, { headers: [['X-Long', templateOf('y'.repeat(1000))]] }],
    [/From address cannot be written/, { from: { name: '', address: 'a b@example.com' } }],
  ];
  for (const [why, campaign] of table) {
    const check = (thrown: unknown): boolean =>
      thrown instanceof PosthasteError && thrown.code === 'ERR_CAMPAIGN_HEADER' && why.test(thrown.message);
    assert.throws(
      () => compileCampaign(planOf([], { text: templateOf('x'), ...campaign })),
      check,
      String(why),
    );
  }
});

test('a header value without {{ is literal, and its line breaks are spaces', () => {
  const headers = [['X-Note', templateOf('{% name %} =?utf-8?q?=41?=\r\nBcc: x@example.com')]] as const;
  const message = messageOf(
    composeOne(planOf(['name'], { text: templateOf('x'), headers }), recipientOf(['Ann'])),
  );
  assertContract(message);
  assert.doesNotMatch(message, /^Bcc/m);
  assert.match(message, /^X-Note: =\?UTF-8\?B\?eyUgbmFtZSAlfSA9P3V0Zi04P3E/m);
});

test('a static attachment is encoded once, and messages share it', () => {
  const content = Buffer.alloc(2 * 1_048_576, 'x');
  const plan = planOf(['name'], {
    text: templateOf('{{ name }}'),
    attachments: [{ filename: 'a.bin', content, filenameTemplate: templateOf('{{ name }}.bin') }],
  });
  const composer = compileCampaign(plan);
  const before = process.memoryUsage().heapUsed;
  const messages = Array.from({ length: 200 }, (_, row) =>
    messageOf(composer.compose(recipientOf([`n${row}`]), at)),
  );
  const grownBytes = process.memoryUsage().heapUsed - before;
  assert.ok((messages[199]?.length ?? 0) > content.length);
  // Copies would be 560 MB.
  assert.ok(grownBytes < 50_000_000, `${grownBytes} bytes`);
});
