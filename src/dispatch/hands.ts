// What is in hand: the batches that threads have, the reports that came back, and the threads that died with theirs.
import type { Batch } from '../mail/batch.ts';
import type { BatchReport, BatchTask } from '../worker/contract.ts';
import type { ClaimedBatch } from './lane_claims.ts';

/** What the dispatcher needs of the threads. Relays and campaigns are the numbers in tasks. */
export interface BatchRunner {
  /** How many batches the threads take at once, and how many of them may be of one lane of a campaign. */
  readonly capacity: number;
  readonly perLane: number;
  readonly threads: number;
  run(task: BatchTask): Promise<BatchReport>;
  /** The batch whose message each thread, or the one before in its place, made last. */
  composing(): readonly number[];
  /** Sessions that are open, over all threads. */
  sessionsOpen(relay: number): number;
  /** Everything of a relay that no session has taken comes back. */
  recall(relay: number): void;
  /** The same for a campaign; of others some may come back, too. */
  recallCampaign(campaignId: number): void;
  allowSessions(relay: number, sessions: number): void;
}

/** The part of a task that is the campaign's, its lane's and its relay's. */
export type TaskFrame = Pick<
  BatchTask,
  'relay' | 'limits' | 'slots' | 'bytes' | 'weight' | 'mostSenderRefusals' | 'planKey' | 'plan'
>;

type LaunchFrame = TaskFrame & Pick<BatchTask, 'mostWaitMs'>;

/** A batch in hand; `goesBy` is the number of the relay that it was given for. */
export interface HeldBatch {
  readonly batch: ClaimedBatch;
  readonly goesBy: number;
  /** How often limits had changed when it went out. */
  readonly changes: number;
}

export interface Crash {
  readonly batchId: number;
  readonly error: unknown;
}

export class Hands {
  readonly #runner: BatchRunner;
  readonly #rouse: () => void;
  readonly #inHand = new Map<number, HeldBatch>();
  readonly #byCampaign = new Map<number, number>();
  readonly #byRelay = new Map<number, number>();
  #reports: BatchReport[] = [];
  #crashed: Crash[] = [];

  /** `rouse` is called whenever a thread has brought something back. */
  constructor(runner: BatchRunner, rouse: () => void) {
    this.#runner = runner;
    this.#rouse = rouse;
  }

  /** Batches that are out, or back and not yet let go. */
  get count(): number {
    return this.#inHand.size;
  }

  get room(): number {
    return this.#runner.capacity - this.#inHand.size;
  }

  get hasReports(): boolean {
    return this.#reports.length > 0;
  }

  countOfCampaign(campaignId: number): number {
    return this.#byCampaign.get(campaignId) ?? 0;
  }

  countOfRelay(relay: number): number {
    return this.#byRelay.get(relay) ?? 0;
  }

  find(batchId: number): HeldBatch | undefined {
    return this.#inHand.get(batchId);
  }

  launch(batch: ClaimedBatch, frame: LaunchFrame, changes: number): void {
    this.#inHand.set(batch.id, { batch, goesBy: frame.relay, changes });
    addTo(this.#byCampaign, batch.campaignId, 1);
    addTo(this.#byRelay, frame.relay, 1);
    void this.#supervise(taskOf(batch, frame));
  }

  /** What a batch came to is in the ledger. */
  letGo(batchId: number): void {
    const held = this.#inHand.get(batchId);
    if (held === undefined) return;
    this.#inHand.delete(batchId);
    addTo(this.#byCampaign, held.batch.campaignId, -1);
    addTo(this.#byRelay, held.goesBy, -1);
  }

  takeReports(): BatchReport[] {
    const reports = this.#reports;
    this.#reports = [];
    return reports;
  }

  takeCrashed(): Crash[] {
    const crashed = this.#crashed;
    this.#crashed = [];
    return crashed;
  }

  /** Never rejects: what a thread brings back, or that it died, is noted for whoever takes it. */
  async #supervise(task: BatchTask): Promise<void> {
    try {
      const report = await this.#runner.run(task);
      // Only now: another array may be in its place by then.
      this.#reports.push(report);
    } catch (error) {
      this.#crashed.push({ batchId: task.batchId, error });
    }
    this.#rouse();
  }
}

function addTo(counts: Map<number, number>, key: number, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

function taskOf({ id: batchId, campaignId, attempt, payload }: Batch, frame: LaunchFrame): BatchTask {
  return { ...frame, batchId, campaignId, attempt, payload };
}
