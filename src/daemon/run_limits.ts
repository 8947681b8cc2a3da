// The limits of a run: which there are, by subject, and which of them a lane's messages need.
import type { Clock } from '../base/clock.ts';
import { formatRate, type Pace } from '../base/quantity.ts';
import { sharedLane } from '../mail/batch.ts';
import type { Limit } from '../schedule/limiter.ts';
import { LimitTable } from '../schedule/limit_table.ts';
import type { QuotaState } from '../schedule/quota_lease.ts';

/** A lane's limits. */
export interface LaneLimits {
  readonly name: string;
  readonly pace: Pace;
  /** Messages under way at one time. */
  readonly maxConnections: number | undefined;
}

export interface LimitPlan {
  /** Of all that is sent. */
  readonly pace: Pace;
  readonly relay: { readonly name: string; readonly pace: Pace };
  readonly campaign: { readonly name: string; readonly pace: Pace };
  readonly lanes: readonly LaneLimits[];
}

/** What a message of a lane has to be granted by: handles of the table. */
export interface TaskLimits {
  readonly limits: readonly number[];
  /** Those of them that are held until the message is settled. */
  readonly slots: readonly number[];
}

/** From so long windows on a restart would forget what a provider does not. */
const durableFromMs = 3_600_000;

/** Owns the table of limits. Those of lanes are made when the first batch of the lane goes out. */
export class RunLimits {
  readonly table = new LimitTable();
  readonly #lanes: ReadonlyMap<string, LaneLimits>;
  readonly #byLane = new Map<string, TaskLimits>();
  /** For people, by the name in the table: "relay primary 100/s". */
  readonly #texts = new Map<string, string>();
  /** What the run before had granted of limits that are not made yet. */
  readonly #saved = new Map<string, QuotaState>();
  readonly #shared: readonly number[];
  readonly #clock: Clock;
  /** Whether anything has to be written to disk before it is granted. */
  readonly hasQuotas: boolean;

  constructor({ pace, relay, campaign, lanes }: LimitPlan, clock: Clock) {
    this.#clock = clock;
    const paces = [pace, relay.pace, campaign.pace, ...lanes.map((lane) => lane.pace)];
    this.hasQuotas = paces.some(({ rates }) => rates.some(isDurable));
    this.#lanes = new Map(lanes.map((lane) => [lane.name, lane]));
    this.#shared = [
      ...this.#put('all', pace),
      ...this.#put(`relay ${relay.name}`, relay.pace),
      ...this.#put(`campaign ${campaign.name}`, campaign.pace),
    ];
  }

  /** A lane without limits of its own has those of `other`, if it is none of the named ones: each lane for itself. */
  ofLane(lane: string): TaskLimits {
    const known = this.#byLane.get(lane);
    if (known !== undefined) return known;
    const own = this.#lanes.get(lane) ?? (lane === '' ? undefined : this.#lanes.get(sharedLane));
    const made = own === undefined ? { limits: this.#shared, slots: [] } : this.#makeLane(lane, own);
    this.#byLane.set(lane, made);
    return made;
  }

  /** Counts what an earlier run had granted. */
  restore(states: readonly QuotaState[]): void {
    for (const state of states) this.#saved.set(state.name, state);
    for (const name of this.#texts.keys()) this.#restoreOne(name);
  }

  /** All that were made so far, for people. */
  get texts(): readonly string[] {
    return [...this.#texts.values()];
  }

  #makeLane(lane: string, { pace, maxConnections }: LaneLimits): TaskLimits {
    const subject = `lane ${lane}`;
    const rates = this.#put(subject, pace);
    const slots =
      maxConnections === undefined
        ? []
        : [
            this.#putOne(
              { kind: 'concurrent', name: `${subject} maxConnections`, count: maxConnections },
              `${subject} maxConnections ${maxConnections}`,
            ),
          ];
    return { limits: [...this.#shared, ...rates, ...slots], slots };
  }

  /**
   * The shortest window sets the pace. The others have none: of [20/s, 50000/d] the day would otherwise let one
   * go every 1.7 s.
   */
  #put(subject: string, { rates, burst }: Pace): number[] {
    return rates.map((rate, position) => {
      const isKept = isDurable(rate);
      // Without the count: what was granted must be found again when the limit is changed.
      const name = `${subject} per ${rate.perMs} ms`;
      const atOnce = position === 0 ? burst : rate.count;
      const limit: Limit = { kind: 'rate', name, rate, burst: atOnce ?? 1, isDurable: isKept };
      return this.#putOne(limit, `${subject} ${formatRate(rate)}`);
    });
  }

  #putOne(limit: Limit, text: string): number {
    const handle = this.table.put(limit);
    this.#texts.set(limit.name, text);
    this.#restoreOne(limit.name);
    return handle;
  }

  #restoreOne(name: string): void {
    const state = this.#saved.get(name);
    if (state === undefined) return;
    this.#saved.delete(name);
    this.table.restore([state], this.#clock.monotonic(), this.#clock.now());
  }
}

function isDurable({ perMs }: { readonly perMs: number }): boolean {
  return perMs >= durableFromMs;
}
