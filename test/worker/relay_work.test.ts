// Whatever goes wrong in making one row's message is that row's, and neither the thread's nor the batch's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Composer } from '../../src/compose/compose.ts';
import { packRecipients } from '../../src/mail/batch.ts';
import { makeEnvelope } from '../../src/mail/envelope.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import { attachLimiter, createLimiter } from '../../src/schedule/limiter.ts';
import { parseExtensions } from '../../src/smtp/extensions.ts';
import { BatchRun } from '../../src/worker/batch_run.ts';
import { RelayWork } from '../../src/worker/relay_work.ts';
import { planOf } from '../compose/campaigns.ts';

const recipients = [1, 2, 3].map((row) => ({ row, line: row + 1, address: `r${row}@b.example`, cells: [] }));

const composerThat = (fails: () => never): Composer => ({
  compose({ row }) {
    if (row === 2) fails();
    return { kind: 'message', message: 'Subject: x\r\n\r\n', messageId: `${row}@b.example`, isUtf8: false };
  },
});

function openWork(fails: () => never) {
  const { campaign } = planOf([], {});
  const clock = { now: () => 0, monotonic: () => 0 };
  const compiled = () => ({
    envelope: makeEnvelope(campaign),
    composer: composerThat(fails),
    signer: undefined,
  });
  const work = new RelayWork(attachLimiter(createLimiter([])), clock, compiled);
  const noted: Outcome[] = [];
  const journal = {
    writer: 0,
    oldestNeeded: 0,
    noteOutcome: (_: unknown, outcome: Outcome) => void noted.push(outcome),
    endBatch: () => {},
  };
  const task = {
    batchId: 1,
    campaignId: 1,
    attempt: 1,
    relay: 0,
    limits: [],
    planKey: '1',
    plan: new SharedArrayBuffer(0),
    payload: packRecipients(recipients),
  };
  work.add(new BatchRun(task, journal, () => assert.fail('two rows have no outcome yet')));
  return { work, noted };
}

test('a row whose message is more than memory holds is invalid, and the rows behind it are sent', () => {
  const { work, noted } = openWork(() => {
    // What V8 says when a message becomes longer than a string can be.
    throw new RangeError('Invalid string length');
  });
  const extensions = parseExtensions([], false);
  const taken = [work.take(extensions), work.take(extensions), work.take(extensions)];
  assert.deepEqual(
    taken.map((one) => (one !== undefined && 'row' in one ? one.row : undefined)),
    [1, 3, undefined],
  );
  assert.deepEqual(
    noted.map(({ row, kind, verdict }) => [row, kind, verdict.text]),
    [[2, 'invalid', 'the message cannot be made: Invalid string length']],
  );
});

test('a bug of ours is nobody’s row: it escapes, to end the thread and not the list', () => {
  const { work, noted } = openWork(() => {
    throw new TypeError('bug');
  });
  const extensions = parseExtensions([], false);
  work.take(extensions);
  assert.throws(() => work.take(extensions), /bug/);
  assert.deepEqual(noted, []);
});
