import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePlaces, takePlace } from '../../src/worker/places.ts';

test('a successor gets the place of the thread that died, and nobody else’s', () => {
  const places = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
  assert.deepEqual(
    [7, 8, 9].map((id) => takePlace(places, id)),
    [0, 1, 2],
  );
  assert.equal(takePlace(places, 10), undefined, 'all are taken');
  freePlaces(places, (id) => id !== 8);
  assert.equal(takePlace(places, 10), 1);
  freePlaces(places, () => true);
  assert.equal(takePlace(places, 11), undefined);
});

test('the first thread of all, whose id is 0, has a place, too', () => {
  const places = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  assert.equal(takePlace(places, 0), 0);
  assert.equal(takePlace(places, 1), undefined);
});
