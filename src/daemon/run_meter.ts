// The meter of a run: how much, how long, and where the time went.
import { availableParallelism } from 'node:os';
import type { PosthasteEvent } from '../mail/event.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import { nameBottleneck, type RunTimes } from './bottleneck.ts';
import type { EngineThreads } from './threads.ts';

export class RunMeter {
  readonly #relay: RelayOptions | undefined;
  readonly #number: number;
  readonly #threads: EngineThreads;
  /** What held messages up, once the run is over. */
  #limit = 'none';
  #startedAt = performance.now();
  #endedAt: number | undefined;
  #mainActiveAtStart = 0;
  #answered = 0;
  #transactions = 0;
  #transactionSeconds = 0;
  #final:
    | Pick<RunTimes, 'threadActiveMs' | 'permitWaitMs' | 'mainActiveMs' | 'roundTripMs' | 'deepInFlight'>
    | undefined;

  /** Of several relays the first is looked at; `number` is its number in tasks. */
  constructor(relay: RelayOptions | undefined, number: number, threads: EngineThreads) {
    this.#relay = relay;
    this.#number = number;
    this.#threads = threads;
  }

  start(): void {
    this.#startedAt = performance.now();
    this.#mainActiveAtStart = performance.eventLoopUtilization().active;
  }

  stop(): void {
    this.#endedAt = performance.now();
    const { limits, pool } = this.#threads;
    this.#limit = limits.describeHold() ?? limits.describeMostRefused() ?? 'none';
    const { activeMs: threadActiveMs, permitWaitMs, roundTripMs, couldGoDeep } = pool.gauges(this.#number);
    this.#final = {
      threadActiveMs,
      permitWaitMs,
      roundTripMs,
      deepInFlight: couldGoDeep ? (this.#relay?.inFlight ?? 0) : 0,
      mainActiveMs: performance.eventLoopUtilization().active - this.#mainActiveAtStart,
    };
  }

  /** An event of its campaign. */
  note(event: PosthasteEvent): void {
    if (event.kind !== 'batchSettled') return;
    for (const { kind, count } of event.outcomes) if (kind !== 'unsent') this.#answered += count;
    for (const { counts, sumSeconds } of Object.values(event.transactionTimes)) {
      for (const count of counts) this.#transactions += count;
      this.#transactionSeconds += sumSeconds;
    }
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
      threads: this.#threads.pool.threads,
      ...this.#final,
      limit: this.#limit,
      meanTransactionMs: (this.#transactionSeconds * 1000) / Math.max(this.#transactions, 1),
      maxConnections: this.#relay?.maxConnections ?? 1,
      cores: availableParallelism(),
    });
  }
}
