// Events: facts that are already durable, with the counts that metrics and a progress line make of them.
import type { Outcome, OutcomeKind, Tally } from './outcome.ts';
import type { StageTimes, TransactionTimes } from './transaction_times.ts';
import type { Category, Stage, Verdict } from './verdict.ts';

/** What is published, always after it has been committed. Counts are of this event alone, never running totals. */
export type PosthasteEvent =
  | CampaignStarted
  | CampaignRecovered
  | ThreadDied
  | DoubtFound
  | CampaignFinished
  | ListAdded
  | CampaignWaits
  | IntakeProgressed
  | BatchSettled
  | RowsEnded
  | RelayFailed
  | RelayRecovered
  | RecipientsSettled
  | CampaignAccepted
  | CampaignSteered
  | CampaignFailed
  | RelaySteered
  | ConfigReloaded;

/** A campaign begins, or goes on after a restart. `campaign` is its name, here and below. */
interface CampaignStarted {
  readonly kind: 'campaignStarted';
  readonly campaign: string;
}

/** What an earlier run had done and not settled before it died is in the ledger. */
interface CampaignRecovered {
  readonly kind: 'campaignRecovered';
  readonly campaign: string;
  /** Outcomes that only the journals knew, those in doubt among them. */
  readonly outcomes: number;
  /** The rows that ended with them. */
  readonly fates: Readonly<Partial<Tally>>;
  /** How many of the outcomes are doubts. `doubtFound` has named them. */
  readonly inDoubt: number;
  /** What happens to them: sent again, or left. */
  readonly action: 'resend' | 'hold';
  /** What is wrong with the journals, one sentence each. */
  readonly problems: readonly string[];
}

/** A sending thread died, and another takes its place. What it had done is settled as its journal says. */
interface ThreadDied {
  readonly kind: 'threadDied';
  readonly campaign: string;
  /** What ended it. */
  readonly reason: string;
}

/**
 * A session, a thread or a process ended, and of these nobody can know whether the relay has the message (RFC 1047). It is published
 * before the ledger has it, for the journal has: so whoever dies in between leaves nobody unnamed. Then it comes twice.
 */
interface DoubtFound {
  readonly kind: 'doubtFound';
  readonly campaign: string;
  readonly inDoubt: readonly NamedRecipient[];
  /** What happens to them: sent again, or left. */
  readonly action: 'resend' | 'hold';
}

/** A recipient as reports name it. */
export interface NamedRecipient {
  readonly row: number;
  readonly address: string;
}

/** Every row has a fate. The tally is of the whole campaign, over all runs. */
interface CampaignFinished {
  readonly kind: 'campaignFinished';
  readonly campaign: string;
  readonly tally: Readonly<Tally>;
}

/** A later list was read and belongs to the campaign: of its `rows`, `known` were there from before; the others are taken in next. */
interface ListAdded {
  readonly kind: 'listAdded';
  readonly campaign: string;
  readonly rows: number;
  readonly known: number;
}

/** Nothing is sent before an instant, in ms since the epoch: the campaign's start, or the opening of a send window. */
interface CampaignWaits {
  readonly kind: 'campaignWaits';
  readonly campaign: string;
  readonly untilAt: number;
}

/** Rows were read and are in the ledger: `rows` in all, of which some ended as invalid or duplicate. */
interface IntakeProgressed {
  readonly kind: 'intakeProgressed';
  readonly campaign: string;
  readonly rows: number;
  readonly invalid: number;
  readonly duplicate: number;
}

/** The outcomes of one attempt at one batch are in the ledger. */
export interface BatchSettled {
  readonly kind: 'batchSettled';
  readonly campaign: string;
  readonly relay: string;
  readonly lane: string;
  readonly outcomes: readonly OutcomeCount[];
  /** The rows that ended with this attempt; deferred ones do not. */
  readonly fates: Readonly<Partial<Tally>>;
  readonly transactionTimes: StageTimes;
  readonly composeTimes: TransactionTimes;
  readonly permitWaits: TransactionTimes;
  /** From when the batch was due first until now: of those whom the relay took. */
  readonly ageSeconds: number;
}

/** Rows ended without an attempt: cancelled, suppressed, or expired while they waited. */
interface RowsEnded {
  readonly kind: 'rowsEnded';
  readonly campaign: string;
  readonly fates: Readonly<Partial<Tally>>;
}

/** A relay can take nothing at the moment, and why. */
interface RelayFailed {
  readonly kind: 'relayFailed';
  readonly relay: string;
  readonly verdict: Verdict;
}

/** A relay that had failed takes messages again; the verdict is of the reply that showed it. */
interface RelayRecovered {
  readonly kind: 'relayRecovered';
  readonly relay: string;
  readonly verdict: Verdict;
}

/** What became of each recipient of a batch in one attempt. Published only where somebody asks for it. */
interface RecipientsSettled {
  readonly kind: 'recipientsSettled';
  readonly campaign: string;
  readonly relay: string;
  readonly attempt: number;
  readonly recipients: readonly SettledRecipient[];
}

export interface SettledRecipient extends NamedRecipient {
  readonly outcome: OutcomeKind;
  /** In ms since the epoch. */
  readonly at: number;
  readonly replyCode: number;
  readonly enhancedStatus: string;
  readonly reply: string;
  readonly category: Category;
}

/** The daemon has a campaign, or one more list of it, on its own disk. */
interface CampaignAccepted {
  readonly kind: 'campaignAccepted';
  readonly campaign: string;
}

/** Somebody, or what its messages met, has changed how a campaign goes on. */
export interface CampaignSteered {
  readonly kind: 'campaignSteered';
  readonly campaign: string;
  readonly change: 'paused' | 'resumed' | 'cancelled' | 'rate' | 'priority' | 'complaints';
  /** For people: the reason, the new value, or how many complaints. */
  readonly text: string;
}

/** The daemon cannot go on with a campaign until somebody mends something. */
interface CampaignFailed {
  readonly kind: 'campaignFailed';
  readonly campaign: string;
  readonly code: string;
  readonly reason: string;
}

/** Somebody said that nothing is to go by a relay, or that it is to be used again. */
interface RelaySteered {
  readonly kind: 'relaySteered';
  readonly relay: string;
  readonly change: 'paused' | 'resumed';
}

/** The configuration was read again; with problems nothing was changed. */
interface ConfigReloaded {
  readonly kind: 'configReloaded';
  readonly problems: readonly string[];
  readonly applied: readonly string[];
}

/** How many outcomes of a batch were alike. */
export interface OutcomeCount {
  readonly kind: OutcomeKind;
  readonly stage: Stage;
  readonly category: Category;
  /** First digit of the reply code; 0 where no reply was seen. */
  readonly replyClass: number;
  count: number;
}

/**
 * Groups outcomes that are alike. Invariant: outcomes of a batch fall into a handful of groups, so a linear
 * search is cheaper than a key made for each outcome.
 */
export function countOutcomes(outcomes: readonly Outcome[]): OutcomeCount[] {
  const counts: OutcomeCount[] = [];
  for (const outcome of outcomes) {
    const known = findCount(counts, outcome);
    if (known !== undefined) known.count += 1;
    else counts.push(startCount(outcome));
  }
  return counts;
}

function findCount(counts: readonly OutcomeCount[], outcome: Outcome): OutcomeCount | undefined {
  const { stage, category, replyCode } = outcome.verdict;
  const replyClass = Math.floor(replyCode / 100);
  for (const one of counts) {
    const alike = one.kind === outcome.kind && one.category === category && one.stage === stage;
    if (alike && one.replyClass === replyClass) return one;
  }
  return undefined;
}

function startCount(outcome: Outcome): OutcomeCount {
  const { stage, category, replyCode } = outcome.verdict;
  return { kind: outcome.kind, stage, category, replyClass: Math.floor(replyCode / 100), count: 1 };
}
