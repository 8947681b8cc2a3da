// Which list a run takes in: the campaign's first, what is new in a later one, or none because the ledger has it all.
import { ExitCode, PosthasteError } from '../base/error.ts';
import { EarlierLists } from '../intake/earlier.ts';
import { takeIn, type IntakeSink, type ListOptions } from '../intake/intake.ts';
import { keepList, type KeptList } from '../intake/keep_list.ts';
import { openSource, type ListSource } from '../intake/source.ts';
import type { CampaignRecord, Ledger, ListRecord } from '../ledger/ledger.ts';
import { refuseListIfCompacted } from './compact.ts';

/** What a run was given. */
export interface GivenList {
  readonly path: string | undefined;
  readonly options: ListOptions;
  /** For the copy of a list that comes through a pipe. */
  readonly stateDir: string;
  /** Throws its reason out of a long read. */
  readonly signal: AbortSignal;
}

/** A list to be taken in. */
export interface ListToTake {
  readonly open: () => Promise<ListSource>;
  readonly options: ListOptions;
  /** Undefined for the campaign's first. */
  readonly later: ListRecord | undefined;
}

export interface ListChoice {
  /** Undefined where every row is stored. */
  readonly toTake: ListToTake | undefined;
  /** The list at hand, where it is not the campaign's first. */
  readonly later: ListRecord | undefined;
  /** Whether this run has added it. */
  readonly isAdded: boolean;
  readonly close: () => Promise<void>;
}

/**
 * Chooses. A later list is read to its end before any of it is stored, so that one that is cut off, or has other columns, changes
 * nothing, and so that it is known how much of it is new. Throws ERR_LIST_MISSING (64), ERR_LIST_CHANGED (65) for yet another
 * list while one is half taken in, and what reading a list throws.
 */
export async function chooseList(
  ledger: Ledger,
  record: CampaignRecord,
  given: GivenList,
): Promise<ListChoice> {
  const { path, options } = given;
  if (path === undefined) {
    if (record.intake === 'open') throw missingList(record);
    return nothingToTake(undefined);
  }
  if (record.lists.length === 0) {
    const toTake = { open: () => openSource(path, undefined, given.signal), options, later: undefined };
    return { toTake, later: undefined, isAdded: false, close };
  }
  const kept = await keepList(path, given.stateDir, given.signal);
  try {
    return await chooseLater(ledger, record, given, kept);
  } catch (error) {
    await kept.close();
    throw error;
  }
}

async function chooseLater(
  ledger: Ledger,
  record: CampaignRecord,
  given: GivenList,
  kept: KeptList,
): Promise<ListChoice> {
  const index = record.lists.findIndex(({ digest }) => digest === kept.digest);
  const known = record.lists[index];
  if (record.intake === 'open') {
    if (known === undefined || index < record.lists.length - 1) throw halfTaken(record.name);
    const earlier = await readEarlier(ledger, record, known.rowsBefore, given.signal);
    return takeLater(kept, given.options, known, earlier, false);
  }
  if (known !== undefined) {
    await kept.close();
    return nothingToTake(index === 0 ? undefined : known);
  }
  refuseListIfCompacted(record);
  const earlier = await readEarlier(ledger, record, record.rows, given.signal);
  const survey = await takeIn(await kept.open(), { ...given.options, earlier }, forgetful, given.signal);
  const { digest, listRows: rows, known: knownRows } = survey;
  const { lists } = await ledger.addList(record.id, { digest, rows, known: knownRows });
  const added = lists.at(-1);
  if (added !== undefined && rows > knownRows) return takeLater(kept, given.options, added, earlier, true);
  await kept.close();
  return { ...nothingToTake(added), isAdded: true };
}

const forgetful: IntakeSink = { begin: () => Promise.resolve(), store: () => Promise.resolve() };

function takeLater(
  kept: KeptList,
  options: ListOptions,
  later: ListRecord,
  earlier: EarlierLists,
  isAdded: boolean,
): ListChoice {
  const toTake = { open: () => kept.open(), options: { ...options, earlier }, later };
  return { toTake, later, isAdded, close: () => kept.close() };
}

function nothingToTake(later: ListRecord | undefined): ListChoice {
  return { toTake: undefined, later, isAdded: false, close };
}

const close = (): Promise<void> => Promise.resolve();

/** Rows of the list that is half taken in are not among the first `rows`: what is new in it is new every time. */
async function readEarlier(
  ledger: Ledger,
  { id, columns }: CampaignRecord,
  rows: number,
  signal: AbortSignal,
): Promise<EarlierLists> {
  const earlier = new EarlierLists(columns, rows);
  for await (const page of ledger.readRows(id, rows)) {
    signal.throwIfAborted();
    for (const row of page) earlier.add(row);
  }
  return earlier;
}

function missingList({ name, lists }: CampaignRecord): PosthasteError {
  const state = lists.length === 0 ? 'has no complete list yet' : 'has taken in a part of a later list';
  return new PosthasteError({
    code: 'ERR_LIST_MISSING',
    message: `campaign "${name}" ${state}`,
    hint: 'name the list: posthaste send CAMPAIGN LIST, or - for standard input',
    exitCode: ExitCode.usage,
  });
}

function halfTaken(campaign: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIST_CHANGED',
    message: `campaign "${campaign}" has taken in a part of a later list, and this is another one`,
    hint: 'give that list again, to its end; then this one can be added',
    exitCode: ExitCode.dataError,
  });
}
