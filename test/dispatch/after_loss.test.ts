// What is known of a batch whose sender died is what the journal says of it, row by row.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomesAfterLoss, recipientsInDoubt } from '../../src/dispatch/after_loss.ts';
import type { JournalledBatch } from '../../src/journal/reader.ts';
import { packRecipients } from '../../src/mail/batch.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import { makeReply } from '../../src/mail/reply.ts';
import { judgeReply } from '../../src/mail/verdict.ts';

const recipients = [1, 2, 3, 4].map((row) => ({
  row,
  line: row + 1,
  address: `r${row}@b.example`,
  cells: [],
}));
const batch = {
  id: 7,
  campaignId: 1,
  attempt: 2,
  bornAt: 0,
  recipientCount: 4,
  payload: packRecipients(recipients),
};
const accepted: Outcome = {
  row: 1,
  kind: 'accepted',
  at: 5,
  verdict: judgeReply('end', makeReply(250, '2.0.0 queued')),
};

function journalled(more: Partial<JournalledBatch> = {}): JournalledBatch {
  return {
    batchId: 7,
    campaignId: 1,
    attempt: 2,
    outcomes: new Map([[1, accepted]]),
    ended: new Set([1, 2]),
    isDamaged: false,
    ...more,
  };
}

function kinds(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(({ row, kind }) => `${row} ${kind}`);
}

test('a journalled outcome stands; a noted end without one is in doubt; the rest was not sent', () => {
  const outcomes = outcomesAfterLoss(batch, journalled(), 99);
  assert.deepEqual(kinds(outcomes), ['1 accepted', '2 inDoubt', '3 unsent', '4 unsent']);
  assert.deepEqual(outcomes[0], accepted);
  assert.deepEqual(
    recipientsInDoubt(batch, outcomes).map(({ address }) => address),
    ['r2@b.example'],
  );
});

test('a batch that no journal names was not sent', () => {
  const outcomes = outcomesAfterLoss(batch, undefined, 99);
  assert.deepEqual(kinds(outcomes), ['1 unsent', '2 unsent', '3 unsent', '4 unsent']);
});

test('where a block of the journal is damaged, nobody without an outcome is called unsent', () => {
  const outcomes = outcomesAfterLoss(batch, journalled({ isDamaged: true }), 99);
  assert.deepEqual(kinds(outcomes), ['1 accepted', '2 inDoubt', '3 inDoubt', '4 inDoubt']);
});

test('a journal that means another campaign or attempt says nothing', () => {
  for (const other of [{ campaignId: 2 }, { attempt: 1 }]) {
    const outcomes = outcomesAfterLoss(batch, journalled(other), 99);
    assert.ok(outcomes.every(({ kind }) => kind === 'unsent'));
  }
});
