// Sending one campaign in the foreground: where list, ledger, threads and events meet.
import { systemClock } from '../base/clock.ts';
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import type { Pace } from '../base/quantity.ts';
import { checkTemplates, compileCampaign } from '../compose/compose.ts';
import { prepareCampaign } from '../compose/prepare.ts';
import { Dispatcher, type DispatchEnd } from '../dispatch/dispatcher.ts';
import type { TaskFrame } from '../dispatch/hands.ts';
import { createFanout, type Fanout } from '../events/fanout.ts';
import { takeIn, type IntakePart, type ListOptions } from '../intake/intake.ts';
import type { CampaignRecord, Ledger, ResultRow, RetryChoice } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open_ledger.ts';
import type { Campaign } from '../mail/campaign.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import { sumTally, type Tally } from '../mail/outcome.ts';
import type { RefusedRow } from '../mail/recipient.ts';
import type { Sample } from '../metrics/recorder.ts';
import type { CampaignTime } from '../schedule/campaign_time.ts';
import type { LaneRules } from '../schedule/lanes.ts';
import type { RetryPolicy } from '../schedule/retry.ts';
import type { DkimKey } from '../sign/key.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import { unknownCampaign } from './audit.ts';
import { chooseList, type ListChoice, type ListToTake } from './campaign_lists.ts';
import { compactDue, refuseIfCompacted } from './compact.ts';
import { chooseLaneRules, laneOfRecipient, laneOfRules, writeRules } from './lane_rules.ts';
import { lintCampaign } from './lint_campaign.ts';
import { logEvent, type Log } from './log.ts';
import { recoverCampaign, sweepJournals, type RecoveryRules } from './journals.ts';
import type { MetricsServer } from './metrics_server.ts';
import { guardRules, pausedError, type PauseAbove } from './pause.ts';
import { PlanMemory } from './plan_memory.ts';
import { changedCampaign, checkRetriable } from './retry.ts';
import { QuotaKeeper } from './quota_keeper.ts';
import type { LaneLimits } from './run_limits.ts';
import { RunMeter } from './run_meter.ts';
import { changedList, LedgerSink } from './take_in.ts';
import type { RunThreads } from './threads.ts';

/** A relay with its limits. */
export type SendRelay = RelayOptions & { readonly pace: Pace };

export interface SendRequest {
  /** Where the ledger is. */
  readonly stateDir: string;
  readonly campaign: Campaign;
  /** Digest of everything that the messages are made of. */
  readonly planDigest: string;
  readonly relay: SendRelay;
  /** Those of all domains; the campaign's From says which of them sign. */
  readonly dkim: readonly DkimKey[];
  /** Limits of all that is sent, and of this campaign. */
  readonly pace: Pace;
  readonly campaignPace: Pace;
  /** Undefined: all recipients are of one lane. */
  readonly lanes:
    | {
        readonly groups: readonly (LaneLimits & LaneRules['groups'][number])[];
        readonly others: LaneRules['others'];
      }
    | undefined;
  readonly retry: RetryPolicy;
  readonly time: CampaignTime;
  readonly pauseAbove: PauseAbove;
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
  /** Rows stored so far; all of the list's unless stopped. */
  readonly rows: number;
  /** The list at hand, where it is not the campaign's first: its rows, and how many of them were known. */
  readonly laterList: { readonly rows: number; readonly known: number } | undefined;
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
  #list: ListChoice | undefined;
  #isLinted = false;
  #stopped = false;
  #dispatcher: Dispatcher | undefined;
  readonly #threads: RunThreads;
  #poolClosed: Promise<void> | undefined;
  #metrics: MetricsServer | undefined;
  #drainTimer: NodeJS.Timeout | undefined;
  readonly #quotas: QuotaKeeper;
  #quotaFailure: { readonly error: unknown } | undefined;

  constructor(request: SendRequest, threads: RunThreads, ledger: Ledger, record: CampaignRecord, log: Log) {
    this.#request = request;
    this.#threads = threads;
    this.#ledger = ledger;
    this.#record = record;
    this.#log = log;
    this.#quotas = new QuotaKeeper(threads.limits, ledger, systemClock, (error) => {
      this.#quotaFailure = { error };
      this.stop('drain');
    });
    this.#events = createFanout((error, event) =>
      log.error({ err: error, event: event.kind }, 'a listener failed'),
    );
    this.subscribe((event) => logEvent(log, event));
    // It had no batch: nothing is in doubt, and another takes its place.
    threads.pool.followIdleDeaths((error) =>
      this.#events.publish({ kind: 'threadDied', campaign: record.name, reason: messageOf(error) }),
    );
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

  /** The limit that holds messages up for some time, for people, and until when. */
  describeHold(): string | undefined {
    return this.#threads.limits.describeHold();
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
    this.#stopThreads(how);
  }

  #stopThreads(how: 'drain' | 'now'): void {
    this.#threads.pool.stop(how);
    this.#drainTimer ??= setTimeout(() => this.#threads.pool.stop('now'), this.#request.drainTimeoutMs);
    this.#drainTimer.unref();
  }

  /** Sends everything. Throws PosthasteErrors for bad lists and for relays out of reach; nothing is lost then. */
  async run(): Promise<SendReport> {
    const meter = new RunMeter(this.#request.relay, this.#threads.limits);
    this.subscribe((event) => meter.note(event));
    const isChosen = await this.#chooseList();
    if (!isChosen) return this.#report('stopped', meter);
    if (this.#record.finishedAt !== undefined) return this.#report('already', meter);
    this.#warnOfLanes();
    this.#events.publish({ kind: 'campaignStarted', campaign: this.#record.name });
    await this.#recover();
    const end = await this.#send(meter);
    // While the results are written the relay hears QUIT. What goes wrong with it is told to whoever closes.
    this.#closePool().catch(() => {});
    await sweepJournals(this.#request.stateDir, this.#ledger);
    if (end.kind === 'relayFailed') throw relayError(end.failure);
    if (end.kind === 'paused') throw pausedError(this.#record.name, end.pause);
    if (end.kind === 'stopped') return this.#report('stopped', meter);
    await this.#ledger.finishCampaign(this.#record.id, systemClock.now());
    const report = await this.#report('finished', meter);
    this.#events.publish({ kind: 'campaignFinished', campaign: this.#record.name, tally: report.tally });
    return report;
  }

  /** Makes rows that ended in certain ways pending again, for `run` to send. Returns how many of each fate there were. */
  async retry(choice: RetryChoice): Promise<Tally> {
    checkRetriable(this.#record);
    // First what an earlier run did: those it left in doubt may be among the chosen.
    await this.#recover();
    const { id, name: campaign } = this.#record;
    const laneOf = laneOfRecipient(this.#request.lanes);
    const fates = await this.#ledger.retryRows(id, choice, systemClock.now(), laneOf);
    if (sumTally(fates) > 0) this.#log.info({ campaign, fates }, 'rows are sent again');
    await this.#refreshed();
    return fates;
  }

  /** Removes the rows of campaigns that finished longer ago than `keepMs`, until stopped. The last thing of a run. */
  async compact(keepMs: number | undefined): Promise<void> {
    const stopped = (): boolean => this.#stopped;
    try {
      const due = await compactDue(this.#ledger, { keepMs, now: systemClock.now(), stopped });
      for (const { name, rows } of due)
        this.#log.info({ campaign: name, rows }, 'rows were removed, as keep says');
    } catch (error) {
      // Every row has its fate: what the disk refuses now does not make this campaign's end a failure.
      if (!(error instanceof PosthasteError)) throw error;
      this.#log.error({ err: error }, 'old rows could not be removed; the next run goes on');
    }
  }

  /** False for a campaign that has lost its rows to `compact`. */
  get hasRows(): boolean {
    return this.#record.compactedAt === undefined;
  }

  /** Throws ERR_ROWS_GONE (66) for a campaign that has lost its rows to `compact`. */
  checkRows(): void {
    refuseIfCompacted(this.#record, 'there are no results any more');
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
    await this.#closePool();
    await this.#quotas.close();
    clearTimeout(this.#drainTimer);
    await this.#metrics?.close();
    await this.#list?.close();
    await this.#ledger.close();
  }

  #closePool(): Promise<void> {
    return (this.#poolClosed ??= this.#threads.pool.close());
  }

  /** Whoever adds a lane to hold a provider back must know that what is stored already is not held. */
  #warnOfLanes(): void {
    const { name: campaign, rows, laneRules } = this.#record;
    if (rows === 0 || laneRules === writeRules(this.#request.lanes)) return;
    this.#log.warn(
      { campaign },
      'lanes were changed: recipients that are stored already stay in their lanes of then',
    );
  }

  /** False where it was told to stop before it had read the list. */
  async #chooseList(): Promise<boolean> {
    const { listPath: path, list: options, stateDir } = this.#request;
    const { signal } = this.#abortIntake;
    try {
      const list = await chooseList(this.#ledger, this.#record, { path, options, stateDir, signal });
      this.#list = list;
      const { name: campaign } = await this.#refreshed();
      if (list.isAdded && list.later !== undefined) {
        const { rows, known } = list.later;
        this.#events.publish({ kind: 'listAdded', campaign, rows, known });
      }
      return true;
    } catch (error) {
      if (signal.aborted && error === signal.reason) return false;
      throw error;
    }
  }

  /** Settles what the journals of an earlier run know and the ledger does not. */
  async #recover(): Promise<void> {
    const { stateDir, retry, inDoubt: action, relay } = this.#request;
    const { id, name: campaign } = this.#record;
    const noteDoubt: RecoveryRules['noteDoubt'] = (inDoubt, action) =>
      this.#events.publish({ kind: 'doubtFound', campaign, inDoubt, action });
    const rules = { retry, inDoubt: action, relay: relay.name, noteDoubt };
    const recovery = await recoverCampaign(stateDir, this.#ledger, id, rules, systemClock.now(), Math.random);
    if (recovery.outcomes === 0 && recovery.problems.length === 0) return;
    this.#events.publish({ kind: 'campaignRecovered', campaign, action, ...recovery });
  }

  async #send(meter: RunMeter): Promise<DispatchEnd> {
    const { limits, pool, journals } = this.#threads;
    meter.start(pool);
    const plan = new PlanMemory(this.#record.id, this.#request.campaign);
    const mostSenderRefusals = this.#request.pauseAbove.senderRefusals;
    const frame = (lane: string): TaskFrame => ({
      relay: 0,
      mostSenderRefusals,
      ...limits.ofLane(lane),
      ...plan.current(),
    });
    const dispatcher = new Dispatcher(this.#dispatchOptions(frame), this.#ledger, pool, journals);
    this.#dispatcher = dispatcher;
    if (this.#stopped) dispatcher.stop();
    if (limits.hasQuotas) await this.#quotas.open();
    const [dispatched, taken] = await Promise.allSettled([
      this.#dispatch(dispatcher),
      this.#takeIn(dispatcher, plan),
    ]);
    meter.stop();
    // The list's error first: it is what the user can mend. Both are reported one run after the other.
    if (taken.status === 'rejected') throw taken.reason;
    if (dispatched.status === 'rejected') throw dispatched.reason;
    if (this.#quotaFailure !== undefined) throw this.#quotaFailure.error;
    return dispatched.value;
  }

  /** Runs the dispatcher; when it cannot go on, nobody else does. */
  async #dispatch(dispatcher: Dispatcher): Promise<DispatchEnd> {
    try {
      return await dispatcher.run();
    } catch (error) {
      this.#abortIntake.abort();
      this.#stopThreads('drain');
      throw error;
    }
  }

  #dispatchOptions(frame: (lane: string) => TaskFrame) {
    const { relay, retry, time, inDoubt, pauseAbove } = this.#request;
    return {
      campaignId: this.#record.id,
      campaignName: this.#record.name,
      relayName: relay.name,
      maxSessions: relay.maxConnections,
      guard: guardRules(pauseAbove),
      slowDown: (lane: string | undefined, rateFactor: number) =>
        this.#threads.limits.slowDown(lane, rateFactor),
      frame,
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
      plan.setColumns(this.#record.columns);
      if (this.#list?.toTake !== undefined) await this.#takeInList(this.#list.toTake, dispatcher, plan);
      dispatcher.notifyListComplete();
    } catch (error) {
      // Being told to stop is no error of the list.
      const told = this.#abortIntake.signal.aborted && error === this.#abortIntake.signal.reason;
      dispatcher.stop();
      this.#stopThreads('drain');
      if (!told) throw error;
    }
  }

  async #takeInList(list: ListToTake, dispatcher: Dispatcher, plan: PlanMemory): Promise<void> {
    const { campaign } = this.#request;
    const hooks = {
      begin: (columns: readonly string[]) => {
        checkTemplates(campaign, columns);
        plan.setColumns(columns);
        compileCampaign(plan.plan());
      },
      batch: (payload: Uint8Array, columns: readonly string[]) => this.#lint(payload, columns),
      stored: (part: IntakePart, { refused }: { refused: readonly RefusedRow[] }) => {
        plan.setColumns(part.columns);
        dispatcher.notifyStored(part.batches.map(({ lane }) => lane));
        const invalid = refused.filter((row) => row.fate === 'invalid').length;
        const duplicate = refused.length - invalid;
        this.#events.publish({
          kind: 'intakeProgressed',
          campaign: campaign.name,
          rows: part.rows,
          invalid,
          duplicate,
        });
      },
    };
    const sink = new LedgerSink(this.#ledger, this.#record, systemClock, hooks, list.later);
    const rules = await chooseLaneRules(
      this.#ledger,
      this.#record,
      list.later?.rowsBefore ?? 0,
      this.#request.lanes,
    );
    const options = { ...list.options, laneOf: laneOfRules(rules) };
    const summary = await takeIn(await list.open(), options, sink, this.#abortIntake.signal);
    const { rows, digest, columns } = summary;
    sink.checkEnd(rows);
    if (list.later !== undefined && list.later.digest !== digest)
      throw changedList(this.#record.name, 'the list was changed while it was read');
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
    const gauges = this.#threads.pool.gauges(0);
    return {
      pendingRecipients: recipients,
      pendingBatches: batches,
      oldestDueAt,
      workerThreads: this.#threads.pool.threads,
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
      // Rows that were read for a batch that was not filled are read again: they are in no place yet.
      rows: record.intake === 'complete' ? record.rows : sumTally(record.tally) + recipients,
      laterList: this.#list?.later,
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

/** Opens the ledger, finds or begins the campaign in it (or only finds it), and starts the metrics listener. The threads are closed with it. */
export async function openSending(
  written: SendRequest,
  threads: RunThreads,
  log: Log,
  how: 'begin' | 'find' = 'begin',
): Promise<Sending> {
  const request = { ...written, campaign: await prepareCampaign(written.campaign) };
  const ledger = await openLedger({
    directory: request.stateDir,
    durability: request.durability,
    mustExist: how === 'find',
  });
  try {
    const { name } = request.campaign;
    if (how === 'find' && (await ledger.findCampaign(name)) === undefined)
      throw await unknownCampaign(ledger, request.stateDir, name);
    const record = await findOrCreateCampaign(ledger, name, request.planDigest);
    const sending = new Sending(request, threads, ledger, record, log);
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
  throw changedCampaign(name);
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
