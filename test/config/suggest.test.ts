// "Did you mean …?" names what was meant, and keeps silent where it cannot know.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { suggestWord } from '../../src/config/suggest.ts';

const keys = ['host', 'port', 'maxConnections', 'maxMessages', 'requireTLS', 'pass', 'rate', 'rateLimit'];

const cases: readonly (readonly [wrong: string, meant: string | undefined])[] = [
  ['maxConnection', 'maxConnections'],
  ['maxconnections', 'maxConnections'],
  ['requireTls', 'requireTLS'],
  ['prot', 'port'],
  ['hots', 'host'],
  ['password', 'pass'],
  ['ratelimit', 'rateLimit'],
  ['opportunistic', undefined],
  ['x', undefined],
  ['', undefined],
  ['m'.repeat(10_000), undefined],
];

for (const [wrong, meant] of cases) {
  test(`"${wrong.slice(0, 20)}" is ${meant === undefined ? 'near nothing' : `meant to be ${meant}`}`, () => {
    assert.equal(suggestWord(wrong, keys), meant);
  });
}
