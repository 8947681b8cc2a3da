// After a loss: what the journal makes of a batch whose thread, or whole process, is gone. Pure.
import type { JournalledBatch } from '../journal/reader.ts';
import { unpackRecipients, type Batch } from '../mail/batch.ts';
import type { NamedRecipient } from '../mail/event.ts';
import type { Outcome } from '../mail/outcome.ts';
import type { Recipient } from '../mail/recipient.ts';
import { judgeFailure, judgeLocally } from '../mail/verdict.ts';

/**
 * One outcome for each recipient: the journalled one; in doubt where the end of data was about to be sent and nothing is known
 * of it; unsent where it was not. `journalled` is undefined where no journal names the batch. `now` in ms since the epoch.
 */
export function outcomesAfterLoss(
  batch: Batch,
  journalled: JournalledBatch | undefined,
  now: number,
): Outcome[] {
  const { campaignId, attempt } = batch;
  // A journal that means another batch of this number says nothing of this one.
  const known =
    journalled?.campaignId === campaignId && journalled.attempt === attempt ? journalled : undefined;
  return unpackRecipients(batch.payload).map(({ row }) => {
    const outcome = known?.outcomes.get(row);
    if (outcome !== undefined) return outcome;
    const maybeSent = known !== undefined && (known.isDamaged || known.ended.has(row));
    return maybeSent ? makeDoubt(row, now) : makeUnsent(row, now);
  });
}

/** The recipients of a batch who are in doubt. */
export function recipientsInDoubt(batch: Batch, outcomes: readonly Outcome[]): Recipient[] {
  const rows = new Set(outcomes.filter(({ kind }) => kind === 'inDoubt').map(({ row }) => row));
  return rows.size === 0 ? [] : unpackRecipients(batch.payload).filter(({ row }) => rows.has(row));
}

/** A recipient as reports name it. */
export function nameRecipient({ row, address }: Recipient): NamedRecipient {
  return { row, address };
}

/** RFC 1047: the relay may have the message. */
function makeDoubt(row: number, at: number): Outcome {
  const text = 'the sender died before it had read the reply to the end of data';
  return { row, kind: 'inDoubt', at, verdict: judgeFailure('end', { kind: 'stopped', text }) };
}

function makeUnsent(row: number, at: number): Outcome {
  const verdict = judgeLocally('stopped', 'the sender died before this recipient was tried');
  return { row, kind: 'unsent', at, verdict };
}
