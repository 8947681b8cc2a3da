// Status: what a record and its pending batches say, by the clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusOf } from '../../src/daemon/status.ts';
import type { CampaignRecord, PendingSummary } from '../../src/ledger/ledger.ts';
import { emptyTally } from '../../src/mail/outcome.ts';

const record: CampaignRecord = {
  id: 1,
  name: 'spring',
  planDigest: '',
  createdAt: 10,
  intake: 'complete',
  columns: [],
  lists: [],
  batchesTaken: 1,
  refusedTaken: 0,
  rows: 5,
  tally: { ...emptyTally(), accepted: 3 },
  finishedAt: undefined,
  compactedAt: undefined,
  laneRules: undefined,
  steering: undefined,
};

const noneLeft: PendingSummary = { batches: 0, recipients: 0, oldestDueAt: undefined, nextDueAt: undefined };

function pendingAt(oldestDueAt: number): PendingSummary {
  return { batches: 1, recipients: 2, oldestDueAt, nextDueAt: undefined };
}

const table: readonly (readonly [state: string, record: CampaignRecord, pending: PendingSummary])[] = [
  ['takingIn', { ...record, intake: 'open' }, noneLeft],
  ['takingIn', { ...record, intake: 'open' }, pendingAt(200)],
  ['sending', record, pendingAt(100)],
  ['sending', record, pendingAt(99)],
  // Killed between the last settlement and the mark: the next run has only to make the mark.
  ['sending', record, noneLeft],
  ['waiting', record, pendingAt(101)],
  ['finished', { ...record, finishedAt: 90 }, noneLeft],
];

for (const [state, of, pending] of table) {
  test(`intake ${of.intake}, finished ${of.finishedAt}, due ${pending.oldestDueAt}: at 100 it is ${state}`, () => {
    assert.equal(statusOf(of, pending, 100, true).state, state);
  });
}

test('a batch that a thread has is due all the same, and the row has all that is known', () => {
  assert.deepEqual(statusOf(record, pendingAt(50), 100, true), {
    name: 'spring',
    state: 'sending',
    running: true,
    rows: 5,
    tally: record.tally,
    pending: 2,
    nextDueAt: 50,
    startedAt: 10,
    finishedAt: undefined,
    compactedAt: undefined,
  });
});
