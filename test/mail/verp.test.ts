// VERP: an address tells its campaign and row, in any case, and nobody without the secret can make one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseAddress } from '../../src/mail/address.ts';
import { makeVerp, maxVerpBaseOctets, parseVerp, verpCampaign } from '../../src/mail/verp.ts';

const secret = 'a secret of some length';
const campaign = verpCampaign('spring-sale');
const base = 'bounces@example.com';
const address = makeVerp(base, secret, campaign, 77);
const [local = '', token = ''] = (address.split('@')[0] ?? '').split('+');

const row = fc.integer({ min: 1, max: 2 ** 40 - 1 });

test('an address is a function of secret, campaign, row and reverse-path, and no other has it', () => {
  assert.equal(address, makeVerp(base, secret, campaign, 77));
  assert.match(address, /^bounces\+[a-z2-7]{32}@example\.com$/);
  const others = [
    makeVerp(base, `${secret}!`, campaign, 77),
    makeVerp(base, secret, verpCampaign('autumn-sale'), 77),
    makeVerp(base, secret, campaign, 78),
    makeVerp('returns@example.com', secret, campaign, 77),
  ];
  assert.equal(new Set([address, ...others]).size, 5);
});

test('any row of any campaign reads back, in whatever case the address comes', () => {
  fc.assert(
    fc.property(
      fc.string(),
      row,
      fc.constantFrom('toUpperCase', 'toLowerCase', 'toString'),
      (name, one, change) => {
        const made = makeVerp(base, secret, verpCampaign(name), one);
        assert.deepEqual(parseVerp(made[change](), secret), {
          kind: 'verp',
          campaign: verpCampaign(name),
          row: one,
        });
      },
    ),
  );
});

test('with the longest reverse-path that has room, the local part has 64 octets and is an address', () => {
  const made = makeVerp(`${'b'.repeat(maxVerpBaseOctets)}@example.com`, secret, campaign, 2 ** 40 - 1);
  assert.equal(made.indexOf('@'), 64);
  assert.equal(parseAddress(made).kind, 'address');
});

const refused: readonly (readonly [what: string, address: string, reason: 'noToken' | 'forged'])[] = [
  ['no token', base, 'noToken'],
  ['no address', 'bounces', 'noToken'],
  ['nothing', '', 'noToken'],
  ['nothing before the token', `+${token}@example.com`, 'noToken'],
  ['a truncated token', `${local}+${token.slice(0, -1)}@example.com`, 'noToken'],
  ['a token that goes on', `${local}+${token}a@example.com`, 'noToken'],
  ['a character outside of the alphabet', `${local}+${token.slice(0, -1)}1@example.com`, 'noToken'],
  ['a token of another address', `returns+${token}@example.com`, 'forged'],
  ['a token of another domain', `${local}+${token}@example.net`, 'forged'],
  ['a token of zeros', `${local}+${'a'.repeat(32)}@example.com`, 'forged'],
];

for (const [what, forged, reason] of refused) {
  test(`${what} is refused`, () => {
    assert.deepEqual(parseVerp(forged, secret), { kind: 'refused', reason });
  });
}

test('a token with any one character changed is refused, and so is any token under another secret', () => {
  for (let at = 0; at < token.length; at += 1) {
    for (const other of 'abcdefghijklmnopqrstuvwxyz234567') {
      if (other === token[at]) continue;
      const forged = `${local}+${token.slice(0, at)}${other}${token.slice(at + 1)}@example.com`;
      assert.deepEqual(parseVerp(forged, secret), { kind: 'refused', reason: 'forged' }, forged);
    }
  }
  assert.deepEqual(parseVerp(address, 'another secret of length'), { kind: 'refused', reason: 'forged' });
});

test('rubbish is refused and nothing else happens', () => {
  const rubbish = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string().map((text) => `bounces+${text}@example.com`),
  );
  fc.assert(fc.property(rubbish, (text) => assert.equal(parseVerp(text, secret).kind, 'refused')));
});
