// What crosses the threads: setup, task, report. Plain data and shared memory only.
import type { JournalBatch } from '../journal/record.ts';
import type { JournalOptions } from '../journal/writer.ts';
import type { StageTimes, TransactionTimes } from '../mail/transaction_times.ts';
import type { Outcome } from '../mail/outcome.ts';
import type { PackedOutcomes } from '../mail/packed_outcomes.ts';
import type { LimiterMemory } from '../schedule/limiter.ts';
import type { DkimKey } from '../sign/key.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { RelayOptions } from '../smtp/relay.ts';

/** Given to every thread when it starts. */
export interface WorkerSetup {
  readonly relays: readonly RelayOptions[];
  /** For each relay: handles of the limits that a new session to it is granted by. */
  readonly connectionLimits: readonly (readonly number[])[];
  readonly dkim: readonly DkimKey[];
  /** There may be so many relays, those that come later among them. */
  readonly relayCapacity: number;
  /** Name of the channel on which a `LiveSetup` comes when it has changed; a thread says hello on it when it begins. */
  readonly channel: string;
  /** How many threads share each relay's `maxConnections`; never more than the smallest of those. */
  readonly threads: number;
  /** From so many batches on, a thread gives back early what cannot go: others want its hands. */
  readonly scarceFrom: number;
  readonly limiter: LimiterMemory;
  /** Int32Array of `controlLengthOf` `relayCapacity`. */
  readonly control: SharedArrayBuffer;
  /** Int32Array with a place for each thread (places.ts). */
  readonly places: SharedArrayBuffer;
  /** Float64Array of threads × `relayCapacity` × `gaugeCount`. */
  readonly gauges: SharedArrayBuffer;
  /** Float64Array of threads × `timesLength`: how long commits of the journals took. */
  readonly commitTimes: SharedArrayBuffer;
  readonly journal: Omit<JournalOptions, 'writer'>;
}

/** What may change while threads run. Relays keep their numbers. */
export type LiveSetup = Pick<WorkerSetup, 'relays' | 'connectionLimits' | 'dkim'>;

/** Slots of the control memory. */
export const controlSlot = {
  /** 0 run, 1 take nothing new and finish what is in flight, 2 stop at once. */
  stop: 0,
  /** Threads that have started, those that died among them; numbers their journals. */
  started: 1,
} as const;
/**
 * Behind those, by campaign id modulo their number: raised by one, everything of these campaigns that nobody has taken is to come
 * back. Campaigns that share a slot come back together, and go out again.
 */
export const campaignRecallSlots = 64;
const campaignRecallBase = 2;

/** Behind those, for each relay: what the dispatcher tells the threads of it. */
export const relayControl = {
  /** Raised by one: everything that nobody has taken is to come back. */
  recalls: 0,
  /** Sessions that the relay may have for now, over all threads; 0: as many as are configured. */
  sessions: 1,
} as const;

/** Where a relay's part of the control memory begins. */
export function relayControlBase(relay: number): number {
  return campaignRecallBase + campaignRecallSlots + relay * 2;
}

/** Where a campaign's recalls are counted. */
export function campaignRecallSlot(campaignId: number): number {
  return campaignRecallBase + (campaignId % campaignRecallSlots);
}

export function controlLengthOf(relays: number): number {
  return relayControlBase(relays);
}

/** How often a batch's relay and campaign were recalled. */
export function countRecalls(
  control: Int32Array,
  { relay, campaignId }: JournalBatch & { readonly relay: number },
): number {
  const ofRelay = Atomics.load(control, relayControlBase(relay) + relayControl.recalls);
  return ofRelay + Atomics.load(control, campaignRecallSlot(campaignId));
}

/**
 * Gauges of one thread for one relay. Only that thread writes them, every 50 ms, so that they cost messages nothing; an aligned
 * Float64 is read whole. Totals go on where a dead thread's, or those of a relay's sessions before a reload, have ended.
 */
export const gaugeSlot = {
  sessionsOpen: 0,
  sessionsBusy: 1,
  permitWaitMs: 2,
  /** Time the thread's event loop was not waiting, in ms, the same for all relays. */
  activeMs: 3,
  /** The shortest round trip to the relay; 0 before there was one. */
  roundTripMs: 4,
  /** 1 where `pipelining: deep` would be possible and is not used. */
  couldGoDeep: 5,
  /** How late the thread's event loop was at worst in the last ten seconds, in ms, the same for all relays. */
  loopLagMs: 6,
  sessionsConnecting: 7,
  /** Transactions on the wire, and how many there may be. */
  inFlight: 8,
  window: 9,
  /** The batch whose message the thread made last, written at once: a thread that dies has died over it, as far as can be known. */
  composing: 10,
} as const;
export const gaugeCount = 11;

/** One batch for one relay. */
export interface BatchTask extends JournalBatch {
  /** Index into `WorkerSetup.relays`. */
  readonly relay: number;
  /** Handles of the limiter's table; a message goes when all of them grant. */
  readonly limits: readonly number[];
  /** Those of `limits` that are held until the message is settled. */
  readonly slots: readonly number[];
  /** Those of `limits` that count bytes, with their names for people. */
  readonly bytes: readonly { readonly limit: number; readonly text: string }[];
  /** The campaign's share among campaigns. */
  readonly weight: number;
  /** How far off the next permit may be, in ms, before what nobody has taken comes back. */
  readonly mostWaitMs: number;
  /** So many refusals for the sender's sake in a row, and the rest comes back untried. */
  readonly mostSenderRefusals: number;
  /** Names the content of `plan`: threads compile each key once. */
  readonly planKey: string;
  /** A `CampaignPlan`, serialised by node:v8 into memory that all threads share. */
  readonly plan: SharedArrayBuffer;
  /** As `packRecipients` made it. */
  readonly payload: Uint8Array;
}

/**
 * A task as it crosses the threads. A recall may overtake it: then `countRecalls` says another number than when the task
 * was given, and all of it comes back.
 */
export interface GivenTask extends BatchTask {
  readonly recalls: number;
}

/** A limit that lets nobody go for a while. */
export interface Hold {
  readonly limit: number;
  /** True where it has no room for one big message, and may have for others. */
  readonly isOwn: boolean;
  readonly untilAt: number;
}

export interface BatchReport {
  readonly batchId: number;
  /** One for each recipient of the batch, in the order in which they were settled. */
  readonly outcomes: readonly Outcome[];
  readonly transactionTimes: StageTimes;
  /** How long sessions with room waited for permits, since the thread's last report. */
  readonly permitWaits: TransactionTimes;
  /** Of composing and signing, in the same buckets. */
  readonly composeTimes: TransactionTimes;
  /** Set when the rest came back because a limit, by its handle, grants nothing until then, in ms since the epoch. */
  readonly held: Hold | undefined;
  /** Set when the rest came back for what others of the campaign met, whose batch may still be on its way to tell. */
  readonly isSpared?: boolean;
  /** Set when the batch came back because the relay was out of reach. */
  readonly relayFailure: HandshakeFailure | undefined;
  /** Once this report is settled, nobody needs this thread's journal below `oldestNeeded`. */
  readonly journal: { readonly writer: number; readonly oldestNeeded: number };
  /** Set when the batch came back because the journal could not be written: the system's code and words. */
  readonly journalFailure: { readonly code: string | undefined; readonly text: string } | undefined;
}

/** A report as it crosses the threads. */
export interface PackedReport extends Omit<BatchReport, 'outcomes'> {
  readonly outcomes: PackedOutcomes;
}
