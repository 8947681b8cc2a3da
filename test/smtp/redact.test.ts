// Secrets stay out of texts, whatever they are made of and however they are written.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { maskSecrets, secretsOf } from '../../src/smtp/redact.ts';
import { relayAt } from './scripted_relay.ts';

test('a secret is masked in plain, in base64, percent-encoded and as one line', () => {
  const secret = fc.string({
    unit: fc.constantFrom('a', 'Z', '7', '/', '+', '=', '%', 'é', '€', '\t', '$', '&'),
    minLength: 4,
  });
  fc.assert(
    fc.property(secret, fc.string(), (hidden, other) => {
      const forms = [
        hidden,
        Buffer.from(hidden).toString('base64'),
        encodeURIComponent(hidden),
        hidden.replace(/\t+/g, ' '),
      ];
      for (const form of forms)
        assert.equal(maskSecrets(`535 no (${form})`, [other, hidden]).includes(form), false);
    }),
  );
});

test('a secret that holds another is masked whole', () => {
  assert.equal(maskSecrets('no: pass-and-more, pass', ['pass', 'pass-and-more']), 'no: ***, ***');
});

test('every secret of a relay is known, in the forms in which it is sent', () => {
  const proxy = { kind: 'http', host: 'p.example', port: 1, user: 'me', pass: 'proxy-pass' } as const;
  const tls = { rejectUnauthorized: true, passphrase: 'key-pass' };
  const login = secretsOf(relayAt(25, { auth: { user: 'u', pass: 'mail-pass' }, proxy, tls }));
  const basic = Buffer.from('me:proxy-pass').toString('base64');
  const plain = Buffer.from('\0u\0mail-pass').toString('base64');
  for (const secret of ['proxy-pass', 'key-pass', 'mail-pass', basic, plain])
    assert.ok(login.includes(secret));
  const auth = {
    type: 'OAuth2',
    user: 'u',
    accessToken: 'at',
    refreshToken: 'rt',
    clientSecret: 'cs',
    accessUrl: 'https://t.example/',
  } as const;
  assert.deepEqual(secretsOf(relayAt(25, { auth })), ['at', 'rt', 'cs']);
});
