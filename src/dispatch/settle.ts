// Settling: what the outcomes of a batch mean for the ledger. Pure.
import { invariant, unreachable } from '../base/invariant.ts';
import type { Random } from '../base/random.ts';
import { packRecipients, unpackRecipients, type Batch } from '../mail/batch.ts';
import type { Deferral, Delivery } from '../mail/delivery.ts';
import { parseNamedDelayMs } from '../mail/named_delay.ts';
import type { Fate, Outcome, OutcomeKind } from '../mail/outcome.ts';
import { judgeLocally } from '../mail/verdict.ts';
import { groupByDue } from '../schedule/due_groups.ts';
import { planWait, type RetryPolicy, type RetryWait } from '../schedule/retry.ts';

/** A batch that takes over recipients who are not finished. */
export interface Successor {
  readonly attempt: number;
  readonly bornAt: number;
  readonly dueAt: number;
  readonly lane: string;
  /** In which its recipients are, where each has one of its own; empty for the campaign's. */
  readonly zone: string;
  /** That the attempt before went by, for a retry goes the same way; empty where there was none. */
  readonly relay: string;
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
  /** False for somebody who stops the program: recipients do not expire by that. */
  readonly mayExpireUnsent: boolean;
  /** Whoever has no fate by then expires, tried or not; in ms since the epoch. Absent: never. */
  readonly deadlineAt?: number | undefined;
}

/** A batch as settling needs it: `relay` is the one of the attempt before. */
export type SettledBatch = Batch & Pick<Successor, 'lane' | 'relay' | 'zone'>;

/**
 * Every recipient of the batch is either delivered (it has its fate) or in a successor: unsent ones with the same
 * attempt number, deferred ones with the next, in as many successors as they have due times. `now` in ms since the epoch.
 */
export function planSettlement(
  batch: SettledBatch,
  outcomes: readonly Outcome[],
  rules: SettleRules,
  now: number,
  random: Random,
): Settlement {
  const deliveries: Delivery[] = [];
  const unsentRows: number[] = [];
  const retried = new Map<number, Outcome>();
  const unsentExpired = hasUnsentExpired(batch, rules, now);
  for (const outcome of outcomes) {
    if (outcome.kind === 'unsent' && !unsentExpired) unsentRows.push(outcome.row);
    else if (isRetried(outcome, rules)) retried.set(outcome.row, outcome);
    else deliveries.push(deliver(batch, outcome, rules.relay));
  }
  // From the first attempt on and not from intake: the last row of a long list has as many attempts as the first.
  const bornAt = batch.attempt === 1 ? now : batch.bornAt;
  const times = { now, firstAttemptAt: bornAt, deadlineAt: rules.deadlineAt };
  const groups = groupByDue(waitsOf(batch, retried, rules.retry), rules.retry.jitter, times, random);
  const deferrals: Deferral[] = [];
  const plans: SuccessorPlan[] = [];
  if (unsentRows.length > 0)
    plans.push({
      rows: unsentRows,
      attempt: batch.attempt,
      bornAt: batch.bornAt,
      dueAt: rules.unsentDueAt,
      relay: batch.relay,
    });
  for (const { dueAt, rows } of groups) {
    const ended = rows.flatMap((row) => retried.get(row) ?? []);
    if (dueAt === undefined) deliveries.push(...ended.map((one) => deliver(batch, one, rules.relay)));
    else {
      deferrals.push(...ended.map((one) => defer(batch, one, rules.relay)));
      plans.push({ rows, attempt: batch.attempt + 1, bornAt, dueAt, relay: rules.relay });
    }
  }
  const successors = plans.length === 0 ? [] : succeed(batch, plans);
  return { campaignId: batch.campaignId, batchId: batch.id, deliveries, deferrals, successors };
}

/**
 * Whether who is unsent has waited for too long. `giveUpAfter` is about those who were tried. Who never was keeps
 * waiting until the deadline: a relay that is down for a week, or a moment's trouble on the third day of a long
 * campaign, would otherwise end recipients whom nobody has ever tried.
 */
function hasUnsentExpired(batch: Batch, rules: SettleRules, now: number): boolean {
  if (!rules.mayExpireUnsent) return false;
  const isTooLate = now >= (rules.deadlineAt ?? Infinity);
  return isTooLate || (batch.attempt > 1 && now - batch.bornAt > rules.retry.giveUpAfterMs);
}

/** Whether another attempt follows, if there is time for one. */
function isRetried({ kind }: Outcome, rules: SettleRules): boolean {
  return kind === 'deferred' || (kind === 'inDoubt' && rules.inDoubt === 'resend');
}

function waitsOf(
  { attempt }: Batch,
  retried: ReadonlyMap<number, Outcome>,
  policy: RetryPolicy,
): Map<number, RetryWait> {
  const waits = new Map<number, RetryWait>();
  for (const [row, { verdict }] of retried) {
    const { category, text, replyCode } = verdict;
    const namedDelayMs = replyCode === 0 ? undefined : parseNamedDelayMs(text);
    waits.set(row, planWait(policy, { attempt, category, namedDelayMs }));
  }
  return waits;
}

/** Whoever waits when a campaign is cancelled: nobody was tried in this attempt, nobody is charged. */
export function planCancellation(batch: Batch, now: number): Settlement {
  const verdict = judgeLocally('stopped', 'the campaign was cancelled');
  const deliveries = unpackRecipients(batch.payload).map(({ row }) =>
    deliver(batch, { row, kind: 'unsent', at: now, verdict }, '', 'cancelled'),
  );
  return { campaignId: batch.campaignId, batchId: batch.id, deliveries, deferrals: [], successors: [] };
}

/** The fate of an outcome that no other attempt follows. */
function fateOf(kind: OutcomeKind): Fate {
  switch (kind) {
    case 'accepted':
    case 'rejected':
    case 'invalid':
    case 'inDoubt':
      return kind;
    case 'deferred':
    case 'unsent':
      return 'expired';
    default:
      return unreachable(kind);
  }
}

function deliver(batch: Batch, outcome: Outcome, relay: string, fate = fateOf(outcome.kind)): Delivery {
  const isCharged = outcome.kind !== 'invalid' && outcome.kind !== 'unsent';
  const attempts = isCharged ? batch.attempt : batch.attempt - 1;
  return { ...recordOf(outcome, relay), fate, finishedAt: outcome.at, attempts };
}

function defer(batch: Batch, outcome: Outcome, relay: string): Deferral {
  return { ...recordOf(outcome, relay), attempt: batch.attempt, at: outcome.at };
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

/** A successor by its rows. */
interface SuccessorPlan extends Pick<Successor, 'attempt' | 'bornAt' | 'dueAt' | 'relay'> {
  readonly rows: readonly number[];
}

function succeed(batch: SettledBatch, plans: readonly SuccessorPlan[]): Successor[] {
  const all = unpackRecipients(batch.payload);
  return plans.map(({ rows, ...plan }) => {
    const wanted = new Set(rows);
    const recipients = all.filter((recipient) => wanted.has(recipient.row));
    const first = recipients[0];
    const last = recipients.at(-1);
    invariant(
      first !== undefined && last !== undefined,
      `batch ${batch.id} has outcomes for rows that it does not hold`,
    );
    return {
      ...plan,
      lane: batch.lane,
      zone: batch.zone,
      recipientCount: recipients.length,
      firstRow: first.row,
      lastRow: last.row,
      payload: packRecipients(recipients),
    };
  });
}

/** What becomes of a batch's recipients in doubt. When their time is over nobody sends to them again, whatever was wished. */
export function doubtActionIn(settlement: Settlement | undefined): 'resend' | 'hold' {
  return settlement?.deliveries.some(({ fate }) => fate === 'inDoubt') === true ? 'hold' : 'resend';
}
