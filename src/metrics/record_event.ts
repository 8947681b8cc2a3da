// What published events add to the metrics.
import { unreachable } from '../base/invariant.ts';
import type { BatchSettled, OutcomeCount, PosthasteEvent } from '../mail/event.ts';
import { fates, type Tally } from '../mail/outcome.ts';
import { startRelay, type Instruments } from './instruments.ts';

/** Whether a lane is one of the configured ones; all others are told as one. */
export type IsLane = (lane: string) => boolean;

export function recordEvent(instruments: Instruments, event: PosthasteEvent, isLane: IsLane): void {
  switch (event.kind) {
    case 'campaignStarted':
      instruments.running.add(event.campaign);
      return instruments.campaignsRunning.set(instruments.running.size);
    case 'campaignFinished':
      instruments.running.delete(event.campaign);
      return instruments.campaignsRunning.set(instruments.running.size);
    case 'intakeProgressed':
      return recordFates(instruments, { invalid: event.invalid, duplicate: event.duplicate });
    case 'batchSettled':
      return recordBatch(instruments, event, isLane);
    case 'rowsEnded':
    case 'campaignRecovered':
      return recordFates(instruments, event.fates);
    case 'relayFailed':
      startRelay(instruments, event.relay);
      instruments.relayUp.set({ relay: event.relay }, 0);
      return instruments.relayFailures.inc({
        relay: event.relay,
        category: event.verdict.category || 'unclassified',
      });
    case 'relayRecovered':
      return instruments.relayUp.set({ relay: event.relay }, 1);
    case 'configReloaded':
      instruments.reloadGood.set(event.problems.length === 0 ? 1 : 0);
      if (event.problems.length === 0) instruments.reloadedAt.set(Date.now() / 1000);
      return undefined;
    case 'listAdded':
    // The outcomes come with the settle.
    case 'threadDied':
    case 'doubtFound':
    case 'campaignWaits':
    case 'recipientsSettled':
    case 'campaignAccepted':
    case 'campaignSteered':
    case 'campaignFailed':
    case 'relaySteered':
      return undefined;
    default:
      return unreachable(event);
  }
}

function recordFates({ rows }: Instruments, tally: Readonly<Partial<Tally>>): void {
  for (const fate of fates) rows.inc({ fate }, tally[fate] ?? 0);
}

function recordBatch(instruments: Instruments, event: BatchSettled, isLane: IsLane): void {
  startRelay(instruments, event.relay);
  recordFates(instruments, event.fates);
  const lane = isLane(event.lane) ? event.lane : 'other';
  let accepted = 0;
  for (const outcome of event.outcomes) {
    recordOutcomes(instruments, event.relay, lane, outcome);
    if (outcome.kind === 'accepted') accepted += outcome.count;
  }
  const { relay, transactionTimes, composeTimes, permitWaits } = event;
  for (const [stage, { counts, sumSeconds }] of Object.entries(transactionTimes))
    instruments.transactionTimes.add([relay, stage], counts, sumSeconds);
  instruments.composeTimes.add([relay], composeTimes.counts, composeTimes.sumSeconds);
  instruments.permitWaits.add([relay], permitWaits.counts, permitWaits.sumSeconds);
  // All of a batch are of one age, to the length of the batch.
  instruments.endToEnd.observe([relay], event.ageSeconds, accepted);
}

function recordOutcomes(instruments: Instruments, relay: string, lane: string, outcome: OutcomeCount): void {
  const { kind, stage, replyClass, count } = outcome;
  const category = outcome.category || 'unclassified';
  instruments.outcomes.inc({ relay, kind }, count);
  instruments.laneOutcomes.inc({ lane, kind }, count);
  if (kind === 'rejected') {
    instruments.rejections.inc({ relay, category }, count);
    instruments.laneRejections.inc({ lane, category }, count);
  }
  if (kind === 'deferred') instruments.deferrals.inc({ relay, category }, count);
  if (replyClass > 0) instruments.replies.inc({ relay, class: `${replyClass}yz`, stage }, count);
}
