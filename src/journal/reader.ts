// Reading journals back: what they say of batches that the ledger has not settled.
import { readdirSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf } from '../base/error.ts';
import type { Outcome } from '../mail/outcome.ts';
import { splitBlocks } from './block.ts';
import { RecordReader, type JournalBatch, type JournalRecord } from './record.ts';
import { parseSegmentName, type SegmentName } from './segment.ts';

/** What the journals say of one batch. */
export interface JournalledBatch extends JournalBatch {
  /** By row; the last one counts. */
  readonly outcomes: Map<number, Outcome>;
  /** Rows whose end of data was about to be sent; with no outcome they are in doubt. */
  readonly ended: Set<number>;
  /** A block of a segment that names the batch cannot be read: any row without an outcome is in doubt. */
  isDamaged: boolean;
}

/** A file of a journal as it was found. */
export interface FoundSegment {
  readonly path: string;
  readonly name: SegmentName;
  /** Batches that it names. */
  readonly batchIds: ReadonlySet<number>;
  /** Where its last whole block ends. */
  readonly wholeBytes: number;
  /** Octets behind that: a write that was cut off. */
  readonly tornBytes: number;
  /** Offsets of stretches that are no block, with whole blocks behind them. */
  readonly damagedAt: readonly number[];
}

export interface Journals {
  readonly batches: ReadonlyMap<number, JournalledBatch>;
  readonly segments: readonly FoundSegment[];
}

/** Reads every segment of the directory that `wanted` accepts; none where there is no such directory. */
export function readJournals(
  directory: string,
  wanted: (name: SegmentName) => boolean = () => true,
): Journals {
  const batches = new Map<number, JournalledBatch>();
  const segments = listSegments(directory)
    .filter(({ name }) => wanted(name))
    .map(({ path, name }) => readSegment(path, name, batches));
  return { batches, segments };
}

/** Removes a segment; one that is gone already is no error. */
export function removeSegment(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
  }
}

/** In the order in which they were written, thread by thread. */
function listSegments(directory: string): { path: string; name: SegmentName }[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
  const found = names.flatMap((file) => {
    const name = parseSegmentName(file);
    return name === undefined ? [] : [{ path: join(directory, file), name }];
  });
  return found.sort(({ name: a }, { name: b }) => {
    if (a.run !== b.run) return a.run < b.run ? -1 : 1;
    return a.writer - b.writer || a.segment - b.segment;
  });
}

function readSegment(path: string, name: SegmentName, batches: Map<number, JournalledBatch>): FoundSegment {
  const bytes = readFileSync(path);
  const { blocks, damaged, wholeBytes } = splitBlocks(bytes);
  const reader = new RecordReader();
  const batchIds = new Set<number>();
  for (const block of blocks) {
    for (const record of reader.read(block)) {
      batchIds.add(record.batchId);
      note(batches, record);
    }
  }
  if (damaged.length > 0) {
    for (const id of batchIds) {
      const batch = batches.get(id);
      if (batch !== undefined) batch.isDamaged = true;
    }
  }
  return { path, name, batchIds, wholeBytes, tornBytes: bytes.length - wholeBytes, damagedAt: damaged };
}

function note(batches: Map<number, JournalledBatch>, record: JournalRecord): void {
  const known = batches.get(record.batchId);
  switch (record.kind) {
    case 'batch': {
      const { batchId, campaignId, attempt } = record;
      if (known?.campaignId === campaignId && known.attempt === attempt) return;
      const fresh = { batchId, campaignId, attempt, outcomes: new Map(), ended: new Set<number>() };
      batches.set(batchId, { ...fresh, isDamaged: false });
      return;
    }
    case 'end':
      // Sent again after an outcome: the last one counts, and it is not here yet.
      known?.outcomes.delete(record.row);
      known?.ended.add(record.row);
      return;
    case 'outcome':
      known?.outcomes.set(record.outcome.row, record.outcome);
  }
}
