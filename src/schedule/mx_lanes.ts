// Lanes by MX operator: whose servers take the mail of a domain, remembered for a while.
import { makePatternFinder, type LaneGroup } from './lanes.ts';

/** The host names of a domain's MX records, the preferred first; empty where it has none. Rejects on failure. */
export type LookUpMx = (domain: string) => Promise<readonly string[]>;

export interface MxLanesOptions {
  /** Domains that are remembered; the one that was learnt longest ago is forgotten first. */
  readonly capacity: number;
  readonly keptMs: number;
  /** How long a domain whose look-up failed is not asked for again. */
  readonly failedKeptMs: number;
  /** Look-ups under way at a time; who comes later gets no answer instead of a queue. */
  readonly maxLookUps: number;
}

interface Known {
  readonly lane: string | undefined;
  readonly untilAt: number;
}

/**
 * For limits of batches whose lane is a domain, and never for cutting batches: intake must give the same batches for the
 * same list tomorrow, when MX records may have changed. Time is an argument, in ms since the epoch.
 */
export class MxLanes {
  readonly #find: (host: string) => string | undefined;
  readonly #lookUp: LookUpMx;
  readonly #options: MxLanesOptions;
  readonly #known = new Map<string, Known>();
  readonly #underWay = new Map<string, Promise<string | undefined>>();

  constructor(groups: readonly LaneGroup[], lookUp: LookUpMx, options: MxLanesOptions) {
    this.#find = makePatternFinder(groups.map(({ name, mx }) => [name, mx]));
    this.#lookUp = lookUp;
    this.#options = options;
  }

  /** Domains that are remembered. */
  get size(): number {
    return this.#known.size;
  }

  /** The operator's lane of a domain; undefined where it is not known, or nobody's. Never waits. */
  recall(domain: string, now: number): string | undefined {
    const known = this.#known.get(domain);
    return known !== undefined && now < known.untilAt ? known.lane : undefined;
  }

  /** Finds the operator's lane of a domain. Never rejects: who cannot be looked up is nobody's. */
  learn(domain: string, now: number): Promise<string | undefined> {
    const known = this.#known.get(domain);
    if (known !== undefined && now < known.untilAt) return Promise.resolve(known.lane);
    const underWay = this.#underWay.get(domain);
    if (underWay !== undefined) return underWay;
    if (this.#underWay.size >= this.#options.maxLookUps) return Promise.resolve(undefined);
    const asked = this.#ask(domain, now);
    this.#underWay.set(domain, asked);
    return asked;
  }

  async #ask(domain: string, now: number): Promise<string | undefined> {
    const { keptMs, failedKeptMs } = this.#options;
    try {
      const hosts = await this.#lookUp(domain);
      const lane = this.#operatorOf(hosts);
      this.#remember(domain, { lane, untilAt: now + keptMs });
      return lane;
    } catch {
      // Not knowing is no failure of the mailing: the domain keeps the limits that it has by its name.
      this.#remember(domain, { lane: undefined, untilAt: now + failedKeptMs });
      return undefined;
    } finally {
      this.#underWay.delete(domain);
    }
  }

  #operatorOf(hosts: readonly string[]): string | undefined {
    for (const host of hosts) {
      // RFC 1035 §2.3.1: case means nothing; a dot at the end is the root.
      const lane = this.#find(host.toLowerCase().replace(/\.$/, ''));
      if (lane !== undefined) return lane;
    }
    return undefined;
  }

  #remember(domain: string, known: Known): void {
    this.#known.delete(domain);
    this.#known.set(domain, known);
    if (this.#known.size <= this.#options.capacity) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
