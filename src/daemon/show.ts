// What the control API shows of campaigns and relays: the ledger's records with what the daemon knows of them now.
import { unreachable } from '../base/invariant.ts';
import type { CampaignView, RelayView } from '../control/views.ts';
import type { RelayDesk } from '../dispatch/relay_desk.ts';
import type { RelayGauges } from '../dispatch/worker_pool.ts';
import type { CampaignRecord, PendingSummary } from '../ledger/ledger.ts';
import type { KeptCampaign } from './kept_campaign.ts';
import { statusOf } from './status.ts';
import type { SendRelay } from './threads.ts';

/** What is known of a campaign besides its record. */
export interface CampaignFacts {
  readonly pending: PendingSummary;
  /** Undefined for one that the daemon does not keep. */
  readonly kept: KeptCampaign | undefined;
  readonly perSecond: number;
  readonly binds: string | undefined;
  /** It may not send before; undefined where it may. */
  readonly waitsUntil: number | undefined;
}

/** `now` in ms since the epoch. */
export function showCampaign(record: CampaignRecord, facts: CampaignFacts, now: number): CampaignView {
  const { pending, kept, perSecond, binds, waitsUntil } = facts;
  const status = statusOf(record, pending, now, kept?.state.kind === 'running');
  const state = stateOf(status.state, kept, waitsUntil);
  return {
    name: record.name,
    state,
    reason: reasonOf(kept, waitsUntil),
    rows: status.rows,
    tally: record.tally,
    pending: status.pending,
    perSecond,
    etaSeconds: perSecond > 0 && status.pending > 0 ? status.pending / perSecond : undefined,
    binds: state === 'sending' ? binds : undefined,
    priority: kept?.priority ?? 10,
    rate: kept?.steering.rate,
    bytes: kept?.steering.bytes,
    createdAt: new Date(record.createdAt).toISOString(),
    nextDueAt: isoOf(pending.oldestDueAt),
    finishedAt: isoOf(record.finishedAt),
  };
}

function stateOf(
  recorded: 'takingIn' | 'sending' | 'waiting' | 'finished',
  kept: KeptCampaign | undefined,
  waitsUntil: number | undefined,
): CampaignView['state'] {
  const kind = kept?.state.kind ?? 'stopped';
  switch (kind) {
    case 'running':
      if (kept?.steering.cancelled === true) return 'cancelling';
      if (kept?.steering.paused !== undefined) return 'paused';
      if (recorded === 'finished') return 'sending';
      return recorded === 'sending' && waitsUntil !== undefined ? 'waiting' : recorded;
    case 'stopped':
      return recorded === 'finished' ? 'finished' : 'stopped';
    case 'queued':
    case 'paused':
    case 'failed':
    case 'finished':
      return kind;
    default:
      return unreachable(kind);
  }
}

function reasonOf(kept: KeptCampaign | undefined, waitsUntil: number | undefined): string | undefined {
  const state = kept?.state;
  if (state?.kind === 'failed') return state.reason;
  if (kept?.steering.paused !== undefined) return kept.steering.paused;
  return waitsUntil === undefined ? undefined : `it may not send before ${isoOf(waitsUntil)}`;
}

/** `now` in ms since the epoch. */
export function showRelay(relay: SendRelay, desk: RelayDesk, gauges: RelayGauges, now: number): RelayView {
  const { blockedUntil } = desk;
  return {
    name: relay.name,
    host: relay.host,
    port: relay.port,
    state: relayState(desk, now),
    reason: desk.givenUp?.verdict.text,
    sessionsOpen: gauges.sessionsOpen,
    sessionsBusy: gauges.sessionsBusy,
    sessionsAllowed: desk.sessionsAllowed,
    maxConnections: relay.maxConnections,
    rateFactor: desk.rateFactor,
    blockedUntil: blockedUntil > now && blockedUntil < Infinity ? isoOf(blockedUntil) : undefined,
  };
}

/** `now` in ms since the epoch. */
export function relayState(desk: RelayDesk, now: number): RelayView['state'] {
  if (desk.isHeld) return 'paused';
  if (desk.givenUp !== undefined) return 'down';
  if (desk.blockedUntil > now) return 'stopped';
  return desk.rateFactor < 1 ? 'throttled' : 'up';
}

function isoOf(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString();
}
