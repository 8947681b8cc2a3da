// Addresses in the To field.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTo } from '../../src/compose/address.ts';

test('an ordinary address stands by itself', () => {
  assert.deepEqual(formatTo("o'hara+tag@example.net"), { kind: 'field', value: "o'hara+tag@example.net" });
});

test('a quoted local part and a domain literal go into angle brackets', () => {
  for (const address of [
    '"a b, c"@example.net',
    '"a\\"b"@example.net',
    'ann@[192.0.2.1]',
    'ann@[IPv6:2001:db8::1]',
  ])
    assert.deepEqual(formatTo(address), { kind: 'field', value: `<${address}>` });
});

test('an address that needs SMTPUTF8 is refused', () => {
  const reason = 'address needs SMTPUTF8, which is not supported yet';
  assert.deepEqual(formatTo('jörg@example.net'), { kind: 'invalid', reason });
});

test('an address that could be read as something else is refused', () => {
  for (const address of [
    'a@example.net>, b@example.net',
    'a@example.net\r\nBcc: b@example.net',
    'a b@example.net',
    '"a@x',
    '"\u0001"@x.y',
  ])
    assert.equal(formatTo(address).kind, 'invalid', address);
});
