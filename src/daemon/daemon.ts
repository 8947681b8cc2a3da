// The daemon: many campaigns over one engine, which is opened anew when the disk comes back.
import { setTimeout as sleep } from 'node:timers/promises';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { loadCampaign, type CampaignFile } from '../config/load_campaign.ts';
import type { Config } from '../config/load_config.ts';
import { createFanout } from '../events/fanout.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import { acceptSubmission, type AcceptTerms } from './accept_submission.ts';
import { CampaignStore } from './campaign_store.ts';
import { Engine } from './engine.ts';
import { engineOptionsOf } from './engine_options.ts';
import { readHeldRelays, writeHeldRelays } from './held_relays.ts';
import { KeptCampaign, type Keeper, type KeptState } from './kept_campaign.ts';
import type { Log } from './log.ts';
import { probeDisk } from './probe_disk.ts';
import { RateMeter } from './rate_meter.ts';
import { startThreads } from './threads.ts';

/** Rows of finished campaigns are looked for so often. */
const compactEveryMs = 3_600_000;
const [firstReopenMs, maxReopenMs] = [1000, 30_000];

/** States: opening → running ⇄ in trouble (no engine, opened again until it works) → stopped. */
export class Daemon {
  readonly store: CampaignStore;
  readonly rates = new RateMeter();
  readonly #log: Log;
  readonly #events;
  readonly #campaigns = new Map<string, KeptCampaign>();
  readonly #heldRelays: Set<string>;
  readonly #stopped = new AbortController();
  #howToStop: 'drain' | 'now' = 'drain';
  #config: Config;
  #engine: Engine | undefined;
  #trouble: string | undefined;
  #running: Promise<void> | undefined;
  #accepting: Promise<unknown> = Promise.resolve();
  #compactTimer: NodeJS.Timeout | undefined;

  constructor(config: Config, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#events = createFanout<PosthasteEvent>((error, event) =>
      log.error({ err: error, event: event.kind }, 'a listener failed'),
    );
    this.store = new CampaignStore(config.stateDir);
    this.#heldRelays = readHeldRelays(config.stateDir);
    this.#events.subscribe((event) => this.rates.note(event, performance.now()));
  }

  get config(): Config {
    return this.#config;
  }

  get events() {
    return this.#events;
  }

  /** Why nothing can be sent or recorded now; undefined where all is well. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  get isStopping(): boolean {
    return this.#stopped.signal.aborted;
  }

  get campaigns(): ReadonlyMap<string, KeptCampaign> {
    return this.#campaigns;
  }

  /** Throws ERR_DAEMON_TROUBLE (75) while there is none. */
  get engine(): Engine {
    if (this.#engine !== undefined) return this.#engine;
    throw new PosthasteError({
      code: 'ERR_DAEMON_TROUBLE',
      message: this.#trouble ?? 'the daemon is starting, or stopping',
      hint: 'it goes on by itself once that is over; ask again then',
      exitCode: ExitCode.tempFail,
    });
  }

  /** How many campaigns are in each state. */
  countByState(): Record<KeptState['kind'], number> {
    const counts = { queued: 0, running: 0, paused: 0, failed: 0, finished: 0, stopped: 0 };
    for (const { state } of this.#campaigns.values()) counts[state.kind] += 1;
    return counts;
  }

  get engineOrNone(): Engine | undefined {
    return this.#engine;
  }

  publish(event: PosthasteEvent): void {
    // An engine tells its own log and whoever follows it; what happens between two of them is told here.
    if (this.#engine === undefined) this.#events.publish(event);
    else this.#engine.publish(event);
  }

  /** Opens the state and goes on with every campaign that is not finished. Throws where that cannot be done now. */
  async start(): Promise<void> {
    this.#loadCampaigns();
    this.#compactTimer = setInterval(() => this.#compact(), compactEveryMs);
    this.#compactTimer.unref();
    const engine = await this.#openEngine();
    this.#use(engine);
    this.#running = this.#keepRunning(engine);
    this.#wakeAll();
  }

  /** Resolves when it was stopped; throws what nothing can mend while it runs. */
  async over(): Promise<void> {
    await this.#running;
  }

  /** drain: takes nothing new and finishes what is in flight, within `drainTimeout`. now: at once. */
  stop(how: 'drain' | 'now'): void {
    this.#stopped.abort();
    this.#howToStop = how;
    clearInterval(this.#compactTimer);
    this.#engine?.stop(how);
  }

  /** Takes a submission over. When it resolves, everything is on disk; it throws what is wrong with the campaign. */
  accept(submission: string, terms: AcceptTerms): Promise<KeptCampaign> {
    const accepted = this.#accepting.then(() => this.#acceptNow(submission, terms));
    // One after the other: two of the same name must not both be new.
    this.#accepting = accepted.catch(() => {});
    return accepted;
  }

  /** Holds a relay, or lets it go on. */
  holdRelay(name: string, isHeld: boolean): void {
    const desk = this.engine.dispatcher.relays.find(name);
    if (desk === undefined) throw unknownRelay(name, [...this.#config.relays.keys()]);
    if (isHeld) this.#heldRelays.add(name);
    else this.#heldRelays.delete(name);
    writeHeldRelays(this.#config.stateDir, this.#heldRelays);
    desk.hold(isHeld);
    this.engine.dispatcher.rouse();
    this.publish({ kind: 'relaySteered', relay: name, change: isHeld ? 'paused' : 'resumed' });
    if (!isHeld) this.#wakeFailed();
  }

  /** Takes a configuration that was read again. Throws ERR_RELAYS_FULL (78); then nothing has changed. */
  replaceConfig(config: Config): void {
    if (this.#engine !== undefined) this.#changeEngine(this.#engine, config);
    this.#config = config;
  }

  async #acceptNow(submission: string, terms: AcceptTerms): Promise<KeptCampaign> {
    const { ledger } = this.engine;
    const taker = {
      store: this.store,
      config: this.#config,
      ledger,
      find: (name: string) => this.#campaigns.get(name),
      keep: (name: string, file: CampaignFile) => this.#keep(name, file),
    };
    const kept = await acceptSubmission(taker, submission, terms);
    this.publish({ kind: 'campaignAccepted', campaign: kept.name });
    kept.noteList();
    return kept;
  }

  #loadCampaigns(): void {
    for (const name of this.store.names()) {
      try {
        this.#keep(name, loadCampaign(this.store.planOf(name), process.env, name));
      } catch (error) {
        // One that cannot be loaded must not keep the others from being sent.
        this.#log.error({ campaign: name, err: error }, 'a stored campaign cannot be loaded');
      }
    }
  }

  #keep(name: string, file: CampaignFile): KeptCampaign {
    const keeper: Keeper = {
      store: this.store,
      config: () => this.#config,
      engine: () => this.#engine,
      publish: (event) => this.publish(event),
    };
    const kept = new KeptCampaign(name, file, keeper);
    this.#campaigns.set(name, kept);
    return kept;
  }

  #wakeAll(): void {
    for (const kept of this.#campaigns.values()) kept.wake();
  }

  #wakeFailed(): void {
    for (const kept of this.#campaigns.values()) if (kept.state.kind === 'failed') kept.noteList();
  }

  async #openEngine(): Promise<Engine> {
    const config = this.#config;
    const options = engineOptionsOf(config);
    const threads = startThreads(options);
    const { stateDir: directory, durability } = options;
    const ledger = await openLedger({ directory, durability }).catch(async (error: unknown) => {
      await threads.pool.close();
      throw error;
    });
    const engine = new Engine(options, threads, ledger, this.#log);
    try {
      engine.subscribe((event) => this.#events.publish(event));
      this.#holdRelays(engine);
      await engine.begin();
      // Somebody may have had it read again meanwhile.
      if (this.#config !== config) this.#changeEngine(engine, this.#config);
      return engine;
    } catch (error) {
      await this.#close(engine, error);
      throw error;
    }
  }

  #changeEngine(engine: Engine, config: Config): void {
    engine.change(engineOptionsOf(config));
    this.#holdRelays(engine);
  }

  /** A relay that was paused is so, too, when it comes back. */
  #holdRelays({ dispatcher }: Engine): void {
    for (const name of this.#heldRelays) dispatcher.relays.find(name)?.hold(true);
  }

  /** While it was opened, somebody may have said that all is to stop. */
  #use(engine: Engine): void {
    this.#engine = engine;
    if (this.isStopping) engine.stop(this.#howToStop);
  }

  /** The disk's trouble ends an engine and not the daemon: what was done is in the journals, as after a kill. */
  async #keepRunning(first: Engine): Promise<void> {
    let engine = first;
    for (;;) {
      const failure = await whyItEnded(engine);
      // Runs end with their engine; their records are in the ledger until it is closed.
      this.#engine = failure === undefined ? engine : undefined;
      if (failure !== undefined) this.#note(failure);
      await Promise.all([...this.#campaigns.values()].map((kept) => kept.stop()));
      this.#engine = undefined;
      await this.#close(engine, failure);
      if (failure !== undefined && !isDiskTrouble(failure)) throw failure;
      const next = failure === undefined ? undefined : await this.#reopen();
      if (next === undefined) return;
      engine = next;
      this.#use(engine);
      this.#wakeAll();
    }
  }

  async #reopen(): Promise<Engine | undefined> {
    for (let delayMs = firstReopenMs; !this.isStopping; delayMs = Math.min(delayMs * 2, maxReopenMs)) {
      await sleep(delayMs, undefined, { signal: this.#stopped.signal }).catch(() => {});
      if (this.isStopping) break;
      try {
        // A ledger can be opened on a full disk; what it takes next may be too much.
        probeDisk(this.#config.stateDir);
        const engine = await this.#openEngine();
        this.#trouble = undefined;
        this.#log.info('the state directory can be written again; sending goes on');
        return engine;
      } catch (error) {
        if (!isDiskTrouble(error) && !isTakenForNow(error)) throw error;
        this.#note(error);
      }
    }
    return undefined;
  }

  #note(error: unknown): void {
    const text = messageOf(error);
    if (this.#trouble !== text) this.#log.error({ err: error }, 'nothing is sent until this is over');
    this.#trouble = text;
  }

  async #close(engine: Engine, failure: unknown): Promise<void> {
    try {
      await engine.close();
    } catch (error) {
      if (failure === undefined) throw error;
      this.#log.warn({ err: error }, 'closing the state directory failed, too');
    }
  }

  #compact(): void {
    this.#engine
      ?.compact(this.#config.keepMs)
      .catch((error: unknown) => this.#log.error({ err: error }, 'old rows could not be removed'));
  }
}

async function whyItEnded(engine: Engine): Promise<unknown> {
  try {
    await engine.over();
    return undefined;
  } catch (error) {
    return error;
  }
}

function isDiskTrouble(error: unknown): boolean {
  return error instanceof PosthasteError && error.exitCode === ExitCode.ioError;
}

/** While there is no engine, another command may have the state directory for a moment. */
function isTakenForNow(error: unknown): boolean {
  return error instanceof PosthasteError && error.code === 'ERR_STATE_IN_USE';
}

function unknownRelay(name: string, names: readonly string[]): PosthasteError {
  return new PosthasteError({
    code: 'ERR_RELAY_UNKNOWN',
    message: `the configuration has no relay "${name}"`,
    hint: names.length === 0 ? 'It has none.' : `It has ${names.join(', ')}.`,
    exitCode: ExitCode.config,
  });
}
