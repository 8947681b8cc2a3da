// Holds the decoders to one mark for each bad sequence, wherever the chunks are cut.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { makeDecoder } from '../../src/intake/charset.ts';
import { undecodable } from '../../src/intake/row.ts';
import { cutAt } from './read_rows.ts';

function decode(label: string, chunks: readonly Uint8Array[]): string {
  const decoder = makeDecoder(label, 'list.csv');
  return chunks.map((chunk) => decoder.decode(chunk)).join('') + decoder.end();
}

test('valid text comes through, a byte order mark at its beginning does not', () => {
  assert.equal(decode('utf-8', [Buffer.from('\ufeffaü€😀\ufeff')]), 'aü€😀\ufeff');
  assert.equal(decode('utf-8', [Buffer.from([0xef]), Buffer.from([0xbb]), Buffer.from([0xbf, 0x61])]), 'a');
  assert.equal(decode('UTF-8', [Buffer.from('a')]), 'a');
  assert.equal(decode('utf-8', []), '');
});

test('bad bytes are marked, a genuine U+FFFD is not', () => {
  const bytes = Buffer.concat([
    Buffer.from('a\ufffd'),
    Buffer.from([0xe9, 0x2c, 0xe2, 0x82]),
    Buffer.from('\ufffdb'),
    Buffer.from([0xf0]),
  ]);
  assert.equal(decode('utf-8', [bytes]), `a\ufffd${undecodable},${undecodable}\ufffdb${undecodable}`);
});

test('a UTF-16 byte order mark names the charset to ask for', () => {
  for (const [bytes, charset] of [
    [[0xff, 0xfe, 0x61, 0], 'utf-16le'],
    [[0xfe, 0xff, 0, 0x61], 'utf-16be'],
  ] as const) {
    assert.throws(() => decode('utf-8', [Buffer.from(bytes)]), {
      code: 'ERR_LIST_ENCODING',
      exitCode: 65,
      hint: new RegExp(charset),
    });
    assert.equal(decode(charset, [Buffer.from(bytes)]), 'a');
  }
});

test('other charsets are read by their names, an unknown one is an error', () => {
  assert.equal(decode('windows-1252', [Buffer.from([0xfc, 0x80, 0x22])]), 'ü€"');
  assert.equal(decode('shift_jis', [Buffer.from([0x83]), Buffer.from([0x65, 0xff])]), `テ${undecodable}`);
  assert.throws(() => makeDecoder('latin-47', 'list.csv'), { code: 'ERR_LIST_CHARSET', exitCode: 65 });
});

test('the text of any bytes is the same however they are cut', () => {
  const pieces = fc.constantFrom<number[]>(
    [0x61],
    [0x0a],
    [0xc3, 0xbc],
    [0xe2, 0x82, 0xac],
    [0xf0, 0x9f, 0x98, 0x80],
    [0xef, 0xbf, 0xbd],
    [0xef, 0xbb, 0xbf],
    [0x80],
    [0xe2, 0x82],
    [0xf0, 0x9f],
    [0xed, 0xa0, 0x80],
    [0xff],
    [0xc0],
    [0xf5],
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 15 }), fc.array(fc.nat(), { maxLength: 8 }), (parts, cuts) => {
      const bytes = Uint8Array.from([0x61, ...parts.flat()]);
      const whole = decode('utf-8', [bytes]);
      assert.equal(decode('utf-8', cutAt(bytes, cuts)), whole);
      assert.equal(decode('utf-8', cutAt(bytes, [...bytes.keys()])), whole);
      assert.equal(whole.toWellFormed(), new TextDecoder().decode(bytes));
    }),
    { numRuns: 5000 },
  );
});
