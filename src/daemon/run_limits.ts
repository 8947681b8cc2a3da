// The limits of a run: which there are, by subject, and which of them a lane's messages need.
import type { Clock } from '../base/clock.ts';
import { formatRate, type Pace } from '../base/quantity.ts';
import { sharedLane } from '../mail/batch.ts';
import type { Limit } from '../schedule/limiter.ts';
import type { RateLimit } from '../schedule/limit_record.ts';
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
/** What is over sooner is a pace, and nothing that one waits for. */
const longHoldMs = 2000;

/** Owns the table of limits. Those of lanes are made when the first batch of the lane goes out. */
export class RunLimits {
  readonly table = new LimitTable();
  readonly #lanes: ReadonlyMap<string, LaneLimits>;
  readonly #byLane = new Map<string, TaskLimits>();
  /** The limit that sets the pace of a relay or lane, by subject. */
  readonly #paces = new Map<string, RateLimit>();
  /** For people, by the name in the table: "relay primary 100/s". */
  readonly #texts = new Map<string, string>();
  /** What the run before had granted of limits that are not made yet. */
  readonly #saved = new Map<string, QuotaState>();
  readonly #shared: readonly number[];
  readonly #clock: Clock;
  readonly #relay: string;
  /** Whether anything has to be written to disk before it is granted. */
  readonly hasQuotas: boolean;

  constructor({ pace, relay, campaign, lanes }: LimitPlan, clock: Clock) {
    this.#clock = clock;
    this.#relay = `relay ${relay.name}`;
    const paces = [pace, relay.pace, campaign.pace, ...lanes.map((lane) => lane.pace)];
    this.hasQuotas = paces.some(({ rates }) => rates.some(isDurable));
    this.#lanes = new Map(lanes.map((lane) => [lane.name, lane]));
    this.#shared = [
      ...this.#put('all', pace),
      ...this.#put(this.#relay, relay.pace),
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

  /** Leaves a share of the rate that sets the pace of a lane, or of the relay; where there is none, nothing. */
  slowDown(lane: string | undefined, rateFactor: number): void {
    const pace = this.#paces.get(lane === undefined ? this.#relay : `lane ${lane}`);
    if (pace === undefined) return;
    const { count, perMs } = pace.rate;
    this.table.put({ ...pace, rate: { count: Math.max(1, Math.floor(count * rateFactor)), perMs } });
  }

  /** Counts what an earlier run had granted. */
  restore(states: readonly QuotaState[]): void {
    for (const state of states) this.#saved.set(state.name, state);
    for (const name of this.#texts.keys()) this.#restoreOne(name);
  }

  /** The limit that holds messages up for some time from now on, for people: "lane gmail 50000/d until 2026-11-27T02:10:00Z". */
  describeHold(): string | undefined {
    const nowMs = this.#clock.monotonic();
    const [longest] = this.table.binding(nowMs);
    if (longest === undefined || longest.untilMs - nowMs < longHoldMs) return undefined;
    const until = new Date(this.#clock.now() + longest.untilMs - nowMs);
    return `${this.#textOf(longest.name)} until ${until.toISOString().replace(/\.\d+/, '')}`;
  }

  /** The limit that has held messages up most, for people; undefined where none did. */
  describeMostRefused(): string | undefined {
    const name = this.table.mostRefused();
    return name === undefined ? undefined : this.#textOf(name);
  }

  #textOf(name: string): string {
    return this.#texts.get(name) ?? name;
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
      const limit: RateLimit = { kind: 'rate', name, rate, burst: atOnce ?? 1, isDurable: isKept };
      // A provider's day has so many, however slowly they go.
      if (position === 0 && !isKept) this.#paces.set(subject, limit);
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
