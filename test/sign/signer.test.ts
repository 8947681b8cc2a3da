// How a DKIM-Signature field looks, and which keys write one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { keysFor } from '../../src/sign/key.ts';
import { createSigner } from '../../src/sign/signer.ts';
import { makeEd25519Key, makeRsaKey, recordsOf } from './keys.ts';
import { verifyByMailauth } from './mailauth.ts';
import { composedMessage } from './messages.ts';

const domain = 'mail.example.com';
const at = Date.UTC(2026, 8, 1, 9, 30, 0, 999);
const message = 'From: hello@mail.example.com\r\nTo: a@example.net\r\nSubject: Hello\r\n\r\nHello.\r\n';

test('a field has its tags in this order, t= in whole seconds, and neither l= nor i=', () => {
  const field = createSigner([makeEd25519Key(domain)]).sign(message, at);
  assert.match(
    field,
    /^DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed\/relaxed; d=mail\.example\.com;\r\n s=ed;\r\n t=1788255000; bh=[A-Za-z0-9+/]{43}=;\r\n h=From:From:[A-Za-z:\-\r\n ]+;\r\n b=[A-Za-z0-9+/]{75}\r\n [A-Za-z0-9+/]{11}==\r\n$/,
  );
});

test('what is there is named once more than it is there, what could only be added is named once', () => {
  const field = createSigner([makeEd25519Key(domain)]).sign(`List-Id: <a>\r\n${message}`, at);
  const [, names = ''] = /\sh=([^;]*);/.exec(field) ?? [];
  assert.deepEqual(names.replace(/\s/g, '').split(':'), [
    'From',
    'From',
    'Reply-To',
    'To',
    'To',
    'Cc',
    'Subject',
    'Subject',
    'Date',
    'Message-ID',
    'In-Reply-To',
    'References',
    'MIME-Version',
    'Content-Type',
    'Content-Transfer-Encoding',
    'List-Id',
    'List-Id',
  ]);
});

test('no line of a field is longer than 78 characters, and none begins with a dot', () => {
  const keys = [
    makeRsaKey(domain),
    makeEd25519Key(domain),
    makeRsaKey('mail.a-domain-with-a-rather-long-name.example.com', 'selector-2026-09-01', 4096),
  ];
  const signer = createSigner(keys);
  fc.assert(
    fc.property(composedMessage, (composed) => {
      const fields = signer.sign(composed, at);
      assert.match(fields, /^[\r\n -~]*\r\n$/);
      for (const line of fields.split('\r\n')) {
        assert.ok(line.length <= 78, line);
        assert.ok(!line.startsWith('.'), line);
        assert.ok(!line.endsWith(' '), JSON.stringify(line));
      }
      assert.equal(fields.match(/^DKIM-Signature: /gm)?.length, keys.length);
    }),
    { numRuns: 30 },
  );
});

test('names too long for a line of 78 stand on lines of their own, and verify', async () => {
  const label = 'x'.repeat(63);
  const keys = [makeEd25519Key(`${label}.${label}.example.com`, `${label}.${label}`)];
  const fields = createSigner(keys).sign(message, at);
  assert.ok(fields.split('\r\n').every((line) => line.length < 200));
  assert.deepEqual(await verifyByMailauth(fields + message, recordsOf(keys)), ['pass']);
});

test('the same message at the same time has the same signature', () => {
  const signer = createSigner([makeRsaKey(domain), makeEd25519Key(domain)]);
  assert.equal(signer.sign(message, at), signer.sign(message, at));
});

const successors: readonly (readonly [what: string, header: string])[] = [
  ['a field is folded on', 'From: a@example.com\r\nSubject: one\r\n two\r\nTo: b@example.com\r\n'],
  ['a field ends earlier', 'From: a@example.com\r\nSubject: on\r\nTo: b@example.com\r\n'],
  ['two fields change places', 'From: a@example.com\r\nTo: b@example.com\r\nSubject: one\r\n'],
  ['a field is another one', 'From: a@example.com\r\nSubject: one\r\nCc: b@example.com\r\n'],
  ['a field goes away', 'From: a@example.com\r\nSubject: one\r\n'],
  ['a field is added', 'From: a@example.com\r\nSubject: one\r\nTo: b@example.com\r\nCc: c@example.com\r\n'],
  ['a field comes twice', 'From: a@example.com\r\nSubject: one\r\nSubject: one\r\nTo: b@example.com\r\n'],
];

for (const [what, header] of successors) {
  test(`where ${what}, a signer does not take the message for the one before`, async () => {
    const keys = [makeEd25519Key('example.com')];
    const signer = createSigner(keys);
    signer.sign('From: a@example.com\r\nSubject: one\r\nTo: b@example.com\r\n\r\nHello.\r\n', at);
    const next = `${header}\r\nHello.\r\n`;
    assert.deepEqual(await verifyByMailauth(signer.sign(next, at) + next, recordsOf(keys)), ['pass']);
  });
}

test('a message without an empty line is a bug, not a signature', () => {
  assert.throws(
    () => createSigner([makeEd25519Key(domain)]).sign('From: a@example.com\r\n', at),
    /^Error: bug: /,
  );
});

const keyTable: readonly (readonly [from: string, domains: readonly string[], signing: readonly string[]])[] =
  [
    ['example.com', [], []],
    ['example.com', ['example.com'], ['example.com']],
    ['example.com', ['example.com', 'example.com'], ['example.com', 'example.com']],
    ['example.com', ['example.net', 'example.com'], ['example.com']],
    ['mail.example.com', ['example.com'], ['example.com']],
    ['a.b.example.com', ['example.com', 'b.example.com'], ['b.example.com']],
    [
      'a.b.example.com',
      ['b.example.com', 'example.com', 'b.example.com'],
      ['b.example.com', 'b.example.com'],
    ],
    ['b.example.com', ['a.b.example.com', 'example.com'], ['example.com']],
    ['a.b.example.com', ['b.example.com', 'example.com'], ['b.example.com']],
    ['example.com', ['mail.example.com'], []],
    ['badexample.com', ['example.com'], []],
    ['example.com.evil.example', ['example.com'], []],
    ['example.com', ['ample.com', 'com.example'], []],
  ];

for (const [from, domains, signing] of keyTable) {
  test(`of keys for ${domains.join(', ') || 'nobody'}, those for ${signing.join(', ') || 'nobody'} sign for ${from}`, () => {
    const chosen = keysFor(
      domains.map((domain) => ({ domain })),
      from,
    );
    assert.deepEqual(
      chosen.map((key) => key.domain),
      signing,
    );
  });
}
