// The threads' journals, as the main thread sees them: read after a loss, trimmed as batches are settled.
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../base/random.ts';
import { nameRecipient, outcomesAfterLoss, recipientsInDoubt } from '../dispatch/after_loss.ts';
import { doubtActionIn, planSettlement, type SettleRules } from '../dispatch/settle.ts';
import { explainFaults } from '../journal/fault.ts';
import {
  readJournals,
  removeSegment,
  type FoundSegment,
  type JournalledBatch,
  type Journals,
} from '../journal/reader.ts';
import { formatSegmentName, nameRun } from '../journal/segment.ts';
import type { Ledger, StoredBatch } from '../ledger/ledger.ts';
import type { NamedRecipient } from '../mail/event.ts';
import type { Tally } from '../mail/outcome.ts';

/** The journals of this run. */
export class RunJournals {
  readonly directory: string;
  readonly run: string;
  /** Writer → its first segment that is still there. */
  readonly #kept = new Map<number, number>();

  /** `startedAt` in ms since the epoch. */
  constructor(stateDir: string, startedAt: number) {
    this.directory = journalDirectory(stateDir);
    this.run = nameRun(startedAt, process.pid);
  }

  read(): ReadonlyMap<number, JournalledBatch> {
    return explainFaults(() => readJournals(this.directory, ({ run }) => run === this.run)).batches;
  }

  trim(writer: number, oldestNeeded: number): void {
    for (let segment = this.#kept.get(writer) ?? 0; segment < oldestNeeded; segment += 1)
      explainFaults(() => removeSegment(this.#pathOf(writer, segment)));
    this.#kept.set(writer, Math.max(oldestNeeded, this.#kept.get(writer) ?? 0));
  }

  #pathOf(writer: number, segment: number): string {
    return join(this.directory, formatSegmentName({ run: this.run, writer, segment }));
  }
}

function journalDirectory(stateDir: string): string {
  return join(stateDir, 'journal');
}

function readAll(stateDir: string): Journals {
  return explainFaults(() => readJournals(journalDirectory(stateDir)));
}

export interface Recovery {
  /** Outcomes that only the journals knew. */
  readonly outcomes: number;
  readonly fates: Readonly<Partial<Tally>>;
  /** How many of them may have the message, for all that anybody can know. */
  readonly inDoubt: number;
  /** What is wrong with the journals, one sentence each. */
  readonly problems: readonly string[];
}

export interface RecoveryRules extends Pick<SettleRules, 'retry' | 'inDoubt' | 'relay'> {
  /** Called before a batch is settled with those of it who are in doubt: a recovery that dies behind it would not find them again. */
  readonly noteDoubt: (inDoubt: readonly NamedRecipient[], action: 'resend' | 'hold') => void;
}

/**
 * Settles what an earlier run of a campaign has journalled and not settled. Each batch is one transaction, so a recovery that is
 * itself interrupted is done again for what is left. `now` in ms since the epoch.
 */
export async function recoverCampaign(
  { stateDir, ownRun }: { readonly stateDir: string; readonly ownRun: string },
  ledger: Ledger,
  campaignId: number,
  rules: RecoveryRules,
  now: number,
  random: Random,
): Promise<Recovery> {
  // Those of this run are being written, and say nothing of what was before.
  const { batches, segments } = explainFaults(() =>
    readJournals(journalDirectory(stateDir), ({ run }) => run !== ownRun),
  );
  let outcomes = 0;
  let inDoubt = 0;
  const fates: Partial<Tally> = {};
  for (const [batch, journalled] of await findJournalled(batches, ledger, campaignId)) {
    const all = outcomesAfterLoss(batch, journalled, now);
    const settlement = planSettlement(
      batch,
      all,
      { ...rules, unsentDueAt: now, mayExpireUnsent: false },
      now,
      random,
    );
    const doubts = recipientsInDoubt(batch, all).map(nameRecipient);
    if (doubts.length > 0) rules.noteDoubt(doubts, doubtActionIn(settlement));
    await ledger.settle([settlement]);
    inDoubt += doubts.length;
    outcomes += all.filter(({ kind }) => kind !== 'unsent').length;
    for (const { fate } of settlement.deliveries) fates[fate] = (fates[fate] ?? 0) + 1;
  }
  const problems = segments.flatMap((segment) => explainFaults(() => mendSegment(segment)));
  await removeSettledSegments(segments, ledger);
  return { outcomes, fates, inDoubt, problems };
}

/** The campaigns that earlier runs have journalled anything of. */
export function readJournalledCampaigns(stateDir: string, ownRun: string): Set<number> {
  const { batches } = explainFaults(() =>
    readJournals(journalDirectory(stateDir), ({ run }) => run !== ownRun),
  );
  return new Set([...batches.values()].map(({ campaignId }) => campaignId));
}

/** The pending batches of a campaign that the journals name, with what they say of them. */
export async function readCampaignJournal(
  stateDir: string,
  ledger: Ledger,
  campaignId: number,
): Promise<(readonly [StoredBatch, JournalledBatch])[]> {
  return findJournalled(readAll(stateDir).batches, ledger, campaignId);
}

async function findJournalled(
  batches: ReadonlyMap<number, JournalledBatch>,
  ledger: Ledger,
  campaignId: number,
): Promise<(readonly [StoredBatch, JournalledBatch])[]> {
  const named: (readonly [StoredBatch, JournalledBatch])[] = [];
  for (const journalled of batches.values()) {
    if (journalled.campaignId !== campaignId) continue;
    const batch = await ledger.findBatch(journalled.batchId);
    if (batch?.campaignId === campaignId && batch.attempt === journalled.attempt)
      named.push([batch, journalled]);
  }
  return named;
}

/** Removes what no pending batch needs; what another campaign needs stays until that one is sent again. */
export async function sweepJournals(stateDir: string, ledger: Ledger): Promise<void> {
  await removeSettledSegments(readAll(stateDir).segments, ledger);
}

async function removeSettledSegments(segments: readonly FoundSegment[], ledger: Ledger): Promise<void> {
  for (const { path, batchIds } of segments) {
    const found = await Promise.all([...batchIds].map((id) => ledger.findBatch(id)));
    if (found.every((batch) => batch === undefined)) explainFaults(() => removeSegment(path));
  }
}

function mendSegment({ path, wholeBytes, tornBytes, damagedAt }: FoundSegment): string[] {
  const problems = damagedAt.map(
    (at) =>
      `the journal ${path} is damaged at octet ${at}: rows of its unsettled batches without an outcome are in doubt`,
  );
  if (tornBytes > 0) {
    truncateSync(path, wholeBytes);
    problems.push(
      `the last write to the journal ${path} was cut off: ${tornBytes} octets that nothing was sent after`,
    );
  }
  return problems;
}
