// The limits of a run: which there are, by subject, and which of them a batch's messages need.
import type { Clock } from '../base/clock.ts';
import { formatByteRate, formatRate, type Pace } from '../base/quantity.ts';
import { sharedLane } from '../mail/batch.ts';
import type { Limit } from '../schedule/limiter.ts';
import type { RateLimit } from '../schedule/limit_record.ts';
import { LimitTable } from '../schedule/limit_table.ts';
import type { QuotaState } from '../schedule/quota_lease.ts';
import { warmUpToday, type WarmUpPlan } from '../schedule/warm_up.ts';
import {
  bytesWord,
  connectionsWord,
  hasDurable,
  limitsOf,
  slotsName,
  slowed,
  volumeName,
} from './limit_names.ts';

/** A lane's limits. */
export interface LaneLimits {
  readonly name: string;
  readonly pace: Pace;
  /** Messages under way at one time. */
  readonly maxConnections: number | undefined;
}

/** Limits of a relay or of a From domain. */
export interface WarmedLimits {
  readonly name: string;
  readonly pace: Pace;
  readonly warmUp?: WarmUpPlan | undefined;
}

export interface LimitPlan {
  /** Of all that is sent. */
  readonly pace: Pace;
  readonly relays: readonly WarmedLimits[];
  readonly lanes: readonly LaneLimits[];
  /** Of the domains of From fields; absent: none. */
  readonly fromDomains?: readonly WarmedLimits[];
  /** So many new sessions may be opened at once, within their limit: one for each thread; absent: one. */
  readonly threads?: number;
}

/** What a message has to be granted by: handles of the table. */
export interface TaskLimits {
  readonly limits: readonly number[];
  /** Those of them that are held until the message is settled. */
  readonly slots: readonly number[];
  /** Those of them that count bytes, and what people know them as: "relay primary bytes 10MB/s". */
  readonly bytes: readonly ByteLimit[];
}

interface ByteLimit {
  readonly limit: number;
  readonly text: string;
  /** What it ever grants at once. */
  readonly mostBytes: number;
}

/** What limits are about: "all", "relay primary", "campaign spring", "lane gmail", "from example.com". */
interface SubjectLimits extends TaskLimits {
  /** In the table. */
  readonly names: readonly string[];
  /** The limit that sets the pace; undefined where there is none that may be slowed down. */
  readonly pace: RateLimit | undefined;
  /** What a new session has to be granted by. */
  readonly connections: readonly number[];
}

/** What the limits of a subject have granted, and how often they were the ones to hold a message up. */
interface SubjectCounts {
  readonly limit: string;
  readonly granted: number;
  readonly refusals: number;
}

/** By then what was recalled is back. */
const leaveAfterMs = 5000;
/** What is over sooner is a pace, and nothing that one waits for. */
const longHoldMs = 2000;
/** What bound so lately binds: between two permits of a pace there is always a moment without. */
const lastingMs = 1000;

/** Owns the table of limits. Those of lanes are made when the first batch of the lane goes out. */
export class RunLimits {
  readonly table = new LimitTable();
  readonly #subjects = new Map<string, SubjectLimits>();
  /** For people, by the name in the table: "relay primary 100/s". */
  readonly #texts = new Map<string, string>();
  /** What the run before had granted of limits that are not made yet. */
  readonly #saved = new Map<string, QuotaState>();
  #lanes: ReadonlyMap<string, LaneLimits>;
  /** Of campaigns' From fields, by campaign. */
  readonly #fromDomains = new Map<string, string>();
  /** What is left of a pace, by subject; absent: all of it. */
  readonly #factors = new Map<string, number>();
  /** By subject, with the day that its limit is for. */
  readonly #warmUps = new Map<string, { readonly plan: WarmUpPlan; readonly pace: Pace; day: number }>();
  /** By subject, since the beginning. */
  readonly #counted = new Map<string, SubjectCounts>();
  /** What of each limit is among them. */
  readonly #seen = new Map<string, Omit<SubjectCounts, 'limit'>>();
  /** When limits go that nobody new is given. Monotonic. */
  readonly #leaving = new Map<string, number>();
  readonly #clock: Clock;
  readonly #threads: number;
  /** Whether anything has to be written to disk before it is granted. */
  #hasQuotas = false;

  constructor(plan: LimitPlan, clock: Clock) {
    this.#clock = clock;
    this.#threads = plan.threads ?? 1;
    this.#lanes = new Map(plan.lanes.map((lane) => [lane.name, lane]));
    this.#putShared(plan);
  }

  /** Whether anything has to be written to disk before it is granted, or may have to once its lane comes. */
  get hasQuotas(): boolean {
    return this.#hasQuotas || [...this.#lanes.values()].some(({ pace }) => hasDurable(pace));
  }

  /** Gives relays that are warmed up the volume of a day that has begun, and removes limits of a while ago. To be called every second. */
  followTime(): void {
    this.#removeLeft();
    const now = this.#clock.now();
    for (const [subject, warmUp] of this.#warmUps)
      if (warmUpToday(warmUp.plan, now).day !== warmUp.day) this.#put(subject, warmUp.pace);
  }

  /** Gives a campaign its limits, or others than it had; what they have counted stays. */
  setCampaign(name: string, pace: Pace, fromDomain = this.#fromDomains.get(name)): void {
    if (fromDomain !== undefined) this.#fromDomains.set(name, fromDomain);
    this.#put(`campaign ${name}`, pace);
  }

  /** Forgets a campaign's limits, once nothing in them counts any more. */
  dropCampaign(name: string): void {
    this.#fromDomains.delete(name);
    this.#drop(`campaign ${name}`);
  }

  /** Takes a changed configuration. Batches in hand keep what they have until they are back. */
  change(plan: LimitPlan): void {
    this.#lanes = new Map(plan.lanes.map((lane) => [lane.name, lane]));
    this.#putShared(plan);
    const named = new Set(namedSubjects(plan).map(([subject]) => subject));
    for (const subject of this.#subjects.keys()) {
      if (/^(?:relay|from) /.test(subject) && !named.has(subject)) this.#leave(subject);
      if (subject.startsWith('lane ')) this.#changeLane(subject);
    }
  }

  #changeLane(subject: string): void {
    const rules = this.#rulesOfLane(subject.slice('lane '.length));
    if (rules === undefined) this.#leave(subject);
    else this.#put(subject, rules.pace, rules.maxConnections);
  }

  /** What a batch needs. A lane without limits of its own has those of `other`, if it is none of the named ones: each for itself. */
  of(campaign: string, relay: string, lane: string): TaskLimits {
    const subjects = [
      this.#subjects.get('all'),
      this.#subjects.get(`relay ${relay}`),
      this.#subjects.get(`campaign ${campaign}`),
      this.#subjects.get(`from ${this.#fromDomains.get(campaign)}`),
      this.#ofLane(lane),
    ];
    return {
      limits: subjects.flatMap((one) => one?.limits ?? []),
      slots: subjects.flatMap((one) => one?.slots ?? []),
      bytes: subjects.flatMap((one) => one?.bytes ?? []),
    };
  }

  /** Whether a limit, by its handle, is a relay's own. */
  isOfRelay(limit: number, relay: string): boolean {
    return this.#subjects.get(`relay ${relay}`)?.limits.includes(limit) === true;
  }

  /** A limit that never lets a message of so many bytes go by any of the relays; lanes are of some recipients only. */
  findTooSmall(campaign: string, relays: readonly string[], sizeBytes: number): string | undefined {
    const findOf = (subject: string): string | undefined =>
      this.#subjects.get(subject)?.bytes.find(({ mostBytes }) => mostBytes < sizeBytes)?.text;
    const ofRelays = relays.map((relay) => findOf(`relay ${relay}`));
    const everywhere = ofRelays.includes(undefined) ? undefined : ofRelays[0];
    const from = `from ${this.#fromDomains.get(campaign)}`;
    return findOf('all') ?? findOf(`campaign ${campaign}`) ?? findOf(from) ?? everywhere;
  }

  /** What a new session to a relay needs. */
  ofConnections(relay: string): readonly number[] {
    const subjects = [this.#subjects.get('all'), this.#subjects.get(`relay ${relay}`)];
    return subjects.flatMap((one) => one?.connections ?? []);
  }

  /** Leaves a share of the rate that sets the pace of a lane or relay; where there is none, nothing. */
  slowDown({ kind, name }: { readonly kind: 'relay' | 'lane'; readonly name: string }, factor: number): void {
    const subject = `${kind} ${name}`;
    if (factor < 1) this.#factors.set(subject, factor);
    else this.#factors.delete(subject);
    const pace = this.#subjects.get(subject)?.pace;
    if (pace !== undefined) this.table.put(slowed(pace, factor));
  }

  /** Counts what an earlier run had granted. */
  restore(states: readonly QuotaState[]): void {
    for (const state of states) this.#saved.set(state.name, state);
    for (const name of this.#texts.keys()) this.#restoreOne(name);
  }

  /** The limit that holds messages up for some time from now on, for people: "lane gmail 50000/d until 2026-11-27T02:10:00Z". */
  describeHold(): string | undefined {
    return this.#describeLongest(longHoldMs, () => true);
  }

  /** What binds a campaign now, if only for an instant; lanes are of all campaigns. */
  describeBinding(campaign: string, relays: readonly string[]): string | undefined {
    const from = `from ${this.#fromDomains.get(campaign)}`;
    const subjects = ['all', `campaign ${campaign}`, from, ...relays.map((name) => `relay ${name}`)];
    const isOfIt = (name: string): boolean =>
      name.startsWith('lane ') || subjects.some((subject) => name.startsWith(`${subject} `));
    return this.#describeLongest(-lastingMs, isOfIt);
  }

  #describeLongest(leastMs: number, isMeant: (name: string) => boolean): string | undefined {
    const nowMs = this.#clock.monotonic();
    const from = nowMs + Math.min(leastMs, 0);
    const meant = this.table.binding(from).filter(({ name }) => isMeant(name));
    // While no session may be opened, those that are open work on.
    const longest = meant.find(({ name }) => !name.includes(` ${connectionsWord} `)) ?? meant[0];
    if (longest === undefined || longest.untilMs - nowMs < leastMs) return undefined;
    if (longest.untilMs - nowMs < longHoldMs) return this.#textOf(longest.name);
    const until = new Date(this.#clock.now() + longest.untilMs - nowMs);
    return `${this.#textOf(longest.name)} until ${until.toISOString().replace(/\.\d+/, '')}`;
  }

  /** The limit that has held messages up most, for people; undefined where none did. */
  describeMostRefused(): string | undefined {
    const name = this.table.mostRefused();
    return name === undefined ? undefined : this.#textOf(name);
  }

  /**
   * What was granted and held up, by subject: "all", "relay primary", "lane gmail" for configured ones, else "campaign" and "lane".
   * These never go back, as limits do that are forgotten: they are sums of what each has counted since it was looked at last.
   */
  countBySubject(): SubjectCounts[] {
    for (const { name, granted, refusals } of this.table.counts()) {
      const limit = this.#subjectOf(name);
      const sum = this.#counted.get(limit) ?? { limit, granted: 0, refusals: 0 };
      const seen = this.#seen.get(name);
      // One that was forgotten and made again begins at 0.
      const last = seen === undefined || seen.granted > granted ? { granted: 0, refusals: 0 } : seen;
      this.#seen.set(name, { granted, refusals });
      this.#counted.set(limit, {
        limit,
        granted: sum.granted + granted - last.granted,
        refusals: sum.refusals + Math.max(0, refusals - last.refusals),
      });
    }
    return [...this.#counted.values()];
  }

  /** How much longer limits let nobody go, in ms, as far as is known; subjects of which none holds anybody up are not in it. */
  holdsBySubject(): ReadonlyMap<string, number> {
    const nowMs = this.#clock.monotonic();
    const holds = new Map<string, number>();
    for (const { name, untilMs } of this.table.binding(nowMs)) {
      const limit = this.#subjectOf(name);
      holds.set(limit, Math.max(holds.get(limit) ?? 0, untilMs - nowMs));
    }
    return holds;
  }

  /** Forgets limits that were removed and in which nothing counts any more. To be called every minute or so. */
  sweep(): void {
    this.countBySubject();
    this.table.sweep(this.#clock.monotonic());
    for (const name of this.#seen.keys()) if (!this.table.has(name)) this.#seen.delete(name);
  }

  /** As many as are configured: a metric has a series for each. */
  #subjectOf(name: string): string {
    const [kind = '', subject = ''] = name.split(' ');
    const isNamed = kind === 'relay' || kind === 'from' || (kind === 'lane' && this.#lanes.has(subject));
    const who = isNamed ? `${kind} ${subject}` : kind;
    // Bytes and sessions are no messages, and not to be added to them.
    const what = / (bytes|connectionRate) per /.exec(name)?.[1];
    return what === undefined ? who : `${who} ${what}`;
  }

  #textOf(name: string): string {
    return this.#texts.get(name) ?? name;
  }

  #putShared(plan: LimitPlan): void {
    this.#put('all', plan.pace);
    this.#warmUps.clear();
    for (const [subject, { pace: own, warmUp }] of namedSubjects(plan)) {
      if (warmUp !== undefined) this.#warmUps.set(subject, { plan: warmUp, pace: own, day: Number.NaN });
      this.#put(subject, own);
    }
  }

  #rulesOfLane(lane: string): LaneLimits | undefined {
    return this.#lanes.get(lane) ?? (lane === '' ? undefined : this.#lanes.get(sharedLane));
  }

  #ofLane(lane: string): SubjectLimits | undefined {
    const own = this.#rulesOfLane(lane);
    if (own === undefined) return undefined;
    const subject = `lane ${lane}`;
    return this.#subjects.get(subject) ?? this.#put(subject, own.pace, own.maxConnections);
  }

  /**
   * The shortest window sets the pace. The others have none: of [20/s, 50000/d] the day would otherwise let one
   * go every 1.7 s.
   */
  #put(subject: string, own: Pace, maxConnections?: number): SubjectLimits {
    const factor = this.#factors.get(subject) ?? 1;
    const made = limitsOf('rate', subject, own.rates, own.burst);
    const [first] = made;
    // A provider's day has so many, however slowly they go.
    const pace = first?.isDurable === true ? undefined : first;
    const limits = made.map((limit) =>
      this.#putOne(limit === pace ? slowed(limit, factor) : limit, `${subject} ${formatRate(limit.rate)}`),
    );
    const inBytes = limitsOf('bytes', `${subject} ${bytesWord}`, own.bytes);
    const bytes = inBytes.map((limit): ByteLimit => {
      const text = `${subject} ${bytesWord} ${formatByteRate(limit.rate)}`;
      return { limit: this.#putOne(limit, text), text, mostBytes: limit.rate.count };
    });
    const opening = limitsOf('rate', `${subject} ${connectionsWord}`, own.connections, this.#threads);
    const connections = opening.map((limit) =>
      this.#putOne(limit, `${subject} ${connectionsWord} ${formatRate(limit.rate)}`),
    );
    const slots = maxConnections === undefined ? [] : [this.#putSlots(subject, maxConnections)];
    const names = [...made, ...inBytes, ...opening].map(({ name }) => name);
    const volume = this.#putVolume(subject);
    if (volume !== undefined) names.push(volumeName(subject));
    if (volume !== undefined) limits.push(volume);
    if (slots.length > 0) names.push(slotsName(subject));
    for (const name of this.#subjects.get(subject)?.names ?? [])
      if (!names.includes(name)) this.#removeLater(name);
    const all = [...limits, ...bytes.map(({ limit }) => limit), ...slots];
    const put = { limits: all, slots, bytes, names, pace, connections };
    this.#subjects.set(subject, put);
    this.#hasQuotas ||= hasDurable(own);
    return put;
  }

  /** The volume of the day that it is in a plan; undefined where there is none, or the plan is over. */
  #putVolume(subject: string): number | undefined {
    const warmUp = this.#warmUps.get(subject);
    if (warmUp === undefined) return undefined;
    const [nowMs, now] = [this.#clock.monotonic(), this.#clock.now()];
    const { day, volume, untilAt } = warmUpToday(warmUp.plan, now);
    const name = volumeName(subject);
    const isPut = this.table.handleOf(name) !== undefined;
    if (warmUp.day === day && isPut) return this.table.handleOf(name);
    warmUp.day = day;
    if (volume === Infinity) return undefined;
    this.#hasQuotas = true;
    const endsAtMs = nowMs + untilAt - now;
    const limit: Limit = { kind: 'quota', name, count: volume, endsAtMs, isDurable: true };
    return this.#putOne(limit, `${subject} warm-up, day ${day}: ${volume}`);
  }

  #putSlots(subject: string, count: number): number {
    const name = slotsName(subject);
    return this.#putOne({ kind: 'concurrent', name, count }, `${name} ${count}`);
  }

  #putOne(limit: Limit, text: string): number {
    this.#leaving.delete(limit.name);
    const handle = this.table.put(limit);
    this.#texts.set(limit.name, text);
    this.#restoreOne(limit.name);
    return handle;
  }

  /** Of a subject of which nothing is in hand. */
  #drop(subject: string): void {
    for (const name of this.#subjects.get(subject)?.names ?? []) this.#remove(name);
    this.#subjects.delete(subject);
  }

  #leave(subject: string): void {
    for (const name of this.#subjects.get(subject)?.names ?? []) this.#removeLater(name);
    this.#subjects.delete(subject);
  }

  /** A limit that is removed holds nobody up any more, and threads may have batches yet that know no other. */
  #removeLater(name: string): void {
    this.#leaving.set(name, this.#clock.monotonic() + leaveAfterMs);
  }

  #removeLeft(): void {
    const nowMs = this.#clock.monotonic();
    for (const [name, atMs] of this.#leaving) {
      if (nowMs < atMs) continue;
      this.#leaving.delete(name);
      this.#remove(name);
    }
  }

  #remove(name: string): void {
    this.table.remove(name);
    this.#texts.delete(name);
  }

  #restoreOne(name: string): void {
    const state = this.#saved.get(name);
    if (state === undefined || this.table.handleOf(name) === undefined) return;
    this.#saved.delete(name);
    this.table.restore([state], this.#clock.monotonic(), this.#clock.now());
  }
}

function namedSubjects({ relays, fromDomains = [] }: LimitPlan): [string, WarmedLimits][] {
  return [
    ...relays.map((limits): [string, WarmedLimits] => [`relay ${limits.name}`, limits]),
    ...fromDomains.map((limits): [string, WarmedLimits] => [`from ${limits.name}`, limits]),
  ];
}
