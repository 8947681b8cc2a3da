// Settling: what the outcomes of a batch mean for the ledger. Pure.
import { invariant, unreachable } from '../base/invariant.ts';
import type { Random } from '../base/random.ts';
import { packRecipients, unpackRecipients, type Batch } from '../mail/batch.ts';
import type { Deferral, Delivery } from '../mail/delivery.ts';
import type { Fate, Outcome } from '../mail/outcome.ts';
import { nextAttemptAt, type RetryPolicy } from '../schedule/retry.ts';

/** A batch that takes over recipients who are not finished. */
export interface Successor {
  readonly attempt: number;
  readonly bornAt: number;
  readonly dueAt: number;
  readonly lane: string;
  readonly recipientCount: number;
  readonly firstRow: number;
  readonly lastRow: number;
  readonly payload: Uint8Array;
}

export interface Settlement {
  readonly campaignId: number;
  readonly batchId: number;
  readonly deliveries: readonly Delivery[];
  readonly deferrals: readonly Deferral[];
  readonly successors: readonly Successor[];
}

export interface SettleRules {
  readonly retry: RetryPolicy;
  /** What becomes of recipients whose reply was never seen. */
  readonly inDoubt: 'resend' | 'hold';
  /** Name of the relay, for the record. */
  readonly relay: string;
  /** When recipients that the relay's trouble sent back are due again; no attempt is charged. */
  readonly unsentDueAt: number;
  /** True when even unsent recipients of this batch have waited for longer than `giveUpAfterMs`. */
  readonly unsentExpired: boolean;
}

/**
 * Every recipient of the batch is either delivered (it has its fate) or in a successor: unsent ones with the same
 * attempt number, deferred ones with the next. `now` in ms since the epoch.
 */
export function planSettlement(
  batch: Batch & { lane: string },
  outcomes: readonly Outcome[],
  rules: SettleRules,
  now: number,
  random: Random,
): Settlement {
  const retryAt = nextAttemptAt(rules.retry, batch.attempt, batch.bornAt, now, random);
  const deliveries: Delivery[] = [];
  const deferrals: Deferral[] = [];
  const unsentRows = new Set<number>();
  const deferredRows = new Set<number>();
  for (const outcome of outcomes) {
    if (outcome.kind === 'unsent' && !rules.unsentExpired) {
      unsentRows.add(outcome.row);
      continue;
    }
    const fate = fateOf(outcome, rules.inDoubt, retryAt);
    if (fate === undefined) {
      deferredRows.add(outcome.row);
      deferrals.push({ ...recordOf(outcome, rules.relay), attempt: batch.attempt, at: outcome.at });
    } else {
      const charged = outcome.kind !== 'invalid' && outcome.kind !== 'unsent';
      const attempts = charged ? batch.attempt : batch.attempt - 1;
      deliveries.push({ ...recordOf(outcome, rules.relay), fate, finishedAt: outcome.at, attempts });
    }
  }
  const successors = [
    ...succeed(batch, unsentRows, batch.attempt, rules.unsentDueAt),
    ...succeed(batch, deferredRows, batch.attempt + 1, retryAt ?? now),
  ];
  return { campaignId: batch.campaignId, batchId: batch.id, deliveries, deferrals, successors };
}

/** The fate that an outcome ends in, or undefined where another attempt follows. */
function fateOf(
  outcome: Outcome,
  inDoubt: SettleRules['inDoubt'],
  retryAt: number | undefined,
): Fate | undefined {
  switch (outcome.kind) {
    case 'accepted':
    case 'rejected':
    case 'invalid':
      return outcome.kind;
    case 'deferred':
      return retryAt === undefined ? 'expired' : undefined;
    case 'inDoubt':
      return inDoubt === 'hold' || retryAt === undefined ? 'inDoubt' : undefined;
    case 'unsent':
      return 'expired';
    default:
      return unreachable(outcome.kind);
  }
}

function recordOf(outcome: Outcome, relay: string): Omit<Delivery, 'fate' | 'finishedAt' | 'attempts'> {
  const { verdict } = outcome;
  return {
    row: outcome.row,
    relay: outcome.kind === 'invalid' ? '' : relay,
    replyCode: verdict.replyCode,
    enhancedStatus: verdict.enhancedStatus,
    reply: verdict.text,
    classification: verdict.category,
  };
}

function succeed(
  batch: Batch & { lane: string },
  rows: ReadonlySet<number>,
  attempt: number,
  dueAt: number,
): Successor[] {
  if (rows.size === 0) return [];
  const recipients = unpackRecipients(batch.payload).filter((recipient) => rows.has(recipient.row));
  const first = recipients[0];
  const last = recipients.at(-1);
  invariant(
    first !== undefined && last !== undefined,
    `batch ${batch.id} has outcomes for rows that it does not hold`,
  );
  return [
    {
      attempt,
      dueAt,
      bornAt: batch.bornAt,
      lane: batch.lane,
      recipientCount: recipients.length,
      firstRow: first.row,
      lastRow: last.row,
      payload: packRecipients(recipients),
    },
  ];
}
