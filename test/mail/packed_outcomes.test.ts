// Packing is lossless, whatever a batch came to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Outcome } from '../../src/mail/outcome.ts';
import { packOutcomes, unpackOutcomes } from '../../src/mail/packed_outcomes.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeReply } from '../../src/mail/verdict.ts';

const outcome = fc
  .record({
    row: fc.nat(),
    at: fc.nat(),
    code: fc.constantFrom(250, 251, 421, 450, 452, 550, 554),
    stage: fc.constantFrom('mail', 'rcpt', 'data', 'end'),
    text: fc.constantFrom('2.0.0 queued as A1', '2.0.0 queued as B2', '4.2.1 busy', '5.1.1 who\nis it', ''),
  })
  .map(({ row, at, code, stage, text }): Outcome => {
    const verdict = judgeReply(stage, makeReply(code, text));
    return { row, at, kind: verdict.kind, verdict };
  });

test('what is packed is unpacked as it was', () => {
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 300 }), (outcomes) => {
      assert.deepEqual(unpackOutcomes(structuredClone(packOutcomes(outcomes))), outcomes);
    }),
  );
});

test('outcomes that differ in row, time and words alone share a pattern', () => {
  const accepted = ['A1', 'B2', 'C3'].map((id, index): Outcome => {
    const verdict = judgeReply('end', makeReply(250, `2.0.0 queued as ${id}`));
    return { row: index, at: index, kind: verdict.kind, verdict };
  });
  assert.equal(packOutcomes(accepted).patterns.length, 1);
});
