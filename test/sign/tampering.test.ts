// What breaks a signature on the way, and what must not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Campaign } from '../../src/mail/campaign.ts';
import { createSigner } from '../../src/sign/signer.ts';
import { headersOf, composeOne, messageOf, planOf, recipientOf, templateOf } from '../compose/campaigns.ts';
import { makeEd25519Key, makeRsaKey, recordsOf } from './keys.ts';
import { verifyByMailauth } from './mailauth.ts';
import { composedMessage } from './messages.ts';

const domain = 'mail.example.com';
const at = Date.UTC(2026, 8, 1, 9, 30);
const keys = [makeRsaKey(domain), makeEd25519Key(domain)];
const records = recordsOf(keys);
const signer = createSigner(keys);

function signed(message: string): string {
  return signer.sign(message, at) + message;
}

async function passes(message: string): Promise<boolean> {
  const results = await verifyByMailauth(message, records);
  const passed = results.filter((result) => result === 'pass').length;
  assert.ok(passed === 0 || passed === keys.length, `the signatures disagree: ${results.join(', ')}`);
  return passed > 0;
}

/** A message with all that a campaign can say in its header. */
const campaign: Partial<Campaign> = {
  replyTo: templateOf('Help <help@example.com>'),
  sender: { name: '', address: 'desk@mail.example.com' },
  text: templateOf('Dear reader,\n\nspring has come.\n'),
  html: templateOf('<p>Dear reader, spring has come.</p>\n'),
  headers: headersOf(
    ['In-Reply-To', '<1@example.com>'],
    ['References', '<1@example.com>'],
    ['List-Id', 'News <news.example.com>'],
    ['List-Unsubscribe', '<https://example.com/u>'],
    ['List-Unsubscribe-Post', 'List-Unsubscribe=One-Click'],
    ['List-Help', '<mailto:help@example.com>'],
    ['List-Archive', '<https://example.com/a>'],
    ['List-Owner', '<mailto:owner@example.com>'],
    ['List-Post', 'NO'],
    ['List-Subscribe', '<https://example.com/s>'],
    ['Feedback-ID', 'spring:shop:mail:example'],
  ),
};
const full = messageOf(composeOne(planOf([], campaign), recipientOf([])));
const bare = messageOf(
  composeOne(planOf([], { text: templateOf('Dear reader, spring has come.\n') }), recipientOf([])),
);

/** Every field of the full message, by its name. */
const fieldsOfFull = full
  .slice(0, full.indexOf('\r\n\r\n'))
  .split(/\r\n(?![ \t])/)
  .map((field) => field.slice(0, field.indexOf(':')));

test('the messages of these tests verify, and have the fields that these tests are about', async () => {
  assert.equal(await passes(signed(full)), true);
  assert.equal(await passes(signed(bare)), true);
  assert.equal(fieldsOfFull.length, 20, fieldsOfFull.join());
});

for (const name of fieldsOfFull) {
  test(`a changed ${name} breaks the signature`, async () => {
    const changed = signed(full).replace(new RegExp(`^(${name}: .*)`, 'm'), '$1x');
    assert.notEqual(changed, signed(full));
    assert.equal(await passes(changed), false);
  });

  test(`a second ${name} breaks the signature, above or below the first`, async () => {
    const message = signed(full);
    assert.equal(await passes(`${name}: other@example.net\r\n${message}`), false);
    assert.equal(await passes(message.replace('\r\n\r\n', `\r\n${name}: other@example.net\r\n\r\n`)), false);
  });

  test(`a missing ${name} breaks the signature`, async () => {
    const removed = signed(full).replace(new RegExp(`^${name}:.*\r\n(?:[ \t].*\r\n)*`, 'm'), '');
    assert.notEqual(removed, signed(full));
    assert.equal(await passes(removed), false);
  });
}

const sealed = ['Reply-To', 'Cc', 'In-Reply-To', 'References'];

for (const name of sealed) {
  test(`a message without ${name} cannot be given one`, async () => {
    assert.doesNotMatch(bare, new RegExp(`^${name}:`, 'm'));
    assert.equal(await passes(`${name}: other@example.net\r\n${signed(bare)}`), false);
  });
}

const left = [
  'Received',
  'Return-Path',
  'Authentication-Results',
  'Sender',
  'List-Id',
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
  'Feedback-ID',
  'X-Mailer',
];

for (const name of left) {
  test(`a relay may add ${name} to a message that has none`, async () => {
    assert.equal(await passes(`${name}: other@example.net\r\n${signed(bare)}`), true);
  });
}

test('a campaign’s own X-field may be changed or go away', async () => {
  const message = messageOf(
    composeOne(planOf([], { ...campaign, headers: headersOf(['X-Campaign', 'spring']) }), recipientOf([])),
  );
  assert.equal(await passes(signed(message).replace('X-Campaign: spring\r\n', '')), true);
});

test('folds, blanks and the case of names may change', async () => {
  const message = signed(full)
    .replace('\r\nSubject: Spring is here', '\r\nSUBJECT:  Spring\r\n\tis \r\n here  ')
    .replace('\r\nTo:', '\r\nto:\t')
    .replace('Dear reader,\r\n', 'Dear \t reader, \t\r\n');
  assert.equal(await passes(`${message}\r\n \r\n`), true);
});

test('a changed character of the signature’s own tags breaks it', async () => {
  for (const [from, to] of [
    [/ t=\d/g, ' t=2'],
    [/ bh=./g, ' bh=*'],
    [/:Subject:Subject/g, ':Subject'],
    [/ v=1; /g, ' v=1; l=1; '],
  ] as const) {
    const changed = signed(full).replace(from, to);
    assert.notEqual(changed, signed(full));
    assert.equal(await passes(changed), false);
  }
});

test('a changed, dropped or added character anywhere in a body breaks the signature', async () => {
  await fc.assert(
    fc.asyncProperty(
      composedMessage,
      fc.nat(),
      fc.constantFrom('', 'x', '\u0000'),
      async (message, where, by) => {
        const whole = signed(message);
        const bodyAt = whole.indexOf('\r\n\r\n') + 4;
        const index = bodyAt + (where % (whole.length - bodyAt));
        const changed = `${whole.slice(0, index)}${by}${whole.slice(index + (by === '' ? 1 : 0))}`;
        // What relaxed does not see: one blank more or less.
        fc.pre(/[^ \t\r\n]/.test(by === '' ? (whole[index] ?? '') : by));
        assert.equal(await passes(changed), false);
      },
    ),
  );
});

test('text behind the end breaks the signature: there is no l=', async () => {
  assert.doesNotMatch(signer.sign(full, at), /[; ]l=/);
  assert.equal(await passes(`${signed(full)}more\r\n`), false);
});
