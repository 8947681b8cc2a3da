// The meter of a run: how much, how long, and where the time went.
import { availableParallelism } from 'node:os';
import type { WorkerPool } from '../dispatch/worker_pool.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import type { RunLimits } from './run_limits.ts';
import { nameBottleneck, type RunTimes } from './bottleneck.ts';

export class RunMeter {
  readonly #relay: RelayOptions;
  readonly #limits: RunLimits;
  /** What held messages up, once the run is over. */
  #limit = 'none';
  #pool: WorkerPool | undefined;
  #startedAt = performance.now();
  #endedAt: number | undefined;
  #mainActiveAtStart = 0;
  #answered = 0;
  #transactions = 0;
  #transactionSeconds = 0;
  #final:
    | Pick<RunTimes, 'threadActiveMs' | 'permitWaitMs' | 'mainActiveMs' | 'roundTripMs' | 'deepInFlight'>
    | undefined;

  constructor(relay: RelayOptions, limits: RunLimits) {
    this.#relay = relay;
    this.#limits = limits;
  }

  start(pool: WorkerPool): void {
    this.#pool = pool;
    this.#startedAt = performance.now();
    this.#mainActiveAtStart = performance.eventLoopUtilization().active;
  }

  stop(): void {
    this.#endedAt = performance.now();
    this.#limit = this.#limits.describeHold() ?? this.#limits.describeMostRefused() ?? 'none';
    const gauges = this.#pool?.gauges(0);
    this.#final = {
      threadActiveMs: gauges?.activeMs ?? 0,
      permitWaitMs: gauges?.permitWaitMs ?? 0,
      roundTripMs: gauges?.roundTripMs ?? 0,
      deepInFlight: gauges?.couldGoDeep === true ? this.#relay.inFlight : 0,
      mainActiveMs: performance.eventLoopUtilization().active - this.#mainActiveAtStart,
    };
  }

  note(event: PosthasteEvent): void {
    if (event.kind !== 'batchSettled') return;
    for (const { kind, count } of event.outcomes) if (kind !== 'unsent') this.#answered += count;
    for (const count of event.transactionCounts) this.#transactions += count;
    this.#transactionSeconds += event.transactionSumSeconds;
  }

  read(): { seconds: number; perSecond: number; bottleneck: string | undefined } {
    const wallMs = (this.#endedAt ?? performance.now()) - this.#startedAt;
    const perSecond = this.#answered === 0 ? 0 : this.#answered / (wallMs / 1000);
    return { seconds: wallMs / 1000, perSecond, bottleneck: this.#nameBottleneck(wallMs) };
  }

  #nameBottleneck(wallMs: number): string | undefined {
    if (this.#final === undefined || this.#answered === 0) return undefined;
    return nameBottleneck({
      wallMs,
      perSecond: this.#answered / (wallMs / 1000),
      threads: this.#pool?.threads ?? 1,
      ...this.#final,
      limit: this.#limit,
      meanTransactionMs: (this.#transactionSeconds * 1000) / Math.max(this.#transactions, 1),
      maxConnections: this.#relay.maxConnections,
      cores: availableParallelism(),
    });
  }
}
