// What a relay offers in its answer to EHLO.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExtensions } from '../../src/smtp/extensions.ts';

test('REQUIRETLS counts only in TLS with a verified certificate', () => {
  assert.equal(parseExtensions(['requiretls'], true).requireTls, true);
  assert.equal(parseExtensions(['REQUIRETLS'], false).requireTls, false);
  assert.equal(parseExtensions(['STARTTLS'], true).requireTls, false);
});
