import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameBottleneck, type RunTimes } from '../../src/daemon/bottleneck.ts';

const easy: RunTimes = {
  wallMs: 1000,
  threads: 2,
  threadActiveMs: 600,
  mainActiveMs: 300,
  permitWaitMs: 0,
  limit: 'relay primary 100/s',
  meanTransactionMs: 12.34,
  maxConnections: 5,
  cores: 4,
  perSecond: 95,
  roundTripMs: 48,
  deepInFlight: 0,
};

test('waiting for permits for most of the time means that the rate limits', () => {
  assert.equal(nameBottleneck({ ...easy, permitWaitMs: 1800 }), 'the rate limit (relay primary 100/s)');
});

test('busy threads mean that this machine limits', () => {
  assert.match(
    nameBottleneck({ ...easy, threadActiveMs: 1900 }),
    /^this machine's CPU: the 2 sending threads were busy 95 % .*threads: 3/,
  );
  assert.doesNotMatch(nameBottleneck({ ...easy, threadActiveMs: 1900, cores: 2 }), /may help/);
});

test('a busy main thread means that list and ledger limit', () => {
  assert.match(
    nameBottleneck({ ...easy, mainActiveMs: 950 }),
    /the main thread \(list and ledger\) was busy 95 %/,
  );
});

test('a long round trip to a relay that offers CHUNKING means that deep would help, and by how much at most', () => {
  assert.equal(
    nameBottleneck({ ...easy, deepInFlight: 16 }),
    'the relay: round trip 48 ms, CHUNKING offered: pipelining: deep could send up to 1,700/s instead of 95/s',
  );
  assert.doesNotMatch(nameBottleneck({ ...easy, deepInFlight: 16, roundTripMs: 1 }), /deep/);
});

test('otherwise the relay limits', () => {
  assert.match(nameBottleneck(easy), /^the relay: a transaction took 12\.3 ms over 5 sessions/);
});
