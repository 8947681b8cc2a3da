// The fan-out: everybody hears everything, in one order, whoever fails.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFanout } from '../../src/events/fanout.ts';

function failOnError(thrown: unknown): void {
  throw thrown;
}

test('every subscriber hears every event before publish returns', () => {
  const fanout = createFanout<string>(failOnError);
  const heard: string[] = [];
  fanout.subscribe((event) => heard.push(`first ${event}`));
  fanout.subscribe((event) => heard.push(`second ${event}`));
  fanout.publish('a');
  fanout.publish('b');
  assert.deepEqual(heard, ['first a', 'second a', 'first b', 'second b']);
});

test('a listener that throws stops nobody and is reported with its event', () => {
  const reported: unknown[] = [];
  const fanout = createFanout<string>((thrown, event) => reported.push([thrown, event]));
  const heard: string[] = [];
  const trouble = new Error('no');
  fanout.subscribe(() => {
    throw trouble;
  });
  fanout.subscribe((event) => heard.push(event));
  fanout.publish('a');
  fanout.publish('b');
  assert.deepEqual(heard, ['a', 'b']);
  assert.deepEqual(reported, [
    [trouble, 'a'],
    [trouble, 'b'],
  ]);
});

test('a subscription ends once, and only the one that is ended', () => {
  const fanout = createFanout<string>(failOnError);
  const heard: string[] = [];
  const listener = (event: string): void => void heard.push(event);
  const unsubscribe = fanout.subscribe(listener);
  fanout.subscribe(listener);
  unsubscribe();
  unsubscribe();
  fanout.publish('a');
  assert.deepEqual(heard, ['a']);
});

test('who comes or goes while an event is told does not disturb it', () => {
  const fanout = createFanout<string>(failOnError);
  const heard: string[] = [];
  const unsubscribe = fanout.subscribe((event) => {
    heard.push(`first ${event}`);
    unsubscribe();
    fanout.subscribe((later) => heard.push(`late ${later}`));
  });
  fanout.subscribe((event) => heard.push(`second ${event}`));
  fanout.publish('a');
  fanout.publish('b');
  assert.deepEqual(heard, ['first a', 'second a', 'second b', 'late b']);
});

test('what a listener publishes follows the present event, for all in the same order', () => {
  const fanout = createFanout<string>(failOnError);
  const heard: string[] = [];
  fanout.subscribe((event) => {
    if (event === 'a') fanout.publish('b');
    heard.push(`first ${event}`);
  });
  fanout.subscribe((event) => heard.push(`second ${event}`));
  fanout.publish('a');
  assert.deepEqual(heard, ['first a', 'second a', 'first b', 'second b']);
});

test('an onError that throws does not leave the fan-out deaf', () => {
  const fanout = createFanout<string>(failOnError);
  const heard: string[] = [];
  fanout.subscribe((event) => {
    if (event === 'a') throw new Error('no');
    heard.push(event);
  });
  assert.throws(() => fanout.publish('a'), /no/);
  fanout.publish('b');
  assert.deepEqual(heard, ['b']);
});
