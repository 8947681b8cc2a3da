// Events and samples as the recorder gets them, for its tests.
import type { BatchSettled, PosthasteEvent } from '../../src/mail/event.ts';
import type { Verdict } from '../../src/mail/verdict.ts';
import type { Sample } from '../../src/metrics/record_sample.ts';

export const bucketsSeconds = [0.01, 0.1, 1];

export const relayDown: Verdict = {
  scope: 'relay',
  stage: 'connect',
  kind: 'unsent',
  code: 'relay-closing',
  session: 'close',
  replyCode: 421,
  enhancedStatus: '',
  category: 'relay-down',
  retryable: true,
  text: '421 closing',
};

/** A batch of `count` recipients, one tenth rejected, one tenth deferred. */
export function settledBatch(campaign: string, relay: string, count: number): BatchSettled {
  const tenth = count / 10;
  return {
    kind: 'batchSettled',
    campaign,
    relay,
    outcomes: [
      { kind: 'accepted', stage: 'end', category: '', replyClass: 2, count: count - 2 * tenth },
      { kind: 'rejected', stage: 'rcpt', category: 'no-such-recipient', replyClass: 5, count: tenth },
      { kind: 'deferred', stage: 'end', category: '', replyClass: 0, count: tenth },
    ],
    fates: { accepted: count - 2 * tenth, rejected: tenth },
    transactionTimes: {
      end: { counts: [tenth, count - 2 * tenth, 0, tenth], sumSeconds: count / 20 },
    },
    composeTimes: { counts: [count, 0, 0, 0], sumSeconds: count / 10_000 },
    permitWaits: { counts: [0, 1, 0, 0], sumSeconds: 0.02 },
    lane: 'gmail',
    ageSeconds: 0.05,
  };
}

/** One of each kind, for the relays `primary` and `second`. */
export const oneOfEach: readonly PosthasteEvent[] = [
  { kind: 'campaignStarted', campaign: 'spring' },
  { kind: 'intakeProgressed', campaign: 'spring', rows: 1000, invalid: 3, duplicate: 2 },
  settledBatch('spring', 'primary', 500),
  settledBatch('spring', 'second', 100),
  { kind: 'rowsEnded', campaign: 'spring', fates: { cancelled: 7, suppressed: 1 } },
  { kind: 'relayFailed', relay: 'primary', verdict: relayDown },
];

export const sample: Sample = {
  pendingRecipients: 395,
  pendingBatches: 2,
  oldestDueAt: 1_700_000_000_500,
  workerThreads: 2,
  workerActiveMs: 1500,
  relays: [
    {
      relay: 'primary',
      state: 'up',
      rateFactor: 1,
      sessionsAllowed: 5,
      sessionsConnecting: 1,
      sessionsOpen: 5,
      sessionsBusy: 3,
      inFlight: 6,
      window: 10,
      permitWaitMs: 250,
    },
  ],
  limits: [{ limit: 'relay primary', granted: 400, refusals: 3, holdMs: 2500 }],
  mxLookUps: [{ result: 'operator', count: 12 }],
  batchesInHand: 2,
  loopLagsMs: [3, 1],
  journalTimes: { counts: [7, 1, 0, 0], sumSeconds: 0.01 },
  ledgerTimes: { counts: [1, 2, 0, 0], sumSeconds: 0.2 },
  ledgerBytes: 40_960,
  journalBytes: 1024,
};
