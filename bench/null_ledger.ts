// A ledger that keeps nothing: pending batches in memory and sums, so that a benchmark can tell what the real one costs.
import type { LedgerOptions } from '../src/ledger/open_ledger.ts';
import type { CampaignRecord, Ledger, Settlement, StoredBatch } from '../src/ledger/ledger.ts';
import { emptyTally } from '../src/mail/outcome.ts';

/** Stands in for `openLedger` (null_device.ts); enough for one `send` from its start to its end. */
export async function openLedger(_options: LedgerOptions): Promise<Partial<Ledger>> {
  const tally = emptyTally();
  const waiting = new Map<number, StoredBatch>();
  const claimed = new Map<number, StoredBatch>();
  let record: CampaignRecord | undefined;
  let nextId = 1;
  const change = (facts: Partial<CampaignRecord>): CampaignRecord => {
    if (record === undefined) throw new Error('the null ledger has no campaign');
    return (record = { ...record, ...facts });
  };
  return {
    findCampaign: async () => record,
    createCampaign: async (fresh) => (record = { ...emptyRecord, ...fresh, tally }),
    storeIntake: async (campaignId, { batches, columns, rows }, now) => {
      for (const batch of batches) {
        const id = nextId++;
        waiting.set(id, { ...batch, id, campaignId, attempt: 1, bornAt: now, dueAt: now, relay: '' });
      }
      change({ columns, rows });
    },
    completeIntake: async (_, { rows, columns }) => void change({ rows, columns, intake: 'complete' }),
    listLanes: async () => [...new Set([...waiting.values()].map(({ lane }) => lane))],
    setLaneRules: async () => {},
    undoPutOffs: async () => {},
    readQuotas: async () => [],
    claimOfLane: async (_campaignId, lane) => {
      const [batch, next] = [
        ...waiting
          .values()
          .filter((one) => one.lane === lane)
          .take(2),
      ];
      if (batch !== undefined) {
        waiting.delete(batch.id);
        claimed.set(batch.id, batch);
      }
      return { batch, nextDueAt: next?.dueAt };
    },
    claimDue: async (_campaignId, _now, limit) => {
      const due = [...waiting.values().take(limit)];
      for (const batch of due) {
        waiting.delete(batch.id);
        claimed.set(batch.id, batch);
      }
      return due;
    },
    release: async () => {},
    findBatch: async (id) => claimed.get(id),
    nextDueAt: async () => waiting.values().next().value?.dueAt,
    pending: async () => ({
      batches: waiting.size,
      recipients: 0,
      oldestDueAt: undefined,
      nextDueAt: undefined,
    }),
    settle: async (settlements: readonly Settlement[]) => {
      for (const { batchId, deliveries } of settlements) {
        for (const { fate } of deliveries) tally[fate] += 1;
        claimed.delete(batchId);
      }
    },
    finishCampaign: async () => {},
    listRemnants: async () => [],
    close: async () => {},
  };
}

const emptyRecord = {
  id: 1,
  name: '',
  planDigest: '',
  createdAt: 0,
  intake: 'open',
  columns: [],
  lists: [],
  batchesTaken: 0,
  refusedTaken: 0,
  rows: 0,
  tally: emptyTally(),
  finishedAt: undefined,
  compactedAt: undefined,
  laneRules: undefined,
  steering: undefined,
} as const;
