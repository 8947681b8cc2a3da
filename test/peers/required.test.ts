// A test that lacks its program is skipped at home and fails in CI.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { skipUnlessInstalled, skipUnlessReady } from './required.ts';

const missing = 'no-program-has-this-name';
const before = process.env['CI'];

beforeEach(() => delete process.env['CI']);
afterEach(() => {
  if (before === undefined) delete process.env['CI'];
  else process.env['CI'] = before;
});

test('a program that is installed is no reason to skip', () => {
  assert.equal(skipUnlessInstalled('sh'), false);
});

test('a program that is missing is a reason to skip, which names it', () => {
  assert.equal(skipUnlessInstalled(missing), `${missing} is not installed`);
});

test('a server that lacks one of its programs is skipped, root or not', () => {
  assert.equal(skipUnlessReady(['sh', missing]), `${missing} is not installed`);
});

test('in CI a program that is missing is an error', () => {
  process.env['CI'] = 'true';
  assert.throws(() => skipUnlessInstalled(missing), new RegExp(`CI is set, and ${missing} is not installed`));
  assert.equal(skipUnlessInstalled('sh'), false);
});
