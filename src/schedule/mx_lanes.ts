// Lanes by MX operator: whose servers take the mail of a domain, remembered for a while.
import { makePatternFinder, type LaneGroup } from './lanes.ts';

/**
 * answered: the host names of a domain's MX records, the preferred first; empty where it has none. failed: the DNS says
 * that it cannot tell. silent: it did not say anything in time.
 */
export type MxAnswer =
  | { readonly kind: 'answered'; readonly hosts: readonly string[] }
  | { readonly kind: 'failed' | 'silent'; readonly reason: string };

/** Never rejects. */
export type LookUpMx = (domain: string) => Promise<MxAnswer>;

export interface MxLanesOptions {
  /** Domains that are remembered; the one that was learnt longest ago is forgotten first. */
  readonly capacity: number;
  readonly keptMs: number;
  /** How long a domain whose look-up failed is not asked for again. */
  readonly failedKeptMs: number;
  /** Look-ups under way at a time; others wait for their turn, in order. */
  readonly maxLookUps: number;
  /** So many without an answer, one after the other, and nobody is asked for a while: a dead server costs little time. */
  readonly mostSilent: number;
  readonly restMs: number;
}

/** What became of look-ups. skipped: not asked, since the DNS had been silent. */
export const lookUpResults = ['operator', 'other', 'failed', 'silent', 'skipped'] as const;
export type LookUpResult = (typeof lookUpResults)[number];

/** `reason` is empty where there is nothing the matter. */
export type NoteLookUp = (result: LookUpResult, domain: string, reason: string) => void;

interface Known {
  readonly lane: string | undefined;
  readonly untilAt: number;
}

/** Its clock is in ms since the epoch. `note` hears of each look-up. */
export class MxLanes {
  readonly #find: (host: string) => string | undefined;
  readonly #lookUp: LookUpMx;
  readonly #options: MxLanesOptions;
  readonly #now: () => number;
  readonly #note: NoteLookUp;
  readonly #known = new Map<string, Known>();
  readonly #underWay = new Map<string, Promise<string | undefined>>();
  /** Those whose turn has not come; bounded by who asks, for each intake waits for so many recipients at most. */
  readonly #turns: (() => void)[] = [];
  #asking = 0;
  #silent = 0;
  #restUntilAt = -Infinity;

  constructor(
    groups: readonly Pick<LaneGroup, 'name' | 'mx'>[],
    lookUp: LookUpMx,
    options: MxLanesOptions,
    now: () => number,
    note: NoteLookUp = () => {},
  ) {
    this.#find = makePatternFinder(groups.map(({ name, mx }) => [name, mx]));
    this.#lookUp = lookUp;
    this.#options = options;
    this.#now = now;
    this.#note = note;
  }

  /** Domains that are remembered. */
  get size(): number {
    return this.#known.size;
  }

  /** The operator's lane of a domain; undefined where it is not known, or nobody's. Never asks. */
  recall(domain: string): string | undefined {
    return this.#remembered(domain)?.lane;
  }

  /** The operator's lane of a domain, asked for where it is not known. Never rejects: who cannot be looked up is nobody's. */
  find(domain: string): string | undefined | Promise<string | undefined> {
    const known = this.#remembered(domain);
    if (known !== undefined) return known.lane;
    const underWay = this.#underWay.get(domain);
    if (underWay !== undefined) return underWay;
    if (this.#isResting()) return this.#skip(domain);
    const asked = this.#ask(domain).finally(() => this.#underWay.delete(domain));
    this.#underWay.set(domain, asked);
    return asked;
  }

  async #ask(domain: string): Promise<string | undefined> {
    if (this.#asking < this.#options.maxLookUps) this.#asking += 1;
    else await new Promise<void>((resolve) => this.#turns.push(resolve));
    try {
      // While it waited, the DNS may have been found silent.
      return this.#isResting() ? this.#skip(domain) : this.#take(domain, await this.#lookUp(domain));
    } finally {
      const next = this.#turns.shift();
      if (next === undefined) this.#asking -= 1;
      else next();
    }
  }

  #take(domain: string, answer: MxAnswer): string | undefined {
    const { keptMs, failedKeptMs } = this.#options;
    if (answer.kind === 'answered') {
      const lane = this.#operatorOf(answer.hosts);
      this.#silent = 0;
      this.#remember(domain, { lane, untilAt: this.#now() + keptMs });
      this.#note(lane === undefined ? 'other' : 'operator', domain, '');
      return lane;
    }
    // Not knowing is no failure of the mailing: the domain keeps the lane that it has by its name.
    this.#remember(domain, { lane: undefined, untilAt: this.#now() + failedKeptMs });
    this.#silent = answer.kind === 'silent' ? this.#silent + 1 : 0;
    if (this.#silent >= this.#options.mostSilent) this.#rest();
    this.#note(answer.kind, domain, answer.reason);
    return undefined;
  }

  #rest(): void {
    this.#silent = 0;
    this.#restUntilAt = this.#now() + this.#options.restMs;
  }

  #isResting(): boolean {
    return this.#now() < this.#restUntilAt;
  }

  /** Not remembered: once the DNS is there again, it is asked. */
  #skip(domain: string): undefined {
    this.#note('skipped', domain, '');
  }

  #operatorOf(hosts: readonly string[]): string | undefined {
    for (const host of hosts) {
      // RFC 1035 §2.3.1: case means nothing; a dot at the end is the root.
      const lane = this.#find(host.toLowerCase().replace(/\.$/, ''));
      if (lane !== undefined) return lane;
    }
    return undefined;
  }

  #remembered(domain: string): Known | undefined {
    const known = this.#known.get(domain);
    return known !== undefined && this.#now() < known.untilAt ? known : undefined;
  }

  #remember(domain: string, known: Known): void {
    // A copy: a slice of a list's text would keep all of that text in memory.
    const name = Buffer.from(domain, 'latin1').toString('latin1');
    this.#known.delete(name);
    this.#known.set(name, known);
    if (this.#known.size <= this.#options.capacity) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
