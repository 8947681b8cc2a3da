// The MX look-ups of an engine: by the lanes of its configuration, counted, and complained of once.
import {
  lookUpResults,
  MxLanes,
  type LookUpResult,
  type MxLanesOptions,
  type NoteLookUp,
} from '../schedule/mx_lanes.ts';
import type { Log } from './log.ts';
import { openMxResolver, type MxResolver } from './mx_resolver.ts';
import type { SendLanes } from './threads.ts';

/** About 10 MB. */
const capacity = 100_000;
const keptMs = 3_600_000;
const failedKeptMs = 300_000;
const mostSilent = 20;
const restMs = 60_000;
const tellEveryMs = 3_600_000;

/** Without `lanes.mx` there is no resolver, and nobody is asked. */
export class MxLookUps {
  readonly #log: Log;
  readonly #counts = new Map<LookUpResult, number>(lookUpResults.map((result) => [result, 0]));
  /** When a result was told last. */
  readonly #toldAt = new Map<LookUpResult, number>();
  #resolver: MxResolver | undefined;
  #lanes: MxLanes | undefined;
  #isClosed = false;

  constructor(lanes: SendLanes | undefined, log: Log) {
    this.#log = log;
    this.use(lanes);
  }

  /** Takes other lanes. What was found out by the old ones is found out again. */
  use(lanes: SendLanes | undefined): void {
    this.#lanes = undefined;
    // What the old one is asking ends by itself, within its timeout.
    this.#resolver = undefined;
    if (lanes?.mx === undefined) return;
    const { maxLookUps } = lanes.mx;
    const resolver = openMxResolver(lanes.mx);
    this.#resolver = resolver;
    const options: MxLanesOptions = { capacity, keptMs, failedKeptMs, maxLookUps, mostSilent, restMs };
    const note = (...what: Parameters<NoteLookUp>): void => this.#noteOne(...what);
    this.#lanes = new MxLanes(lanes.groups, resolver.lookUp, options, Date.now, note);
  }

  /** The operator of a domain, as the name of its lane, asked for where it is not known. */
  find(domain: string): string | undefined | Promise<string | undefined> {
    return this.#lanes?.find(domain);
  }

  /** The same from memory. */
  recall(domain: string): string | undefined {
    return this.#lanes?.recall(domain);
  }

  /** How many look-ups came to what since the beginning. */
  counts(): { readonly result: LookUpResult; readonly count: number }[] {
    return [...this.#counts].map(([result, count]) => ({ result, count }));
  }

  /** Whoever waits for an answer gets none; what is asked later, neither. */
  close(): void {
    this.#isClosed = true;
    this.#resolver?.close();
  }

  /** A list may have 100,000 such domains: all are counted, and one an hour is told. */
  #noteOne(result: LookUpResult, domain: string, reason: string): void {
    if (this.#isClosed) return;
    this.#counts.set(result, (this.#counts.get(result) ?? 0) + 1);
    if (result === 'operator' || result === 'other') return;
    const now = Date.now();
    if (now - (this.#toldAt.get(result) ?? -Infinity) < tellEveryMs) return;
    this.#toldAt.set(result, now);
    if (result === 'skipped')
      this.#log.warn(
        'the DNS is silent: for a minute at a time no MX is looked up, and domains keep their lanes',
      );
    else
      this.#log.warn({ domain, reason }, 'an MX look-up failed, others may: such domains keep their lanes');
  }
}
