// The engine: one ledger, the threads with their limits, the relays, and the campaigns that are sent with them.
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { Dispatcher } from '../dispatch/dispatcher.ts';
import { createFanout, type Fanout } from '../events/fanout.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import type { Sample } from '../metrics/record_sample.ts';
import { compactDue } from './compact.ts';
import { readJournalledCampaigns, sweepJournals } from './journals.ts';
import { logEvent, type Log } from './log.ts';
import { LoopLag } from './loop_lag.ts';
import { MxLookUps } from './mx_look_ups.ts';
import { QuotaKeeper } from './quota_keeper.ts';
import { sampleEngine } from './sample.ts';
import {
  limitPlanOf,
  liveSetupOf,
  mostRelays,
  type EngineOptions,
  type EngineThreads,
  type SendRelay,
} from './threads.ts';

/** How often limits that nobody uses any more are forgotten, and how soon a day that begins is seen. */
const [sweepEveryMs, dayEveryMs] = [60_000, 1000];

/** States: open → begun (batches go out) → stopping → closed. `stop` may come at any time; `close` last. */
export class Engine {
  #options: EngineOptions;
  readonly threads: EngineThreads;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly dispatcher: Dispatcher;
  readonly mx: MxLookUps;
  readonly #events: Fanout<PosthasteEvent>;
  readonly #quotas: QuotaKeeper;
  readonly #stopped = new AbortController();
  readonly #lag = new LoopLag();
  /** Names of the campaigns that are being sent, by id. */
  readonly #sending = new Map<number, string>();
  /** Who follows a campaign, by its name. */
  readonly #followers = new Map<string, (event: PosthasteEvent) => void>();
  /** Relays that were taken out of the configuration. */
  readonly #gone = new Set<string>();
  #running: Promise<void> | undefined;
  #journalled: Set<number> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #poolClosed: Promise<void> | undefined;
  #drainTimer: NodeJS.Timeout | undefined;
  #sweepTimer: NodeJS.Timeout | undefined;
  #dayTimer: NodeJS.Timeout | undefined;

  /** Takes ledger and threads over: they are closed with it. */
  constructor(options: EngineOptions, threads: EngineThreads, ledger: Ledger, log: Log) {
    this.#options = options;
    this.threads = threads;
    this.ledger = ledger;
    this.log = log;
    this.mx = new MxLookUps(options.lanes, log);
    const { pool, limits, journals } = threads;
    this.#events = createFanout((error, event) =>
      log.error({ err: error, event: event.kind }, 'a listener failed'),
    );
    this.subscribe((event) => logEvent(log, event));
    this.subscribe((event) => {
      if ('campaign' in event) this.#followers.get(event.campaign)?.(event);
    });
    this.#quotas = new QuotaKeeper(limits, ledger, systemClock, (error) => this.fail(error));
    this.dispatcher = new Dispatcher(
      {
        relays: options.relays.map(({ name, maxConnections }) => ({ name, maxSessions: maxConnections })),
        slowDown: (what, factor) => limits.slowDown(what, factor),
        isLimitOfRelay: (limit, relay) => limits.isOfRelay(limit, relay),
        isPatient: options.isPatient,
        tellsRecipients: options.tellsRecipients,
        clock: systemClock,
        random: Math.random,
        publish: (event) => this.publish(event),
      },
      ledger,
      pool,
      journals,
    );
    // It had no batch: nothing is in doubt, and another takes its place.
    pool.followIdleDeaths((error) => this.#sayThatOneDied(messageOf(error)));
  }

  get options(): EngineOptions {
    return this.#options;
  }

  /**
   * Takes other limits, lanes, relays and keys. Relays keep their numbers; one that is gone is held, and new ones come behind. What
   * is counted stays counted, and sessions stay open where their relay is the same.
   */
  change(options: EngineOptions): void {
    const relays = mergeRelays(this.#options.relays, options.relays);
    if (!isDeepStrictEqual(this.#options.lanes, options.lanes)) this.mx.use(options.lanes);
    this.#options = { ...options, relays };
    const { limits, pool } = this.threads;
    limits.change(limitPlanOf(this.#options));
    pool.change(liveSetupOf(this.#options, limits));
    for (const { name, maxConnections } of relays.slice(this.dispatcher.relays.count))
      this.dispatcher.relays.add({ name, maxSessions: maxConnections });
    this.dispatcher.relays.tryAgain(options.relays.map(({ name }) => name));
    this.#holdWhatIsGone(new Set(options.relays.map(({ name }) => name)));
    this.dispatcher.recallAll();
  }

  /** Follows the events of this run; all of them are durable when they come. Returns what ends it. */
  subscribe(listener: (event: PosthasteEvent) => void): () => void {
    return this.#events.subscribe(listener);
  }

  /** The same for the one run of a campaign: of a thousand, none hears of the others. Returns what ends it. */
  follow(campaign: string, listener: (event: PosthasteEvent) => void): () => void {
    this.#followers.set(campaign, listener);
    return () => this.#followers.delete(campaign);
  }

  get events(): Fanout<PosthasteEvent> {
    return this.#events;
  }

  publish(event: PosthasteEvent): void {
    this.#events.publish(event);
  }

  /** Aborted once nothing new is to be begun. */
  get stopSignal(): AbortSignal {
    return this.#stopped.signal;
  }

  /** Why it cannot go on: the ledger or a journal cannot be written, or a bug. */
  get failure(): unknown {
    return this.#failure?.error;
  }

  /** Nothing is granted or claimed before. */
  async begin(): Promise<void> {
    if (this.#running !== undefined) return;
    if (this.threads.limits.hasQuotas || this.options.isPatient) await this.#quotas.open();
    this.#sweepTimer = setInterval(() => this.threads.limits.sweep(), sweepEveryMs);
    this.#sweepTimer.unref();
    this.#dayTimer = setInterval(() => this.threads.limits.followTime(), dayEveryMs);
    this.#dayTimer.unref();
    this.#running = this.dispatcher.run().catch((error: unknown) => this.fail(error));
  }

  /** Whether earlier runs may have left something of a campaign. Their journals are read once, and not for each of a thousand. */
  mayBeJournalled(campaignId: number): boolean {
    if (!this.options.isPatient) return true;
    this.#journalled ??= readJournalledCampaigns(this.options.stateDir, this.threads.journals.run);
    return this.#journalled.has(campaignId);
  }

  /** Resolves when nothing is sent any more: after `stop`, or on a failure, which it throws. */
  async over(): Promise<void> {
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** It cannot go on: what is in flight is finished, and `over` throws it. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.stop('drain');
  }

  /** drain: takes nothing new and finishes what is in flight, within `drainTimeoutMs`. now: at once. */
  stop(how: 'drain' | 'now'): void {
    this.#stopped.abort();
    this.mx.close();
    this.dispatcher.stop();
    this.threads.pool.stop(how);
    this.#drainTimer ??= setTimeout(() => this.threads.pool.stop('now'), this.options.drainTimeoutMs);
    this.#drainTimer.unref();
  }

  /** A campaign is being sent, or is no more. */
  noteSending(id: number, name: string | undefined): void {
    if (name === undefined) this.#sending.delete(id);
    else this.#sending.set(id, name);
  }

  relay(name: string): SendRelay | undefined {
    return this.options.relays.find((relay) => relay.name === name);
  }

  /** Removes the rows of campaigns that finished longer ago than `keepMs`, until stopped. */
  async compact(keepMs: number | undefined): Promise<void> {
    // The last thing of a `send`, whose engine has stopped by then.
    const stopped = (): boolean => this.options.isPatient && this.#stopped.signal.aborted;
    try {
      const due = await compactDue(this.ledger, { keepMs, now: systemClock.now(), stopped });
      for (const { name, rows } of due)
        this.log.info({ campaign: name, rows }, 'rows were removed, as keep says');
    } catch (error) {
      // Every row has its fate: what the disk refuses now does not make a campaign's end a failure.
      if (!(error instanceof PosthasteError)) throw error;
      this.log.error({ err: error }, 'old rows could not be removed; the next run goes on');
    }
  }

  /** The present state for metrics, over all campaigns that are being sent. */
  sample(): Promise<Sample> {
    return sampleEngine(this, [...this.#sending.keys()], this.#lag.worstMs);
  }

  /** Says QUIT on every session and ends the threads. To be called when nothing is in hand. */
  closePool(): Promise<void> {
    return (this.#poolClosed ??= this.threads.pool.close());
  }

  /** Ends everything that was begun. The ledger is closed last, whatever goes wrong before. */
  async close(): Promise<void> {
    try {
      this.#stopped.abort();
      this.mx.close();
      this.dispatcher.stop();
      await this.#running;
      await this.closePool();
      await this.#quotas.close();
      // Nobody writes journals any more.
      if (this.#failure === undefined) await sweepJournals(this.options.stateDir, this.ledger);
    } finally {
      clearTimeout(this.#drainTimer);
      clearInterval(this.#sweepTimer);
      clearInterval(this.#dayTimer);
      this.#lag.close();
      await this.ledger.close();
    }
  }

  /** One that is there again may have been paused meanwhile by somebody: that is for the daemon to say. */
  #holdWhatIsGone(there: ReadonlySet<string>): void {
    for (const { name } of this.#options.relays) {
      if (there.has(name) !== this.#gone.has(name)) continue;
      this.dispatcher.relays.find(name)?.hold(!there.has(name));
      if (there.has(name)) this.#gone.delete(name);
      else this.#gone.add(name);
    }
  }

  #sayThatOneDied(reason: string): void {
    const names = this.#sending.size === 0 ? [''] : this.#sending.values();
    for (const campaign of names) this.publish({ kind: 'threadDied', campaign, reason });
  }
}

/** The old ones in their places, as they are now; those that are gone as they were; the new ones behind. */
function mergeRelays(old: readonly SendRelay[], next: readonly SendRelay[]): SendRelay[] {
  const merged = old.map((relay) => next.find(({ name }) => name === relay.name) ?? relay);
  const names = new Set(old.map(({ name }) => name));
  const all = [...merged, ...next.filter(({ name }) => !names.has(name))];
  if (all.length <= mostRelays) return all;
  throw new PosthasteError({
    code: 'ERR_RELAYS_FULL',
    message: `with the relays from before there would be ${all.length}, and a daemon has room for ${mostRelays}`,
    hint: 'restart it: then only those of the file count',
    exitCode: ExitCode.config,
  });
}
