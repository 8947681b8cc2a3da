// What the ledger's tests share: a ledger in a directory of its own, and small lists, batches and deliveries.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openLedger } from '../../src/ledger/open_ledger.ts';
import type { CampaignRecord, Ledger, NewBatch, Settlement, StoredBatch } from '../../src/ledger/ledger.ts';
import { packRecipients, unpackRecipients } from '../../src/mail/batch.ts';
import type { Deferral, Delivery } from '../../src/mail/delivery.ts';
import type { RefusedRow } from '../../src/mail/recipient.ts';

/** The columns of the lists that the fixture makes. */
export const columns = ['email', 'name'];

/** A directory that goes when the test ends. */
export function makeDirectory(test: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-ledger-'));
  test.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** An open ledger that is closed when the test ends. */
export async function openFor(test: TestContext, directory = makeDirectory(test)): Promise<Ledger> {
  const ledger = await openLedger({ directory });
  test.after(() => ledger.close());
  return ledger;
}

/** A campaign whose whole list is stored at time 0, one batch for each array of rows. */
export async function storeList(
  ledger: Ledger,
  batches: readonly (readonly number[])[],
  refused: readonly RefusedRow[] = [],
): Promise<CampaignRecord> {
  const { id } = await ledger.createCampaign({ name: 'spring', planDigest: 'p', createdAt: 0 });
  const rows = Math.max(0, ...batches.flat(), ...refused.map((one) => one.row));
  await ledger.storeIntake(id, { batches: batches.map((one) => batchOf(one)), refused, rows, columns }, 0);
  await ledger.completeIntake(id, { rows, listDigest: 'l', columns });
  const campaign = await ledger.findCampaign('spring');
  if (campaign === undefined) throw new Error('the campaign is gone');
  return campaign;
}

/** A new batch of these rows. */
export function batchOf(rows: readonly number[], lane = '', zone = ''): NewBatch {
  const recipients = rows.map((row) => ({
    row,
    line: row + 1,
    address: addressOf(row),
    cells: cellsOf(row),
  }));
  return {
    recipientCount: rows.length,
    firstRow: Math.min(...rows),
    lastRow: Math.max(...rows),
    payload: packRecipients(recipients),
    lane,
    zone,
  };
}

export function addressOf(row: number): string {
  return `r${row}@example.com`;
}

export function cellsOf(row: number): string[] {
  return [addressOf(row), `Name ${row}`];
}

export function refusedOf(row: number, fate: RefusedRow['fate'] = 'invalid'): RefusedRow {
  return { row, line: row + 1, fate, reason: `row ${row} is ${fate}`, cells: ['?'] };
}

export function deliveryOf(row: number, fate: Delivery['fate'] = 'accepted'): Delivery {
  return {
    row,
    fate,
    finishedAt: 1000 + row,
    attempts: 1,
    relay: 'primary',
    replyCode: 250,
    enhancedStatus: '2.0.0',
    reply: `250 2.0.0 Ok ${row}`,
    classification: '',
  };
}

export function deferralOf(row: number, attempt = 1): Deferral {
  return {
    row,
    attempt,
    at: 500 + attempt,
    relay: 'primary',
    replyCode: 451,
    enhancedStatus: '4.7.1',
    reply: `451 4.7.1 later, attempt ${attempt}`,
    classification: 'greylisted',
  };
}

/** The row numbers in a batch. */
export function rowsOf(batch: StoredBatch): number[] {
  return unpackRecipients(batch.payload).map((one) => one.row);
}

/** Settles a batch: these rows are deferred to `dueAt`, the others accepted. */
export function settlementOf(batch: StoredBatch, deferred: readonly number[] = [], dueAt = 0): Settlement {
  const accepted = rowsOf(batch).filter((row) => !deferred.includes(row));
  const again = { attempt: batch.attempt + 1, bornAt: batch.bornAt, dueAt, relay: 'r' };
  return {
    campaignId: batch.campaignId,
    batchId: batch.id,
    deliveries: accepted.map((row) => deliveryOf(row)),
    deferrals: deferred.map((row) => deferralOf(row, batch.attempt)),
    successors: deferred.length === 0 ? [] : [{ ...batchOf(deferred, batch.lane, batch.zone), ...again }],
  };
}

/** The whole of something that is read piece by piece. */
export async function collectRows<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}
