// What the outbox says was sent is what was taken out of it, to the octet.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outbox } from '../../src/smtp/outbox.ts';

test('an octet counts as taken once it has been, and not before', () => {
  const outbox = new Outbox();
  outbox.put('RSET\r\n');
  outbox.put('MAIL');
  assert.deepEqual([outbox.end, outbox.length], [10, 10]);
  assert.equal(outbox.take(7), 'RSET\r\nM');
  assert.deepEqual([outbox.hasTaken(6), outbox.hasTaken(7)], [true, false]);
  assert.deepEqual([outbox.end, outbox.length], [10, 3]);
});

test('what was forgotten was never sent', () => {
  const outbox = new Outbox();
  outbox.put('DATA\r\n');
  outbox.take(2);
  outbox.clear();
  assert.deepEqual([outbox.take(Infinity), outbox.end, outbox.hasTaken(2)], ['', 2, false]);
});
