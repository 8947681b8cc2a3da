// The sample of an engine: the state that no event tells, as metrics show it.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Sample } from '../metrics/record_sample.ts';
import type { Engine } from './engine.ts';
import { relayState } from './show.ts';

/** `sending` are the ids of the campaigns that count. */
export async function sampleEngine(
  engine: Engine,
  sending: readonly number[],
  mainLagMs: number,
): Promise<Sample> {
  const { ledger, threads, dispatcher } = engine;
  const { pool, journals } = threads;
  const pending = await sumPending(engine, sending);
  return {
    ...pending,
    workerThreads: pool.threads,
    workerActiveMs: pool.gauges(0).activeMs,
    relays: sampleRelays(engine),
    limits: sampleLimits(engine),
    mxLookUps: engine.mx.counts(),
    batchesInHand: dispatcher.inHand,
    loopLagsMs: [mainLagMs, ...pool.loopLagsMs()],
    ledgerTimes: ledger.commitTimes,
    journalTimes: pool.journalTimes(),
    ledgerBytes: (await ledger.readSpace()).fileBytes,
    journalBytes: sizeOf(journals.directory),
  };
}

/** What is due and may not be sent at this hour is not late. */
async function sumPending({ ledger, dispatcher }: Engine, sending: readonly number[]) {
  let [pendingRecipients, pendingBatches, oldest] = [0, 0, Infinity];
  for (const id of sending) {
    const { recipients, batches, oldestDueAt } = await ledger.pending(id);
    pendingRecipients += recipients;
    pendingBatches += batches;
    if (dispatcher.waitsUntil(id) === undefined) oldest = Math.min(oldest, oldestDueAt ?? Infinity);
  }
  return { pendingRecipients, pendingBatches, oldestDueAt: oldest === Infinity ? undefined : oldest };
}

function sampleLimits({ threads: { limits } }: Engine): Sample['limits'] {
  const holds = limits.holdsBySubject();
  return limits.countBySubject().map(({ limit, granted, refusals }) => {
    const holdMs = holds.get(limit) ?? 0;
    return { limit, granted, refusals, holdMs };
  });
}

function sampleRelays({ options, threads, dispatcher }: Engine): Sample['relays'] {
  const now = Date.now();
  return options.relays.flatMap(({ name }, number) => {
    const desk = dispatcher.relays.find(name);
    if (desk === undefined) return [];
    const { rateFactor, sessionsAllowed } = desk;
    const state = relayState(desk, now);
    return [{ relay: name, state, rateFactor, sessionsAllowed, ...threads.pool.gauges(number) }];
  });
}

/** Of the files of a folder that may not be there yet, and whose files come and go. */
function sizeOf(folder: string): number {
  try {
    return readdirSync(folder).reduce(
      (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  } catch {
    return 0;
  }
}
