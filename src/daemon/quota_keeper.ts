// The keeper of quotas: writes ahead what limits of hours and days may grant, so that no restart forgets any of it.
import type { Clock } from '../base/clock.ts';
import type { LimitTable } from '../schedule/limit_table.ts';
import type { QuotaState } from '../schedule/quota_lease.ts';

/** What the keeper needs of the ledger. */
export interface QuotaLedger {
  readQuotas(writtenSince: number): Promise<{ readonly state: string }[]>;
  writeQuotas(
    quotas: readonly { readonly name: string; readonly state: string }[],
    now: number,
  ): Promise<void>;
}

/** What the keeper needs of the limits of a run. */
export interface QuotaLimits {
  readonly table: Pick<LimitTable, 'reserve' | 'commit' | 'closeQuotas'>;
  restore(states: readonly QuotaState[]): void;
}

/** At most ten writes a second, and none while enough is reserved. */
const reserveEveryMs = 100;
/** Twice the longest window: nothing that was granted before counts any more. */
const keptMs = 2 * 86_400_000;

/**
 * opened (what earlier runs granted counts, and something is reserved) → reserving, by a timer → closed (what was reserved
 * and not granted is given back). Until it is opened the threads are granted nothing that counts.
 */
export class QuotaKeeper {
  readonly #limits: QuotaLimits;
  readonly #ledger: QuotaLedger;
  readonly #clock: Clock;
  readonly #failed: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  /** The write that is under way. */
  #writing: Promise<void> = Promise.resolve();

  /** `failed` is told, once, that nothing more can be reserved. */
  constructor(limits: QuotaLimits, ledger: QuotaLedger, clock: Clock, failed: (error: unknown) => void) {
    this.#limits = limits;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#failed = failed;
  }

  async open(): Promise<void> {
    const records = await this.#ledger.readQuotas(this.#clock.now() - keptMs);
    // Our own writing, so its shape is trusted.
    this.#limits.restore(records.map(({ state }): QuotaState => JSON.parse(state)));
    await this.#reserve();
    this.#timer = setInterval(() => this.#tick(), reserveEveryMs);
  }

  /** To be called when no thread takes any more. */
  async close(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    await this.#writing;
    const now = this.#clock.now();
    await this.#write(this.#limits.table.closeQuotas(this.#clock.monotonic(), now), now);
  }

  #tick(): void {
    this.#writing = this.#writing
      .then(() => this.#reserve())
      .catch((error: unknown) => {
        clearInterval(this.#timer);
        this.#failed(error);
      });
  }

  async #reserve(): Promise<void> {
    const now = this.#clock.now();
    const states = this.#limits.table.reserve(this.#clock.monotonic(), now);
    if (states.length === 0) return;
    await this.#write(states, now);
    this.#limits.table.commit();
  }

  async #write(states: readonly QuotaState[], now: number): Promise<void> {
    const quotas = states.map((state) => ({ name: state.name, state: JSON.stringify(state) }));
    if (quotas.length > 0) await this.#ledger.writeQuotas(quotas, now);
  }
}
