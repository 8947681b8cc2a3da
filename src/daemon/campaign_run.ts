// One run of one campaign: from its list to the last fate, or until it is stopped.
import { systemClock } from '../base/clock.ts';
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { Pace } from '../base/quantity.ts';
import { checkTemplates, compileCampaign } from '../compose/compose.ts';
import type { DispatchEnd } from '../dispatch/campaign_desk.ts';
import { takeIn, type IntakePart, type ListOptions } from '../intake/intake.ts';
import type { CampaignRecord, ResultRow, RetryChoice } from '../ledger/ledger.ts';
import { domainOf } from '../mail/address.ts';
import type { Campaign } from '../mail/campaign.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import { sumTally, type Tally } from '../mail/outcome.ts';
import type { RefusedRow } from '../mail/recipient.ts';
import type { CampaignTime } from '../schedule/campaign_time.ts';
import { makeLaneByOperator } from '../schedule/lanes.ts';
import type { RelayShare } from '../schedule/relay_choice.ts';
import type { RetryPolicy } from '../schedule/retry.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import { chooseList, type ListChoice, type ListToTake } from './campaign_lists.ts';
import { refuseIfCompacted } from './compact.ts';
import type { Engine } from './engine.ts';
import { recoverCampaign, type RecoveryRules } from './journals.ts';
import { chooseCut, cutKeyOfRules, describeChanges, type CutRules } from './lane_rules.ts';
import { lintCampaign } from './lint_campaign.ts';
import { guardRules, pausedError, type PauseAbove } from './pause.ts';
import { PlanMemory } from './plan_memory.ts';
import { checkRetriable } from './retry.ts';
import { RunMeter } from './run_meter.ts';
import { StoredRows } from './stored_rows.ts';
import { changedList, LedgerSink } from './take_in.ts';

/** A campaign as a run needs it. */
export interface CampaignRequest {
  /** Prepared: no MJML, no style sheets any more. */
  readonly campaign: Campaign;
  /** Which relays it goes by; the engine has them. */
  readonly relays: readonly RelayShare[];
  readonly pace: Pace;
  /** Its share among campaigns. */
  readonly priority: number;
  readonly retry: RetryPolicy;
  readonly time: CampaignTime;
  readonly pauseAbove: PauseAbove;
  readonly inDoubt: 'resend' | 'hold';
  /** A file, '-' for stdin; undefined goes on with a list that is stored already. */
  readonly listPath: string | undefined;
  readonly list: ListOptions;
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

/** What a run tells whoever began it. */
export interface RunHooks {
  /** It is known that nothing more of it is claimed. */
  readonly ended?: () => void;
  /** The ledger has all of the list that the run was given. */
  readonly listStored?: () => void;
}

/** States: ready → running (`run`) → over. `stop` may come at any time; `close` last. */
export class CampaignRun {
  readonly #engine: Engine;
  readonly #request: CampaignRequest;
  readonly #abortIntake = new AbortController();
  readonly #hooks: RunHooks;
  #record: CampaignRecord;
  #list: ListChoice | undefined;
  #isLinted = false;
  #isCancelled = false;
  #paceNow: Pace;
  #priorityNow: number;

  constructor(engine: Engine, request: CampaignRequest, record: CampaignRecord, hooks: RunHooks = {}) {
    this.#engine = engine;
    this.#request = request;
    this.#record = record;
    this.#hooks = hooks;
    this.#paceNow = request.pace;
    this.#priorityNow = request.priority;
  }

  /** Takes nothing new; what is in flight is finished. */
  stop(): void {
    this.#abortIntake.abort();
    this.#engine.dispatcher.end(this.#record.id);
  }

  /** Whoever waits is cancelled, and everybody whom the list still brings. */
  cancel(): void {
    this.#isCancelled = true;
    this.#engine.dispatcher.cancel(this.#record.id);
  }

  /** Changes its limits. What threads have and nobody has taken comes back and goes out by the new ones. */
  setPace(pace: Pace): void {
    this.#paceNow = pace;
    this.#engine.threads.limits.setCampaign(this.#record.name, pace);
    this.#engine.dispatcher.recall(this.#record.id);
  }

  setPriority(priority: number): void {
    this.#priorityNow = priority;
    this.#engine.dispatcher.setWeight(this.#record.id, priority);
    this.#engine.dispatcher.recall(this.#record.id);
  }

  noteComplaints(count: number): void {
    this.#engine.dispatcher.noteComplaints(this.#record.id, count);
  }

  /** Sends everything. Throws PosthasteErrors for bad lists and for relays out of reach; nothing is lost then. */
  async run(): Promise<SendReport> {
    const meter = this.#makeMeter();
    const unfollow = this.#engine.follow(this.#record.name, (event) => meter.note(event));
    try {
      return await this.#runMetered(meter);
    } finally {
      unfollow();
      await this.#list?.close();
    }
  }

  async #runMetered(meter: RunMeter): Promise<SendReport> {
    const isChosen = await this.#chooseList();
    if (!isChosen) return this.#report('stopped', meter);
    const { id, name, finishedAt } = this.#record;
    if (finishedAt !== undefined) return this.#report('already', meter);
    this.#warnOfRules();
    this.#engine.publish({ kind: 'campaignStarted', campaign: name });
    await this.recover();
    const end = await this.#send(meter);
    if (end.kind === 'relayFailed') throw relayError(end.failure);
    if (end.kind === 'paused') throw pausedError(name, end.pause);
    if (end.kind === 'stopped') return this.#report('stopped', meter);
    await this.#engine.ledger.finishCampaign(id, systemClock.now());
    const report = await this.#report('finished', meter);
    this.#engine.publish({ kind: 'campaignFinished', campaign: name, tally: report.tally });
    return report;
  }

  /** Makes rows that ended in certain ways pending again, for `run` to send. Returns how many of each fate there were. */
  async retry(choice: RetryChoice): Promise<Tally> {
    checkRetriable(this.#record);
    // First what an earlier run did: those it left in doubt may be among the chosen.
    await this.recover();
    const { id, name: campaign } = this.#record;
    await this.#findOperators();
    const { mx } = this.#engine;
    const cutKeyOf = cutKeyOfRules(this.#cutRules, await this.columns(), mx.recall.bind(mx));
    const fates = await this.#engine.ledger.retryRows(id, choice, systemClock.now(), cutKeyOf);
    if (sumTally(fates) > 0) this.#engine.log.info({ campaign, fates }, 'rows are sent again');
    await this.#refreshed();
    return fates;
  }

  /** Finds out, where it is wanted, who runs the mail of the list's domains: the ledger cannot wait for it. */
  async #findOperators(): Promise<void> {
    const { ledger, options, mx } = this.#engine;
    if (options.lanes?.mx === undefined) return;
    const { id, rows } = this.#record;
    const find = makeLaneByOperator(options.lanes, mx.find.bind(mx));
    for await (const page of ledger.readRows(id, rows))
      await Promise.all(page.map(async ({ address = '' }) => find(domainOf(address))));
  }

  /** Settles what the journals of earlier runs know and the ledger does not. */
  async recover(): Promise<void> {
    const { retry, inDoubt: action, relays } = this.#request;
    const { ledger, options, threads } = this.#engine;
    const { id, name: campaign } = this.#record;
    if (!this.#engine.mayBeJournalled(id)) return;
    const noteDoubt: RecoveryRules['noteDoubt'] = (inDoubt, action) =>
      this.#engine.publish({ kind: 'doubtFound', campaign, inDoubt, action });
    const relay = relays.length === 1 ? (relays[0]?.name ?? '') : '';
    const rules = { retry, inDoubt: action, relay, noteDoubt };
    const now = systemClock.now();
    const recovery = await recoverCampaign(
      { stateDir: options.stateDir, ownRun: threads.journals.run },
      ledger,
      id,
      rules,
      now,
      Math.random,
    );
    if (recovery.outcomes === 0 && recovery.problems.length === 0) return;
    this.#engine.publish({ kind: 'campaignRecovered', campaign, action, ...recovery });
  }

  /** Batches of it that threads have. */
  get inHand(): number {
    return this.#engine.dispatcher.inHandOf(this.#record.id);
  }

  /** Names of the relays that it goes by. */
  get relays(): readonly string[] {
    return this.#request.relays.map(({ name }) => name);
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
    return this.#engine.ledger.readResults(this.#record.id);
  }

  /** The list's columns, as far as they are known. */
  async columns(): Promise<readonly string[]> {
    return (await this.#refreshed()).columns;
  }

  #makeMeter(): RunMeter {
    const [first] = this.#request.relays;
    const relay = first === undefined ? undefined : this.#engine.relay(first.name);
    const number = this.#engine.options.relays.findIndex(({ name }) => name === first?.name);
    return new RunMeter(relay, Math.max(0, number), this.#engine.threads);
  }

  get #cutRules(): CutRules {
    return { lanes: this.#engine.options.lanes, zoneColumn: this.#request.list.zoneColumn };
  }

  /** Whoever adds a lane to hold a provider back must know that what is stored already is not held; so with timezones. */
  #warnOfRules(): void {
    const { name: campaign, rows, laneRules } = this.#record;
    if (rows === 0) return;
    for (const change of describeChanges(laneRules, this.#cutRules))
      this.#engine.log.warn({ campaign }, change);
  }

  /** False where it was told to stop before it had read the list. */
  async #chooseList(): Promise<boolean> {
    const { listPath: path, list: options } = this.#request;
    const { ledger, options: shared } = this.#engine;
    const { signal } = this.#abortIntake;
    try {
      const given = { path, options, stateDir: shared.stateDir, signal };
      const list = await chooseList(ledger, this.#record, given);
      this.#list = list;
      const { name: campaign } = await this.#refreshed();
      if (list.isAdded && list.later !== undefined) {
        const { rows, known } = list.later;
        this.#engine.publish({ kind: 'listAdded', campaign, rows, known });
      }
      if (path !== undefined && list.toTake === undefined) this.#hooks.listStored?.();
      return true;
    } catch (error) {
      if (signal.aborted && error === signal.reason) return false;
      throw error;
    }
  }

  async #send(meter: RunMeter): Promise<DispatchEnd> {
    const { id, name } = this.#record;
    const { limits } = this.#engine.threads;
    limits.setCampaign(name, this.#paceNow, domainOf(this.#request.campaign.from.address));
    this.#engine.noteSending(id, name);
    try {
      this.#checkBytes();
      meter.start();
      const plan = new PlanMemory(id, this.#request.campaign);
      plan.setColumns(this.#record.columns);
      await this.#engine.begin();
      const dispatching = this.#dispatch(plan);
      const [dispatched, taken] = await Promise.allSettled([dispatching, this.#takeIn(plan)]);
      meter.stop();
      // The list's error first: it is what the user can mend. Both are reported one run after the other.
      if (taken.status === 'rejected') throw taken.reason;
      if (dispatched.status === 'rejected') throw dispatched.reason;
      if (this.#engine.failure !== undefined) throw this.#engine.failure;
      return dispatched.value;
    } finally {
      this.#engine.noteSending(id, undefined);
      limits.dropCampaign(name);
    }
  }

  /** What every message carries has to fit the limits of bytes. */
  #checkBytes(): void {
    const { campaign, relays } = this.#request;
    // RFC 2045 §6.8: three octets become four.
    const leastBytes = campaign.attachments.reduce(
      (sum, { content }) => sum + Math.ceil(content.length / 3) * 4,
      0,
    );
    const names = relays.map((relay) => relay.name);
    const limit = this.#engine.threads.limits.findTooSmall(campaign.name, names, leastBytes);
    if (limit === undefined) return;
    throw new PosthasteError({
      code: 'ERR_LIMIT_TOO_SMALL',
      message: `campaign "${this.#record.name}" can never be sent: its attachments alone have ${leastBytes} bytes, more than "${limit}" ever lets go at once`,
      hint: 'raise the limit, name a longer time in it, or leave something out',
      exitCode: ExitCode.config,
    });
  }

  #dispatch(plan: PlanMemory): Promise<DispatchEnd> {
    const { retry, time, inDoubt, pauseAbove, relays } = this.#request;
    const { id, name } = this.#record;
    const { options, threads, dispatcher } = this.#engine;
    const mostSenderRefusals = pauseAbove.senderRefusals;
    const over = dispatcher.add({
      id,
      name,
      relays,
      weight: this.#priorityNow,
      retry,
      time,
      inDoubt,
      guard: guardRules(pauseAbove),
      frame: (lane, relay) => ({
        relay,
        weight: this.#priorityNow,
        mostSenderRefusals,
        ...threads.limits.of(name, options.relays[relay]?.name ?? '', lane),
        ...plan.current(),
      }),
      // Whoever ends it ends the list with it: nobody would send what it still brings.
      ended: () => {
        this.#abortIntake.abort();
        this.#hooks.ended?.();
      },
    });
    if (this.#abortIntake.signal.aborted) dispatcher.end(id);
    if (this.#isCancelled) dispatcher.cancel(id);
    return over;
  }

  /** Reads the list into the ledger while the dispatcher sends. Whatever goes wrong ends the sending, too. */
  async #takeIn(plan: PlanMemory): Promise<void> {
    const { dispatcher } = this.#engine;
    const { id } = this.#record;
    try {
      if (this.#list?.toTake !== undefined) await this.#takeInList(this.#list.toTake, plan);
      dispatcher.notifyListComplete(id);
    } catch (error) {
      // Being told to stop is no error of the list.
      const told = this.#abortIntake.signal.aborted && error === this.#abortIntake.signal.reason;
      dispatcher.end(id);
      if (!told) throw error;
    }
  }

  async #takeInList(list: ListToTake, plan: PlanMemory): Promise<void> {
    const { ledger, mx } = this.#engine;
    const { id, name, rows: rowsTaken } = this.#record;
    const rowsBefore = list.later?.rowsBefore ?? 0;
    const operatorOf = mx.find.bind(mx);
    const cut = await chooseCut(ledger, this.#record, rowsBefore, this.#cutRules, operatorOf);
    const comparedBy = cut.isRepeatable ? 'batches' : 'rows';
    const hooks = this.#intakeHooks(plan);
    const sink = new LedgerSink(ledger, this.#record, systemClock, hooks, list.later, comparedBy);
    const isCompared = !cut.isRepeatable && rowsTaken > rowsBefore;
    const stored = isCompared ? new StoredRows(name, ledger.readRows(id, rowsTaken)) : undefined;
    const options = { ...list.options, laneOf: cut.laneOf, zoneColumn: cut.zoneColumn, stored };
    const summary = await takeIn(await list.open(), options, sink, this.#abortIntake.signal);
    const { rows, digest, columns } = summary;
    sink.checkEnd(rows);
    if (list.later !== undefined && list.later.digest !== digest)
      throw changedList(name, 'the list was changed while it was read');
    await ledger.completeIntake(id, { rows, listDigest: digest, columns });
    this.#hooks.listStored?.();
  }

  #intakeHooks(plan: PlanMemory) {
    const { campaign } = this.#request;
    return {
      begin: (columns: readonly string[]) => {
        checkTemplates(campaign, columns);
        plan.setColumns(columns);
        compileCampaign(plan.plan());
      },
      batch: (payload: Uint8Array, columns: readonly string[]) => this.#lint(payload, columns),
      stored: (part: IntakePart, { refused }: { refused: readonly RefusedRow[] }) => {
        plan.setColumns(part.columns);
        this.#engine.dispatcher.notifyStored(
          this.#record.id,
          part.batches.map(({ lane }) => lane),
        );
        this.#engine.publish(progressOf(this.#record.name, part.rows, refused));
      },
    };
  }

  /** The first message that can be made stands for all. */
  #lint(payload: Uint8Array, columns: readonly string[]): void {
    if (this.#isLinted) return;
    const plan = { id: this.#record.id, campaign: this.#request.campaign, columns };
    const domains = this.#engine.options.dkim.map(({ domain }) => domain);
    const findings = lintCampaign(plan, payload, domains, systemClock.now());
    this.#isLinted = findings !== undefined;
    for (const { code, text } of findings ?? [])
      this.#engine.log.warn({ campaign: this.#record.name, finding: code }, text);
  }

  async #report(end: SendReport['end'], meter: RunMeter): Promise<SendReport> {
    const record = await this.#refreshed();
    const { recipients } = await this.#engine.ledger.pending(record.id);
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
    this.#record = (await this.#engine.ledger.findCampaign(this.#record.name)) ?? this.#record;
    return this.#record;
  }
}

function progressOf(campaign: string, rows: number, refused: readonly RefusedRow[]): PosthasteEvent {
  const invalid = refused.filter((row) => row.fate === 'invalid').length;
  return { kind: 'intakeProgressed', campaign, rows, invalid, duplicate: refused.length - invalid };
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
