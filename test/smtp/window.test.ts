import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionLimit } from '../../src/smtp/connection_limit.ts';
import { Window } from '../../src/smtp/window.ts';

/** A session over a line of `roundTripMs` to a relay that takes `serviceMs` a message. Returns the window it ends with. */
function settleWindow(most: number, roundTripMs: number, serviceMs: number): number {
  const window = new Window(most);
  for (let count = 0; count < 500; count += 1) {
    const inFlight = window.size;
    // All but the first wait at the relay, unless the line is what takes the time.
    window.note(Math.max(roundTripMs + serviceMs, inFlight * serviceMs), inFlight);
  }
  return window.size;
}

test('a long line is filled up to the most', () => assert.equal(settleWindow(16, 50, 1), 16));
test('a short line to a slow relay stays nearly empty', () => assert.ok(settleWindow(16, 0.2, 10) <= 3));
test('the window fits the line: 20 ms and 2 ms a message need about 20', () => {
  const size = settleWindow(64, 20, 2);
  assert.ok(size >= 11 && size <= 24, String(size));
});

test('a window that was not full does not grow', () => {
  const window = new Window(8);
  window.note(10, 1);
  assert.equal(window.size, 2);
  for (let count = 0; count < 20; count += 1) window.note(10, 1);
  assert.equal(window.size, 2);
});

test('a relay that becomes slow makes the window shrink, never below 1', () => {
  const window = new Window(8);
  for (let count = 0; count < 10; count += 1) window.note(10, window.size);
  assert.equal(window.size, 8);
  for (let count = 0; count < 20; count += 1) window.note(100, window.size);
  assert.equal(window.size, 1);
});

test('a refused session shrinks the limit to what is open, and time brings it back one by one', () => {
  const limit = new ConnectionLimit(10);
  assert.equal(limit.allowed(0), 10);
  limit.refused(4, 1000);
  assert.equal(limit.allowed(1000), 4);
  assert.equal(limit.allowed(30_999), 4);
  assert.equal(limit.allowed(31_000), 5);
  assert.equal(limit.allowed(91_000), 7);
  assert.equal(limit.allowed(1_000_000), 10);
});

test('the limit never falls below one session', () => {
  const limit = new ConnectionLimit(10);
  limit.refused(0, 0);
  assert.equal(limit.allowed(0), 1);
});
