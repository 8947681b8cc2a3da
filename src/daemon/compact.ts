// Compacting: campaigns that finished long ago lose their rows and keep their record; in steps that hold nobody up.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { formatDay } from '../base/instant.ts';
import type { CampaignRecord, Ledger, LedgerSpace } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import { sweepJournals } from './journals.ts';

export interface CompactOptions {
  /** Rows of campaigns that finished longer ago than this go; undefined lets none go, but ends what was begun. */
  readonly keepMs: number | undefined;
  /** In ms since the epoch. */
  readonly now: number;
  /** Asked between steps; what is left then goes the next time. */
  readonly stopped?: () => boolean;
}

/** A campaign whose rows go. */
export type CompactedCampaign = Pick<CampaignRecord, 'name' | 'rows' | 'finishedAt'>;

export interface CompactReport {
  readonly campaigns: readonly CompactedCampaign[];
  readonly before: LedgerSpace;
  readonly after: LedgerSpace;
}

/**
 * Marks what is due, then removes rows of all that is marked. The mark comes first and is one transaction: from then on the
 * record claims no rows, so it is true at every moment of the removal, however often that is interrupted.
 */
export async function compactDue(
  ledger: Ledger,
  { keepMs, now, stopped = () => false }: CompactOptions,
): Promise<CompactedCampaign[]> {
  const due = await listDue(ledger, keepMs, now);
  for (const { id } of due) await ledger.compactCampaign(id, now);
  for (const id of await ledger.listRemnants()) {
    while (!stopped() && (await ledger.removeRemnants(id)) > 0) await nextTurn();
  }
  return due;
}

/** `compactDue` on a ledger of its own, with the space given back to the file system; `dryRun` only looks. */
export async function compactState(
  stateDir: string,
  options: CompactOptions & { readonly dryRun: boolean },
): Promise<CompactReport> {
  const ledger = await openLedger({ directory: stateDir, mustExist: true });
  try {
    const before = await ledger.readSpace();
    if (options.dryRun)
      return { campaigns: await listDue(ledger, options.keepMs, options.now), before, after: before };
    const campaigns = await compactDue(ledger, options);
    await sweepJournals(stateDir, ledger);
    while (options.stopped?.() !== true && (await ledger.shrink())) await nextTurn();
    return { campaigns, before, after: await ledger.readSpace() };
  } finally {
    await ledger.close();
  }
}

async function listDue(ledger: Ledger, keepMs: number | undefined, now: number): Promise<CampaignRecord[]> {
  if (keepMs === undefined) return [];
  return (await ledger.listCampaigns()).filter(
    ({ finishedAt, compactedAt }) =>
      finishedAt !== undefined && compactedAt === undefined && finishedAt <= now - keepMs,
  );
}

/** Throws ERR_ROWS_GONE (66) for a campaign whose rows went; `what` completes "so …". */
export function refuseIfCompacted({ name, compactedAt }: CampaignRecord, what: string): void {
  if (compactedAt === undefined) return;
  throw new PosthasteError({
    code: 'ERR_ROWS_GONE',
    message: `the rows of campaign "${name}" are gone since ${formatDay(compactedAt)}, so ${what}`,
    hint: 'they were removed by keep or "posthaste compact"; its sums remain: posthaste status',
    exitCode: ExitCode.noInput,
  });
}

/** Throws ERR_LIST_CHANGED (65) for a campaign whose rows went, where another list comes under its name. */
export function refuseListIfCompacted({ name, compactedAt }: CampaignRecord): void {
  if (compactedAt === undefined) return;
  throw new PosthasteError({
    code: 'ERR_LIST_CHANGED',
    message: `campaign "${name}" was sent to another list, whose rows are gone since ${formatDay(compactedAt)}: nobody can tell who had it already`,
    hint: 'give the campaign another name for another list',
    exitCode: ExitCode.dataError,
  });
}
