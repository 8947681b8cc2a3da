// What a sample of the present state puts in place of what the metrics showed before.
import type { TransactionTimes } from '../mail/transaction_times.ts';
import { relayStates } from './definitions.ts';
import { startRelay, type Instruments } from './instruments.ts';

/** The state that no event tells. Times are totals since the process began. */
export interface Sample {
  readonly pendingRecipients: number;
  readonly pendingBatches: number;
  /** In ms since the epoch; absent while nothing is pending. */
  readonly oldestDueAt?: number | undefined;
  readonly workerThreads: number;
  /** Summed over the threads. */
  readonly workerActiveMs: number;
  readonly relays: readonly RelaySample[];
  readonly limits: readonly LimitSample[];
  /** Of MX records, by every result. */
  readonly mxLookUps: readonly { readonly result: string; readonly count: number }[];
  readonly batchesInHand: number;
  /** How late the event loops were at worst lately; of the main thread first. */
  readonly loopLagsMs: readonly number[];
  /** Of transactions of the ledger, and of writes of the threads' journals. */
  readonly ledgerTimes: TransactionTimes;
  readonly journalTimes: TransactionTimes;
  readonly ledgerBytes: number;
  readonly journalBytes: number;
}

interface RelaySample {
  readonly relay: string;
  readonly state: (typeof relayStates)[number];
  readonly rateFactor: number;
  readonly sessionsAllowed: number;
  readonly sessionsConnecting: number;
  readonly sessionsOpen: number;
  readonly sessionsBusy: number;
  /** Transactions on the wire, and how many there may be on the sessions that are open. */
  readonly inFlight: number;
  readonly window: number;
  /** Summed over the threads. */
  readonly permitWaitMs: number;
}

interface LimitSample {
  readonly limit: string;
  readonly granted: number;
  readonly refusals: number;
  /** How much longer it lets nobody go, as far as is known. */
  readonly holdMs: number;
}

/** What a daemon knows besides, even while its disk is in trouble and there is no sample. */
export interface ServiceSample {
  /** How many there are in each state. */
  readonly campaigns: Readonly<Record<string, number>>;
  readonly eventsLost: number;
  /** Whether the event log can be written. */
  readonly isEventLogSound: boolean;
}

export function recordSample(instruments: Instruments, sample: Sample): void {
  forgetSample(instruments);
  instruments.pendingRecipients.set(sample.pendingRecipients);
  instruments.pendingBatches.set(sample.pendingBatches);
  if (sample.oldestDueAt !== undefined) instruments.oldestDue.set(sample.oldestDueAt / 1000);
  instruments.workerThreads.set(sample.workerThreads);
  instruments.workerActive.inc(sample.workerActiveMs / 1000);
  for (const one of sample.relays) recordRelay(instruments, one);
  for (const { limit, granted, refusals, holdMs } of sample.limits) {
    instruments.limitHold.set({ limit }, holdMs / 1000);
    instruments.limitGrants.inc({ limit }, granted);
    instruments.limitWaits.inc({ limit }, refusals);
  }
  for (const { result, count } of sample.mxLookUps) instruments.mxLookUps.inc({ result }, count);
  instruments.batchesInHand.set(sample.batchesInHand);
  for (const [index, lagMs] of sample.loopLagsMs.entries())
    instruments.loopLag.set({ thread: index === 0 ? 'main' : String(index) }, lagMs / 1000);
  for (const [store, times] of [
    ['ledger', sample.ledgerTimes],
    ['journal', sample.journalTimes],
  ] as const)
    instruments.commitTimes.set([store], times.counts, times.sumSeconds);
  instruments.stateBytes.set({ store: 'ledger' }, sample.ledgerBytes);
  instruments.stateBytes.set({ store: 'journal' }, sample.journalBytes);
}

function recordRelay(instruments: Instruments, one: RelaySample): void {
  const { relay, state } = one;
  startRelay(instruments, relay);
  for (const name of relayStates) instruments.relayState.set({ relay, state: name }, name === state ? 1 : 0);
  instruments.rateFactor.set({ relay }, one.rateFactor);
  instruments.sessionsAllowed.set({ relay }, one.sessionsAllowed);
  instruments.sessions.set({ relay, state: 'connecting' }, one.sessionsConnecting);
  instruments.sessions.set({ relay, state: 'open' }, one.sessionsOpen);
  instruments.sessions.set({ relay, state: 'busy' }, one.sessionsBusy);
  instruments.inFlight.set({ relay }, one.inFlight);
  instruments.window.set({ relay }, one.window);
  instruments.permitWait.inc({ relay }, one.permitWaitMs / 1000);
}

/** Nothing of these is shown from now on. `reset` leaves a 0 where there are no labels, `remove` leaves nothing. */
export function forgetSample(instruments: Instruments): void {
  const { limitGrants, limitWaits, permitWait, relayState, rateFactor, sessionsAllowed } = instruments;
  const { sessions, inFlight, window, limitHold, loopLag, stateBytes, mxLookUps } = instruments;
  for (const labelled of [limitGrants, limitWaits, permitWait, mxLookUps]) labelled.reset();
  for (const labelled of [relayState, rateFactor, sessionsAllowed, sessions, inFlight, window])
    labelled.reset();
  for (const labelled of [limitHold, loopLag, stateBytes]) labelled.reset();
  const { pendingRecipients, pendingBatches, oldestDue, batchesInHand, workerThreads, workerActive } =
    instruments;
  for (const unlabelled of [pendingRecipients, pendingBatches, oldestDue, batchesInHand, workerThreads])
    unlabelled.remove();
  workerActive.remove();
}

/** Totals take the place of totals within one turn: a scrape never sees a counter that has gone back. */
export function recordService(instruments: Instruments, service: ServiceSample): void {
  const { campaigns, eventsLost, isEventLogSound } = service;
  instruments.eventLogSound.set(isEventLogSound ? 1 : 0);
  instruments.campaigns.reset();
  for (const [state, count] of Object.entries(campaigns)) instruments.campaigns.set({ state }, count);
  instruments.eventsLost.reset();
  instruments.eventsLost.inc(eventsLost);
}
