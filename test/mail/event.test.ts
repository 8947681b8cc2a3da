// Events: how outcomes are counted for them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { countOutcomes } from '../../src/mail/event.ts';
import type { Outcome } from '../../src/mail/outcome.ts';

const outcomes: fc.Arbitrary<Outcome> = fc.record({
  row: fc.nat(),
  kind: fc.constantFrom('accepted', 'rejected', 'deferred'),
  at: fc.nat(),
  verdict: fc.record({
    scope: fc.constant('recipient'),
    stage: fc.constantFrom('rcpt', 'end'),
    kind: fc.constantFrom('accepted', 'rejected', 'deferred'),
    code: fc.string(),
    session: fc.constantFrom('keep', 'close'),
    replyCode: fc.constantFrom(0, 250, 450, 451, 550),
    enhancedStatus: fc.string(),
    category: fc.constantFrom('', 'content'),
    retryable: fc.boolean(),
    text: fc.string(),
  }),
});

test('outcomes are grouped by kind, stage, category and class of reply, and by nothing else', () => {
  fc.assert(
    fc.property(fc.array(outcomes), (all) => {
      const expected = new Map<string, number>();
      for (const { kind, verdict } of all) {
        const key = `${kind} ${verdict.stage} ${verdict.category} ${Math.floor(verdict.replyCode / 100)}`;
        expected.set(key, (expected.get(key) ?? 0) + 1);
      }
      const counted = countOutcomes(all).map((one): [string, number] => [
        `${one.kind} ${one.stage} ${one.category} ${one.replyClass}`,
        one.count,
      ]);
      assert.deepEqual(counted, [...expected]);
    }),
  );
});
