import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatByteRate,
  formatRate,
  parseByteRate,
  parseDurationMs,
  parseRate,
  parseSizeBytes,
} from '../../src/base/quantity.ts';

const durations: [string, number | undefined][] = [
  ['250ms', 250],
  ['30s', 30_000],
  ['5m', 300_000],
  ['1.5h', 5_400_000],
  ['2d', 172_800_000],
  ['30', undefined],
  ['s', undefined],
  ['-1s', undefined],
  ['1 s', undefined],
  ['1constructor', undefined],
];
for (const [text, expected] of durations) {
  test(`the duration ${text} is ${expected} ms`, () => assert.equal(parseDurationMs(text), expected));
}

const sizes: [string, number | undefined][] = [
  ['512B', 512],
  ['64KiB', 65_536],
  ['25MiB', 26_214_400],
  ['10MB', 10_000_000],
  ['25mib', undefined],
];
for (const [text, expected] of sizes) {
  test(`the size ${text} is ${expected} bytes`, () => assert.equal(parseSizeBytes(text), expected));
}

const rates: [string, { count: number; perMs: number } | undefined][] = [
  ['100/s', { count: 100, perMs: 1000 }],
  ['6000/m', { count: 6000, perMs: 60_000 }],
  ['50000/d', { count: 50_000, perMs: 86_400_000 }],
  ['0/s', undefined],
  ['1.5/s', undefined],
  ['100', undefined],
  ['100/w', undefined],
];
for (const [text, expected] of rates) {
  test(`the rate ${text} is ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(parseRate(text), expected);
    if (expected !== undefined) assert.equal(formatRate(expected), text);
  });
}

const byteRates: [string, { count: number; perMs: number } | undefined][] = [
  ['10MB/s', { count: 10_000_000, perMs: 1000 }],
  ['512KiB/s', { count: 524_288, perMs: 1000 }],
  ['50GB/d', { count: 50_000_000_000, perMs: 86_400_000 }],
  ['7B/m', { count: 7, perMs: 60_000 }],
  ['0MB/s', undefined],
  ['0.1B/s', undefined],
  ['10/s', undefined],
  ['10mb/s', undefined],
  ['10MB', undefined],
  ['10MB/w', undefined],
  ['10 MB/s', undefined],
];
for (const [text, expected] of byteRates) {
  test(`${text} is ${JSON.stringify(expected)} of bytes`, () => {
    assert.deepEqual(parseByteRate(text), expected);
    if (expected !== undefined) assert.equal(formatByteRate(expected), text);
  });
}

test('a fraction of a unit is said in the next smaller one', () => {
  assert.equal(formatByteRate(parseByteRate('2.3MB/s') ?? { count: 1, perMs: 1 }), '2300kB/s');
});
