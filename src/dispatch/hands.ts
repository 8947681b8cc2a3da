// What is in hand: the batches that threads have, the reports that came back, and the threads that died with theirs.
import type { Batch } from '../mail/batch.ts';
import type { BatchReport, BatchTask } from '../worker/contract.ts';
import type { ClaimedBatch } from './lane_claims.ts';

/** What the dispatcher needs of the threads. */
export interface BatchRunner {
  /** How many batches the threads take at once, and how many of them may be of one lane. */
  readonly capacity: number;
  readonly perLane: number;
  readonly threads: number;
  run(task: BatchTask): Promise<BatchReport>;
  /** Of these `relay` is the number in a task. Sessions that are open, over all threads. */
  sessionsOpen(relay: number): number;
  /** Everything that no session has taken comes back. */
  recall(relay: number): void;
  allowSessions(relay: number, sessions: number): void;
}

/** The part of a task that is not the batch. */
export type TaskFrame = Pick<
  BatchTask,
  'relay' | 'limits' | 'slots' | 'mostSenderRefusals' | 'planKey' | 'plan'
>;

export interface Crash {
  readonly batchId: number;
  readonly error: unknown;
}

export class Hands {
  readonly #runner: BatchRunner;
  readonly #rouse: () => void;
  readonly #inHand = new Map<number, ClaimedBatch>();
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

  find(batchId: number): ClaimedBatch | undefined {
    return this.#inHand.get(batchId);
  }

  /** Holds a batch that no thread gets. */
  hold(batch: ClaimedBatch): void {
    this.#inHand.set(batch.id, batch);
  }

  launch(batch: ClaimedBatch, frame: TaskFrame): void {
    this.hold(batch);
    void this.#supervise(taskOf(batch, frame));
  }

  /** What a batch came to is in the ledger. */
  letGo(batchId: number): ClaimedBatch | undefined {
    const batch = this.#inHand.get(batchId);
    this.#inHand.delete(batchId);
    return batch;
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

function taskOf({ id: batchId, campaignId, attempt, payload }: Batch, frame: TaskFrame): BatchTask {
  return { ...frame, batchId, campaignId, attempt, payload };
}
