// Sending one campaign in the foreground: an engine for it alone, from the command line to the last fate.
import { systemClock } from '../base/clock.ts';
import { prepareCampaign } from '../compose/prepare.ts';
import type { CampaignRecord, Ledger, ResultRow, RetryChoice } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import type { Tally } from '../mail/outcome.ts';
import { unknownCampaign } from './audit.ts';
import { CampaignRun, type CampaignRequest, type SendReport } from './campaign_run.ts';
import { Engine } from './engine.ts';
import type { Log } from './log.ts';
import type { MetricsServer } from './metrics_server.ts';
import { changedCampaign } from './retry.ts';
import type { EngineOptions, EngineThreads } from './threads.ts';

export interface SendRequest {
  readonly engine: EngineOptions;
  readonly campaign: CampaignRequest;
  /** Digest of everything that the messages are made of. */
  readonly planDigest: string;
  /** Where to serve metrics and health. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  /** For the build information. */
  readonly version: string;
}

/** States: ready (open, nothing runs) → running (`run`) → over. `stop` may come at any time; `close` last. */
export class Sending {
  readonly #engine: Engine;
  readonly #run: CampaignRun;
  #metrics: MetricsServer | undefined;

  constructor(engine: Engine, request: CampaignRequest, record: CampaignRecord) {
    this.#engine = engine;
    // There is no other campaign: whatever ends this one ends all, within `drainTimeout`.
    this.#run = new CampaignRun(engine, request, record, { ended: () => engine.stop('drain') });
  }

  /** Follows the events of this run; all of them are durable when they come. */
  subscribe(listener: (event: PosthasteEvent) => void): void {
    this.#engine.subscribe(listener);
  }

  /** Where metrics are served, as a URL; undefined where nobody asked for them. */
  get metricsUrl(): string | undefined {
    return this.#metrics?.url;
  }

  /** The limit that holds messages up for some time, for people, and until when. */
  describeHold(): string | undefined {
    return this.#engine.threads.limits.describeHold();
  }

  async serveMetrics({ metrics, version, engine }: SendRequest): Promise<void> {
    if (metrics === undefined) return;
    // Loaded when wanted: it is a tenth of what a start costs.
    const { startMetricsServer } = await import('./metrics_server.ts');
    this.#metrics = await startMetricsServer({
      ...metrics,
      version,
      relays: engine.relays.map(({ name }) => name),
      isLane: (lane) => engine.lanes?.groups.some(({ name }) => name === lane) === true,
      events: this.#engine.events,
      sample: () => this.#engine.sample(),
      log: this.#engine.log,
      troubles: () => [],
    });
  }

  /** drain: takes nothing new and finishes what is in flight, within `drainTimeoutMs`. now: at once. */
  stop(how: 'drain' | 'now'): void {
    this.#run.stop();
    this.#engine.stop(how);
  }

  /** Sends everything. Throws PosthasteErrors for bad lists and for relays out of reach; nothing is lost then. */
  async run(): Promise<SendReport> {
    try {
      return await this.#run.run();
    } finally {
      // While the results are written the relay hears QUIT. What goes wrong with it is told to whoever closes.
      this.#engine.closePool().catch(() => {});
    }
  }

  /** Makes rows that ended in certain ways pending again, for `run` to send. Returns how many of each fate there were. */
  retry(choice: RetryChoice): Promise<Tally> {
    return this.#run.retry(choice);
  }

  /** Removes the rows of campaigns that finished longer ago than `keepMs`. The last thing of a run. */
  compact(keepMs: number | undefined): Promise<void> {
    return this.#engine.compact(keepMs);
  }

  /** False for a campaign that has lost its rows to `compact`. */
  get hasRows(): boolean {
    return this.#run.hasRows;
  }

  /** Throws ERR_ROWS_GONE (66) for a campaign that has lost its rows to `compact`. */
  checkRows(): void {
    this.#run.checkRows();
  }

  /** Every row of the list, in its order and in pages, with what has happened to it so far. */
  readResults(): AsyncIterable<readonly ResultRow[]> {
    return this.#run.readResults();
  }

  /** The list's columns, as far as they are known. */
  columns(): Promise<readonly string[]> {
    return this.#run.columns();
  }

  async close(): Promise<void> {
    await this.#metrics?.close();
    await this.#engine.close();
  }
}

/** Opens the ledger, finds or begins the campaign in it (or only finds it), and starts the metrics listener. The threads are closed with it. */
export async function openSending(
  request: SendRequest,
  threads: EngineThreads,
  log: Log,
  how: 'begin' | 'find' = 'begin',
): Promise<Sending> {
  const campaign = { ...request.campaign, campaign: await prepareCampaign(request.campaign.campaign) };
  const { stateDir: directory, durability } = request.engine;
  const ledger = await openLedger({ directory, durability, mustExist: how === 'find' });
  try {
    const { name } = campaign.campaign;
    if (how === 'find' && (await ledger.findCampaign(name)) === undefined)
      throw await unknownCampaign(ledger, directory, name);
    const record = await findOrCreateCampaign(ledger, name, request.planDigest);
    const sending = new Sending(new Engine(request.engine, threads, ledger, log), campaign, record);
    await sending.serveMetrics(request);
    return sending;
  } catch (error) {
    await ledger.close();
    throw error;
  }
}

/** Finds a campaign in the ledger, or begins it. Throws where another template goes by its name. */
async function findOrCreateCampaign(
  ledger: Ledger,
  name: string,
  planDigest: string,
): Promise<CampaignRecord> {
  const known = await ledger.findCampaign(name);
  if (known === undefined) return ledger.createCampaign({ name, planDigest, createdAt: systemClock.now() });
  if (known.planDigest === planDigest) return known;
  // It was refused before anything of it was stored, and has been corrected.
  const replanned = await ledger.replanCampaign(known.id, planDigest);
  if (replanned.planDigest === planDigest) return replanned;
  throw changedCampaign(name);
}
