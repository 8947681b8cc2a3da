// Addresses in the To field.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeAddress } from '../../src/compose/address.ts';

test('an ordinary address stands by itself', () => {
  const octets = "o'hara+tag@example.net";
  assert.deepEqual(writeAddress(octets), { kind: 'address', octets, isPlain: true, isUtf8: false });
});

test('a quoted local part and a domain literal need angle brackets', () => {
  for (const address of [
    '"a b, c"@example.net',
    '"a\\"b"@example.net',
    'ann@[192.0.2.1]',
    'ann@[IPv6:2001:db8::1]',
  ])
    assert.deepEqual(writeAddress(address), {
      kind: 'address',
      octets: address,
      isPlain: false,
      isUtf8: false,
    });
});

test('an address that needs SMTPUTF8 is its octets, and says so', () => {
  assert.deepEqual(writeAddress('jörg@example.net'), {
    kind: 'address',
    octets: 'jÃ¶rg@example.net',
    isPlain: true,
    isUtf8: true,
  });
});

test('an address that could be read as something else is refused', () => {
  for (const address of [
    'a@example.net>, b@example.net',
    'a@example.net\r\nBcc: b@example.net',
    'a b@example.net',
    '"a@x',
    '"\u0001"@x.y',
    'ö\u2028@example.net',
    'ö\ud800@example.net',
  ])
    assert.equal(writeAddress(address).kind, 'invalid', address);
});
