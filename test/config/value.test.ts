// Values of keys: what editors accept is what the parsers accept.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseByteRate, parseDurationMs, parseRate, parseSizeBytes } from '../../src/base/quantity.ts';
import { listenOn } from '../../src/config/endpoint.ts';
import {
  byteRatePattern,
  byteRates,
  duration,
  durationPattern,
  isHost,
  ratePattern,
  size,
  sizePattern,
} from '../../src/config/value.ts';

const quantityLike = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc
    .tuple(
      fc.nat(100_000),
      fc.constantFrom('', '.', '/', ' ', '.5'),
      fc.constantFrom('ms', 's', 'm', 'h', 'd', 'S', 'w', '', 'B', 'kB', 'KiB', 'MiB', 'GB', 'kb'),
    )
    .map((parts) => parts.join('')),
);

test('the pattern of durations accepts what the parser accepts', () => {
  fc.assert(
    fc.property(quantityLike, (text) => durationPattern.test(text) === (parseDurationMs(text) !== undefined)),
  );
});

test('the pattern of rates accepts what the parser accepts, but for 0', () => {
  fc.assert(
    fc.property(
      quantityLike,
      (text) => ratePattern.test(text) === (parseRate(text) !== undefined || /^0+\/[smhd]$/.test(text)),
    ),
  );
});

test('the pattern of sizes accepts what the parser accepts', () => {
  fc.assert(
    fc.property(quantityLike, (text) => sizePattern.test(text) === (parseSizeBytes(text) !== undefined)),
  );
});

test('the pattern of bytes in a time accepts what the parser accepts', () => {
  const parts = fc.tuple(
    fc.integer({ min: 1, max: 100_000 }),
    fc.constantFrom('', '.5', '.', ' '),
    fc.constantFrom('B', 'kB', 'KiB', 'MiB', 'GB', 'kb', ''),
    fc.constantFrom('/s', '/m', '/h', '/d', '/w', 's', '/', '//s'),
  );
  fc.assert(
    fc.property(parts, (written) => {
      const text = written.join('');
      return byteRatePattern.test(text) === (parseByteRate(text) !== undefined);
    }),
  );
});

test('bytes in a time come with the shortest time first, and are enough for a message', () => {
  assert.deepEqual(byteRates().parse(['50GB/d', '10MB/s']), [
    { count: 10_000_000, perMs: 1000 },
    { count: 50_000_000_000, perMs: 86_400_000 },
  ]);
  for (const text of ['999B/s', '1000000GB/s', '10/s', ['1MB/s', '2MB/s'], []])
    assert.equal(byteRates().safeParse(text).success, false, String(text));
});

test('a size has a least and a most', () => {
  const schema = size('1B', '1MiB');
  assert.deepEqual([schema.parse('1B'), schema.parse('1MiB'), schema.parse('1.5KiB')], [1, 1_048_576, 1536]);
  for (const text of ['0B', '2MiB', '1', '1mb']) assert.equal(schema.safeParse(text).success, false, text);
});

test('a duration has a least and a most', () => {
  const schema = duration('1s', '1h');
  assert.equal(schema.parse('1s'), 1000);
  assert.equal(schema.parse('1h'), 3_600_000);
  assert.equal(schema.parse('1.5s'), 1500);
  assert.equal(schema.safeParse('999ms').success, false);
  assert.equal(schema.safeParse('61m').success, false);
  assert.equal(schema.safeParse(`${'9'.repeat(400)}s`).success, false);
});

test('hosts are names and addresses, and nothing that could be more', () => {
  for (const host of [
    'localhost',
    'smtp.example.com',
    'mail_1',
    '127.0.0.1',
    '::1',
    'fe80::1',
    'a'.repeat(63),
  ]) {
    assert.equal(isHost(host), true, host);
  }
  for (const host of [
    '',
    '-a',
    'a-',
    'a..b',
    'a b',
    'a\r\nQUIT',
    'x@y',
    '[::1]',
    '${HOST}',
    'bücher.example',
    'a'.repeat(64),
  ]) {
    assert.equal(isHost(host), false, host);
  }
});

test('a port without a host is on loopback', () => {
  const schema = listenOn();
  assert.deepEqual(schema.parse(9464), { host: '127.0.0.1', port: 9464 });
  assert.deepEqual(schema.parse('9464'), { host: '127.0.0.1', port: 9464 });
  assert.deepEqual(schema.parse(':9464'), { host: '127.0.0.1', port: 9464 });
  assert.deepEqual(schema.parse('0.0.0.0:9464'), { host: '0.0.0.0', port: 9464 });
  assert.deepEqual(schema.parse('[::1]:0'), { host: '::1', port: 0 });
  for (const wrong of ['', 'x', '::1:80', '[x]:80', 'a b:80', '127.0.0.1:65536', '127.0.0.1', 70_000, -1]) {
    assert.equal(schema.safeParse(wrong).success, false, String(wrong));
  }
});
