// Sending one campaign in the foreground: where list, ledger, threads and events meet.
import { systemClock } from '../base/clock.ts';
import { ExitCode, PosthasteError } from '../base/error.ts';
import { formatRate, type Rate } from '../base/quantity.ts';
import { checkTemplates, compileCampaign } from '../compose/compose.ts';
import { prepareCampaign } from '../compose/prepare.ts';
import { Dispatcher, type DispatchEnd } from '../dispatch/dispatcher.ts';
import { openWorkerPool, type WorkerPool } from '../dispatch/worker_pool.ts';
import { createFanout, type Fanout } from '../events/fanout.ts';
import { takeIn, type ListOptions } from '../intake/intake.ts';
import { digestList, openSource } from '../intake/source.ts';
import type { CampaignRecord, Ledger, ResultRow } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import type { Campaign } from '../mail/campaign.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import type { Tally } from '../mail/outcome.ts';
import type { Sample } from '../metrics/recorder.ts';
import type { CampaignTime } from '../schedule/campaign_time.ts';
import { createLimiter, type Limit } from '../schedule/limiter.ts';
import type { RetryPolicy } from '../schedule/retry.ts';
import type { DkimKey } from '../sign/key.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import type { BatchTask } from '../worker/contract.ts';
import { lintCampaign } from './lint_campaign.ts';
import { logEvent, type Log } from './log.ts';
import { recoverCampaign, RunJournals, sweepJournals } from './journals.ts';
import type { MetricsServer } from './metrics_server.ts';
import { PlanMemory } from './plan_memory.ts';
import { RunMeter } from './run_meter.ts';
import { changedList, LedgerSink } from './take_in.ts';

export interface SendRequest {
  /** Where the ledger is. */
  readonly stateDir: string;
  readonly campaign: Campaign;
  /** Digest of everything that the messages are made of. */
  readonly planDigest: string;
  readonly relay: RelayOptions;
  /** Those of all domains; the campaign's From says which of them sign. */
  readonly dkim: readonly DkimKey[];
  readonly rate: Rate | undefined;
  readonly retry: RetryPolicy;
  readonly time: CampaignTime;
  readonly inDoubt: 'resend' | 'hold';
  readonly durability: 'process' | 'power';
  /** A file, '-' for stdin; undefined goes on with a list that is stored already. */
  readonly listPath: string | undefined;
  readonly list: ListOptions;
  readonly threads: number;
  readonly drainTimeoutMs: number;
  /** Where to serve metrics and health. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  /** For the build information. */
  readonly version: string;
}

export interface SendReport {
  readonly campaign: string;
  /** already: it was finished before, nothing was sent. stopped: the same command goes on. */
  readonly end: 'finished' | 'already' | 'stopped';
  /** Rows read so far; all of the list's unless stopped. */
  readonly rows: number;
  readonly tally: Tally;
  /** Recipients that wait for another attempt, or for their first. */
  readonly pending: number;
  /** Of this run. */
  readonly seconds: number;
  /** Recipients of this run that got an answer or an end, per second. */
  readonly perSecond: number;
  /** What limited this run's speed; undefined where nothing was sent. */
  readonly bottleneck: string | undefined;
}

/**
 * One campaign from its list to its last fate. States: ready (open, nothing runs) → running (`run`) → over.
 * `stop` may come at any time; `close` last.
 */
export class Sending {
  readonly #request: SendRequest;
  readonly #ledger: Ledger;
  readonly #events: Fanout<PosthasteEvent>;
  readonly #abortIntake = new AbortController();
  #record: CampaignRecord;
  readonly #log: Log;
  #isLinted = false;
  #stopped = false;
  #dispatcher: Dispatcher | undefined;
  #pool: WorkerPool | undefined;
  #metrics: MetricsServer | undefined;
  #drainTimer: NodeJS.Timeout | undefined;

  constructor(request: SendRequest, ledger: Ledger, record: CampaignRecord, log: Log) {
    this.#request = request;
    this.#ledger = ledger;
    this.#record = record;
    this.#log = log;
    this.#events = createFanout((error, event) =>
      log.error({ err: error, event: event.kind }, 'a listener failed'),
    );
    this.subscribe((event) => logEvent(log, event));
  }

  /** Follows the events of this run; all of them are durable when they come. */
  subscribe(listener: (event: PosthasteEvent) => void): void {
    this.#events.subscribe(listener);
  }

  /** Where metrics are served, as a URL; undefined where nobody asked for them. */
  get metricsUrl(): string | undefined {
    const address = this.#metrics?.address;
    if (address === undefined) return undefined;
    return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
  }

  async serveMetrics(log: Log): Promise<void> {
    const { metrics, version, relay } = this.#request;
    if (metrics === undefined) return;
    const sample = (): Promise<Sample> => this.#sample();
    // Loaded when wanted: it is a tenth of what a start costs.
    const { startMetricsServer } = await import('./metrics_server.ts');
    this.#metrics = await startMetricsServer({
      ...metrics,
      version,
      relays: [relay.name],
      events: this.#events,
      sample,
      log,
    });
  }

  /** drain: takes nothing new and finishes what is in flight, within `drainTimeoutMs`. now: at once. */
  stop(how: 'drain' | 'now'): void {
    this.#stopped = true;
    this.#abortIntake.abort();
    this.#dispatcher?.stop();
    this.#pool?.stop(how);
    this.#drainTimer ??= setTimeout(() => this.#pool?.stop('now'), this.#request.drainTimeoutMs);
    this.#drainTimer.unref();
  }

  /** Sends everything. Throws PosthasteErrors for bad lists and for relays out of reach; nothing is lost then. */
  async run(): Promise<SendReport> {
    const meter = new RunMeter(this.#request.relay, limitsOf(this.#request));
    this.subscribe((event) => meter.note(event));
    if (await this.#isFinished()) return this.#report('already', meter);
    this.#events.publish({ kind: 'campaignStarted', campaign: this.#record.name });
    await this.#recover();
    const end = await this.#send(meter);
    await sweepJournals(this.#request.stateDir, this.#ledger);
    if (end.kind === 'relayFailed') throw relayError(end.failure);
    if (end.kind === 'stopped') return this.#report('stopped', meter);
    await this.#ledger.finishCampaign(this.#record.id, systemClock.now());
    const report = await this.#report('finished', meter);
    this.#events.publish({ kind: 'campaignFinished', campaign: this.#record.name, tally: report.tally });
    return report;
  }

  /** Every row of the list, in its order and in pages, with what has happened to it so far. */
  readResults(): AsyncIterable<readonly ResultRow[]> {
    return this.#ledger.readResults(this.#record.id);
  }

  /** The list's columns, as far as they are known. */
  async columns(): Promise<readonly string[]> {
    return (await this.#refreshed()).columns;
  }

  async close(): Promise<void> {
    clearTimeout(this.#drainTimer);
    await this.#pool?.close();
    await this.#metrics?.close();
    await this.#ledger.close();
  }

  /** True for a campaign that is over; throws where the list at hand is not its list. */
  async #isFinished(): Promise<boolean> {
    const { listPath } = this.#request;
    if (this.#record.intake === 'open') return false;
    if (listPath !== undefined) {
      const digest = await digestList(await openSource(listPath));
      if (digest !== this.#record.listDigest) throw changedList(this.#record.name, 'its content differs');
    }
    return this.#record.finishedAt !== undefined;
  }

  /** Settles what the journals of an earlier run know and the ledger does not. */
  async #recover(): Promise<void> {
    const { stateDir, retry, inDoubt: action, relay } = this.#request;
    const rules = { retry, inDoubt: action, relay: relay.name };
    const { id, name: campaign } = this.#record;
    const recovery = await recoverCampaign(stateDir, this.#ledger, id, rules, systemClock.now(), Math.random);
    if (recovery.outcomes === 0 && recovery.problems.length === 0) return;
    this.#events.publish({ kind: 'campaignRecovered', campaign, action, ...recovery });
  }

  async #send(meter: RunMeter): Promise<DispatchEnd> {
    const limits = limitsOf(this.#request);
    const threads = Math.min(this.#request.threads, this.#request.relay.maxConnections);
    const journals = new RunJournals(this.#request.stateDir, systemClock.now());
    const { directory, run } = journals;
    const pool = openWorkerPool({
      relays: [this.#request.relay],
      dkim: this.#request.dkim,
      threads,
      limiter: createLimiter(limits),
      journal: { directory, run, durability: this.#request.durability },
    });
    this.#pool = pool;
    meter.start(pool);
    const plan = new PlanMemory(this.#record.id, this.#request.campaign);
    const task = (): Pick<BatchTask, 'relay' | 'limits' | 'planKey' | 'plan'> => ({
      relay: 0,
      limits: limits.map((_, index) => index),
      ...plan.current(),
    });
    const dispatcher = new Dispatcher(this.#dispatchOptions(task), this.#ledger, pool, journals);
    this.#dispatcher = dispatcher;
    if (this.#stopped) dispatcher.stop();
    const [dispatched, taken] = await Promise.allSettled([
      this.#dispatch(dispatcher),
      this.#takeIn(dispatcher, plan),
    ]);
    meter.stop();
    // The list's error first: it is what the user can mend. Both are reported one run after the other.
    if (taken.status === 'rejected') throw taken.reason;
    if (dispatched.status === 'rejected') throw dispatched.reason;
    return dispatched.value;
  }

  /** Runs the dispatcher; when it cannot go on, nobody else does. */
  async #dispatch(dispatcher: Dispatcher): Promise<DispatchEnd> {
    try {
      return await dispatcher.run();
    } catch (error) {
      this.#abortIntake.abort();
      this.#pool?.stop('drain');
      throw error;
    }
  }

  #dispatchOptions(task: () => Pick<BatchTask, 'relay' | 'limits' | 'planKey' | 'plan'>) {
    const { relay, retry, time, inDoubt } = this.#request;
    return {
      campaignId: this.#record.id,
      campaignName: this.#record.name,
      relayName: relay.name,
      task,
      retry,
      time,
      inDoubt,
      clock: systemClock,
      random: Math.random,
      publish: (event: PosthasteEvent) => this.#events.publish(event),
      // Whoever stops the dispatcher stops the list with it: nobody would send what it still brings.
      ended: () => this.#abortIntake.abort(),
    };
  }

  /** Reads the list into the ledger while the dispatcher sends. Whatever goes wrong stops the dispatcher, too. */
  async #takeIn(dispatcher: Dispatcher, plan: PlanMemory): Promise<void> {
    try {
      if (this.#record.intake === 'open') await this.#takeInList(dispatcher, plan);
      else plan.setColumns(this.#record.columns);
      dispatcher.notifyListComplete();
    } catch (error) {
      // Being told to stop is no error of the list.
      const told = this.#abortIntake.signal.aborted && error === this.#abortIntake.signal.reason;
      dispatcher.stop();
      this.#pool?.stop('drain');
      if (!told) throw error;
    }
  }

  async #takeInList(dispatcher: Dispatcher, plan: PlanMemory): Promise<void> {
    const { listPath, list, campaign } = this.#request;
    if (listPath === undefined) throw missingList(this.#record.name);
    const sink = new LedgerSink(this.#ledger, this.#record, systemClock, {
      begin: (columns) => {
        checkTemplates(campaign, columns);
        plan.setColumns(columns);
        compileCampaign(plan.plan());
      },
      batch: (payload, columns) => this.#lint(payload, columns),
      stored: (part, fresh) => {
        plan.setColumns(part.columns);
        dispatcher.notifyStored();
        const invalid = fresh.refused.filter((row) => row.fate === 'invalid').length;
        const duplicate = fresh.refused.length - invalid;
        this.#events.publish({
          kind: 'intakeProgressed',
          campaign: campaign.name,
          rows: part.rows,
          invalid,
          duplicate,
        });
      },
    });
    const summary = await takeIn(await openSource(listPath), list, sink, this.#abortIntake.signal);
    const { rows, digest, columns } = summary;
    await this.#ledger.completeIntake(this.#record.id, { rows, listDigest: digest, columns });
  }

  /** The first message that can be made stands for all. */
  #lint(payload: Uint8Array, columns: readonly string[]): void {
    if (this.#isLinted) return;
    const plan = { id: this.#record.id, campaign: this.#request.campaign, columns };
    const domains = this.#request.dkim.map(({ domain }) => domain);
    const findings = lintCampaign(plan, payload, domains, systemClock.now());
    this.#isLinted = findings !== undefined;
    for (const { code, text } of findings ?? [])
      this.#log.warn({ campaign: this.#record.name, finding: code }, text);
  }

  async #sample(): Promise<Sample> {
    const { recipients, batches, oldestDueAt } = await this.#ledger.pending(this.#record.id);
    const gauges = this.#pool?.gauges(0) ?? noGauges;
    return {
      pendingRecipients: recipients,
      pendingBatches: batches,
      oldestDueAt,
      workerThreads: this.#pool?.threads ?? 0,
      workerActiveMs: gauges.activeMs,
      relays: [{ relay: this.#request.relay.name, ...gauges }],
    };
  }

  async #report(end: SendReport['end'], meter: RunMeter): Promise<SendReport> {
    const record = await this.#refreshed();
    const { recipients } = await this.#ledger.pending(record.id);
    return {
      campaign: record.name,
      end,
      rows: record.rows,
      tally: record.tally,
      pending: recipients,
      ...meter.read(),
    };
  }

  async #refreshed(): Promise<CampaignRecord> {
    this.#record = (await this.#ledger.findCampaign(this.#record.name)) ?? this.#record;
    return this.#record;
  }
}

/** Opens the ledger, finds or begins the campaign in it, and starts the metrics listener. */
export async function openSending(written: SendRequest, log: Log): Promise<Sending> {
  const request = { ...written, campaign: await prepareCampaign(written.campaign) };
  const ledger = await openLedger({ directory: request.stateDir, durability: request.durability });
  try {
    const record = await findOrCreateCampaign(ledger, request.campaign.name, request.planDigest);
    const sending = new Sending(request, ledger, record, log);
    await sending.serveMetrics(log);
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
  throw new PosthasteError({
    code: 'ERR_CAMPAIGN_CHANGED',
    message: `campaign "${name}" was begun with another template`,
    hint: 'undo the change to go on with it, or give the changed campaign a name of its own',
    exitCode: ExitCode.dataError,
  });
}

/** Before there are threads. */
const noGauges = {
  sessionsOpen: 0,
  sessionsBusy: 0,
  permitWaitMs: 0,
  activeMs: 0,
  roundTripMs: 0,
  couldGoDeep: false,
};

function limitsOf(request: SendRequest): Limit[] {
  const limits: Limit[] = [];
  const { relay, rate, campaign } = request;
  if (relay.rate !== undefined)
    limits.push({ name: `relay ${relay.name} ${formatRate(relay.rate)}`, rate: relay.rate });
  if (rate !== undefined) limits.push({ name: `campaign ${campaign.name} ${formatRate(rate)}`, rate });
  return limits;
}

function missingList(campaign: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_LIST_MISSING',
    message: `campaign "${campaign}" has no complete list yet`,
    hint: 'name the list: posthaste send CAMPAIGN LIST, or - for standard input',
    exitCode: ExitCode.usage,
  });
}

function relayError(failure: HandshakeFailure): PosthasteError {
  const { verdict, hint } = failure;
  const auth = verdict.category === 'relay-auth';
  const lacks = verdict.code === 'relay-lacks-extension';
  return new PosthasteError({
    code: auth ? 'ERR_RELAY_AUTH' : lacks ? 'ERR_RELAY_LACKS_EXTENSION' : 'ERR_RELAY_UNAVAILABLE',
    message: lacks ? verdict.text : `no session with the relay (${verdict.stage}): ${verdict.text}`,
    hint: `${hint}; nothing is lost, the same command goes on`,
    exitCode: auth ? ExitCode.noPermission : ExitCode.unavailable,
  });
}
