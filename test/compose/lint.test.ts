// The linter: what providers refuse of bulk mail is found, and what they take is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lintMessage, mayAlign, type CampaignFacts } from '../../src/compose/lint.ts';
import type { Campaign } from '../../src/mail/campaign.ts';
import { composeOne, messageOf, planOf, recipientOf, templateOf } from './campaigns.ts';

const facts: CampaignFacts = { signingDomains: [], declinesOneClick: false };
const good = { unsubscribe: { url: templateOf('https://example.com/u'), oneClick: true } };

function lint(campaign: Partial<Campaign>, known: Partial<CampaignFacts> = {}): string[] {
  const message = messageOf(composeOne(planOf([], { text: templateOf('x'), ...campaign }), recipientOf([])));
  return lintMessage(message, { ...facts, ...known }).map(({ severity, code }) => `${severity} ${code}`);
}

const header = (name: string, value: string) => [name, templateOf(value)] as const;

const table: readonly (readonly [
  what: string,
  campaign: Partial<Campaign>,
  known: Partial<CampaignFacts>,
  findings: string[],
])[] = [
  ['one-click unsubscribe', good, {}, []],
  ['no List-Unsubscribe', {}, {}, ['advised no-unsubscribe']],
  [
    'a URL without -Post',
    { headers: [header('List-Unsubscribe', '<https://a.example/u>')] },
    {},
    ['refused unsubscribe-without-post'],
  ],
  [
    'a URL without -Post, on purpose',
    { unsubscribe: { ...good.unsubscribe, oneClick: false } },
    { declinesOneClick: true },
    ['advised unsubscribe-without-post'],
  ],
  [
    'an http URL',
    { headers: [header('List-Unsubscribe', '<http://a.example/u>')] },
    {},
    ['refused unsubscribe-not-https'],
  ],
  [
    'an http URL, whatever the campaign says',
    { headers: [header('List-Unsubscribe', '<http://a.example/u>')] },
    { declinesOneClick: true },
    ['refused unsubscribe-not-https'],
  ],
  [
    'only mailto',
    { unsubscribe: { mailto: templateOf('u@a.example'), oneClick: true } },
    {},
    ['refused unsubscribe-not-https'],
  ],
  [
    'only mailto, on purpose',
    { unsubscribe: { mailto: templateOf('u@a.example'), oneClick: false } },
    { declinesOneClick: true },
    ['advised unsubscribe-not-https'],
  ],
  [
    '-Post alone',
    { headers: [header('List-Unsubscribe-Post', 'List-Unsubscribe=One-Click')] },
    {},
    ['refused post-without-list'],
  ],
  [
    'another -Post',
    {
      headers: [
        header('List-Unsubscribe', '<https://a.example/u>'),
        header('List-Unsubscribe-Post', 'One-Click'),
      ],
    },
    {},
    ['refused unsubscribe-post-wrong'],
  ],
  [
    'List-Unsubscribe twice',
    { ...good, headers: [header('list-unsubscribe', '<https://a.example/u>')] },
    {},
    ['refused duplicate-field'],
  ],
  [
    'Precedence twice',
    { ...good, precedence: 'bulk', headers: [header('Precedence', 'list')] },
    {},
    ['refused duplicate-field'],
  ],
  ['a Feedback-ID for Gmail', { ...good, feedbackId: templateOf('a:b:c:shop1') }, {}, []],
  [
    'a Feedback-ID that Gmail ignores',
    { ...good, feedbackId: templateOf('spring') },
    {},
    ['advised feedback-id-form'],
  ],
  ['a signature of From’s domain', good, { signingDomains: ['mail.example.com'] }, []],
  ['a signature of the organisation', good, { signingDomains: ['other.test', 'example.com'] }, []],
  [
    'signatures of others only',
    good,
    { signingDomains: ['other.test', 'example.org'] },
    ['refused from-not-aligned'],
  ],
];

for (const [what, campaign, known, findings] of table) {
  test(`${what}: ${findings.join(', ') || 'nothing is found'}`, () => {
    assert.deepEqual(lint(campaign, known), findings);
  });
}

function found(message: string): string[] {
  return lintMessage(message, facts).map(({ code, text }) => `${code} ${text.split(' ')[0]}`);
}

test('a message without Date, From or Message-ID, or with two of one, is refused', () => {
  assert.deepEqual(found('Subject: x\r\nsubject:\r\n y\r\n\r\nDate: in the body\r\n').slice(0, 4), [
    'duplicate-field Subject',
    'missing-field Date',
    'missing-field From',
    'missing-field Message-ID',
  ]);
});

test('domains may align where the last two labels agree, or three under a registry of a country', () => {
  const pairs: readonly (readonly [string, string, boolean])[] = [
    ['example.com', 'example.com', true],
    ['Example.com', 'mail.example.COM', true],
    ['a.example.com', 'b.example.com', true],
    ['example.com', 'example.org', false],
    ['example.com', 'anexample.com', false],
    ['com', 'example.com', false],
    ['shop.co.uk', 'bank.co.uk', false],
    ['a.shop.co.uk', 'b.shop.co.uk', true],
    ['bücher.example', 'mail.xn--bcher-kva.example', true],
  ];
  for (const [one, other, aligned] of pairs) {
    assert.equal(mayAlign(one, other), aligned, `${one} ${other}`);
    assert.equal(mayAlign(other, one), aligned, `${other} ${one}`);
  }
});
