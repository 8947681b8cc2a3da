// A campaign that the daemon keeps: run after run, list after list, until every row has its fate.
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { prepareCampaign } from '../compose/prepare.ts';
import { chooseRelays } from '../config/choose_relay.ts';
import type { CampaignFile } from '../config/load_campaign.ts';
import type { Config } from '../config/load_config.ts';
import type { CampaignRecord, Ledger, RetryChoice } from '../ledger/ledger.ts';
import type { PosthasteEvent } from '../mail/event.ts';
import type { Tally } from '../mail/outcome.ts';
import { CampaignRun, type CampaignRequest } from './campaign_run.ts';
import type { CampaignStore, WaitingList } from './campaign_store.ts';
import type { Engine } from './engine.ts';
import { paceUnder, readSteering, writeSteering, type KeptSteering } from './steering.ts';

/** What it needs of the daemon. */
export interface Keeper {
  readonly store: CampaignStore;
  /** The present configuration. */
  readonly config: () => Config;
  /** Undefined while the disk is in trouble. */
  readonly engine: () => Engine | undefined;
  readonly publish: (event: PosthasteEvent) => void;
}

/** What it is doing, as far as the ledger does not tell. */
export type KeptState =
  | { readonly kind: 'queued' }
  | { readonly kind: 'running'; readonly run: CampaignRun }
  | { readonly kind: 'paused' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'finished' }
  /** The daemon stops, or its disk is in trouble. */
  | { readonly kind: 'stopped' };

const batchRows = 250;

/**
 * Moves: queued → running → finished, paused, failed or stopped; each of these goes on with `wake`. One thing is done at a time:
 * `#driving` is the loop that does it.
 */
export class KeptCampaign {
  readonly name: string;
  readonly #keeper: Keeper;
  #file: CampaignFile;
  #steering: KeptSteering = {};
  #state: KeptState = { kind: 'queued' };
  /** The list of the present run, until the ledger has all of it. */
  #listInHand: WaitingList | undefined;
  #driving: Promise<void> | undefined;
  #isRoused = false;

  constructor(name: string, file: CampaignFile, keeper: Keeper) {
    this.name = name;
    this.#file = file;
    this.#keeper = keeper;
  }

  get file(): CampaignFile {
    return this.#file;
  }

  get state(): KeptState {
    return this.#state;
  }

  get steering(): KeptSteering {
    return this.#steering;
  }

  get priority(): number {
    return this.#steering.priority ?? this.#file.priority;
  }

  /** It was submitted again before anything of it was stored. */
  replaceFile(file: CampaignFile): void {
    this.#file = file;
  }

  /** Goes on, where there is something to be done and nobody has paused it. */
  wake(): void {
    this.#isRoused = true;
    this.#driving ??= this.#driveWhileRoused().finally(() => {
      this.#driving = undefined;
      // Somebody may have called in the last moment.
      if (this.#isRoused) this.wake();
    });
  }

  /** There is another list. One that is being sent takes it in once it has the list before. */
  noteList(): void {
    if (this.#state.kind === 'running' && this.#listInHand === undefined) this.#state.run.stop();
    if (this.#state.kind === 'failed') this.#state = { kind: 'queued' };
    this.wake();
  }

  /** Ends what runs, cleanly; the daemon stops. */
  async stop(): Promise<void> {
    if (this.#state.kind === 'running') this.#state.run.stop();
    await this.#driving;
  }

  /** Nothing more is claimed; what is in flight is finished. */
  async pause(reason: string): Promise<void> {
    await this.#steer({ ...this.#steering, paused: reason });
    this.#tell('paused', reason);
    if (this.#state.kind === 'running') this.#state.run.stop();
    else if (this.#state.kind !== 'finished') this.#state = { kind: 'paused' };
  }

  async resume(): Promise<void> {
    const { paused: _, ...steering } = this.#steering;
    await this.#steer(steering);
    this.#tell('resumed', '');
    // A run that was told to stop ends first, and what is said then counts.
    if (this.#state.kind !== 'running') this.#state = { kind: 'queued' };
    this.wake();
  }

  /** For good: whoever waits is cancelled, in this run and in all that follow. */
  async cancel(): Promise<void> {
    const { paused: _, ...steering } = this.#steering;
    await this.#steer({ ...steering, cancelled: true });
    this.#tell('cancelled', '');
    if (this.#state.kind === 'running') return this.#state.run.cancel();
    this.#state = { kind: 'queued' };
    return this.wake();
  }

  /** "100/s"; undefined for its own. */
  async setRate(rate: string | undefined): Promise<void> {
    const { rate: _, ...steering } = this.#steering;
    await this.#steer(rate === undefined ? steering : { ...steering, rate });
    this.#tell('rate', rate ?? 'its own');
    if (this.#state.kind === 'running') this.#state.run.setPace(this.#pace());
  }

  async setPriority(priority: number): Promise<void> {
    await this.#steer({ ...this.#steering, priority });
    this.#tell('priority', String(priority));
    if (this.#state.kind === 'running') this.#state.run.setPriority(priority);
  }

  /** Makes some rows pending again, and sends them. Throws ERR_CAMPAIGN_STATE (64) while it is being sent. */
  async retry(choice: RetryChoice): Promise<Tally> {
    const engine = this.#keeper.engine();
    if (this.#state.kind === 'running' || engine === undefined) throw busy(this.name);
    const record = await engine.ledger.findCampaign(this.name);
    if (record === undefined) throw busy(this.name);
    const { cancelled: _, ...steering } = this.#steering;
    await this.#steer(steering);
    const run = new CampaignRun(engine, await this.#request(undefined), record);
    const tally = await run.retry(choice);
    this.#state = { kind: 'queued' };
    this.wake();
    return tally;
  }

  /** Never rejects: nobody waits for it but who stops it. */
  async #driveWhileRoused(): Promise<void> {
    while (this.#isRoused) {
      this.#isRoused = false;
      try {
        await this.#drive();
      } catch (error) {
        this.#state = { kind: 'failed', reason: messageOf(error) };
        this.#keeper.engine()?.log.error({ err: error, campaign: this.name }, 'a campaign was left');
      }
    }
  }

  async #drive(): Promise<void> {
    for (;;) {
      const engine = this.#keeper.engine();
      if (engine === undefined || engine.stopSignal.aborted) {
        this.#state = { kind: 'stopped' };
        return;
      }
      this.#listInHand = undefined;
      try {
        const record = await findOrCreate(engine.ledger, this.name, this.#file.digest);
        this.#steering = readSteering(record.steering);
        const list = this.#keeper.store.nextList(this.name);
        this.#state = this.#stateBefore(record, list);
        if (this.#state.kind !== 'queued') return;
        await this.#runOnce(engine, record, list);
      } catch (error) {
        // What it writes may fail, too.
        if (await this.#fail(error, engine).catch((again) => this.#fail(again, engine))) return;
      }
    }
  }

  #stateBefore(record: CampaignRecord, list: WaitingList | undefined): KeptState {
    if (list === undefined && record.finishedAt !== undefined) return { kind: 'finished' };
    return this.#steering.paused === undefined ? { kind: 'queued' } : { kind: 'paused' };
  }

  async #runOnce(engine: Engine, record: CampaignRecord, list: WaitingList | undefined): Promise<void> {
    const listStored = (): void => {
      this.#dropList();
      // What this one still has to wait for is no reason to let the next list wait.
      if (this.#keeper.store.nextList(this.name) !== undefined) run.stop();
    };
    const run = new CampaignRun(engine, await this.#request(list), record, { listStored });
    this.#listInHand = list;
    this.#state = { kind: 'running', run };
    if (this.#steering.cancelled === true) run.cancel();
    await run.run();
  }

  /** Of all that wait only the one in hand: another may have come by its name once it is gone. */
  #dropList(): void {
    if (this.#listInHand !== undefined) this.#keeper.store.dropList(this.#listInHand);
    this.#listInHand = undefined;
  }

  /** Returns whether nothing more is to be done for now. */
  async #fail(error: unknown, engine: Engine): Promise<boolean> {
    const { code, exitCode } =
      error instanceof PosthasteError ? error : { code: 'ERR_INTERNAL', exitCode: ExitCode.software };
    // The disk's trouble is everybody's, and none of the campaign's.
    if (exitCode === ExitCode.ioError) engine.fail(error);
    if (engine.failure !== undefined || engine.stopSignal.aborted) {
      this.#state = { kind: 'stopped' };
      return true;
    }
    const reason = messageOf(error);
    if (code === 'ERR_CAMPAIGN_PAUSED') {
      await this.#steer({ ...this.#steering, paused: reason });
      this.#tell('paused', reason);
      return false;
    }
    // A list that is bad is bad tomorrow: another one may be given.
    if (exitCode === ExitCode.dataError || exitCode === ExitCode.noInput) this.#dropList();
    this.#state = { kind: 'failed', reason };
    this.#keeper.publish({ kind: 'campaignFailed', campaign: this.name, code, reason });
    if (exitCode === ExitCode.software) engine.log.error({ err: error, campaign: this.name }, 'a bug');
    return true;
  }

  async #request(list: WaitingList | undefined): Promise<CampaignRequest> {
    const { campaign, retry, time, pauseAbove, inDoubt } = this.#file;
    const { shares } = chooseRelays(this.#keeper.config(), this.#file);
    return {
      campaign: await prepareCampaign(campaign),
      relays: shares,
      pace: this.#pace(),
      priority: this.priority,
      retry,
      time,
      pauseAbove,
      inDoubt,
      listPath: list?.path,
      list: {
        ...this.#file.list,
        batchRows,
        partial: list?.partial,
        expectedRows: list?.expectedRows,
      },
    };
  }

  #pace() {
    return paceUnder(this.#steering, this.#file.pace);
  }

  /** Durable before it takes effect. */
  async #steer(steering: KeptSteering): Promise<void> {
    const ledger = this.#keeper.engine()?.ledger;
    const record = await ledger?.findCampaign(this.name);
    if (ledger === undefined || record === undefined) throw busy(this.name);
    await ledger.setSteering(record.id, writeSteering(steering));
    this.#steering = steering;
  }

  #tell(change: 'paused' | 'resumed' | 'cancelled' | 'rate' | 'priority', text: string): void {
    this.#keeper.publish({ kind: 'campaignSteered', campaign: this.name, change, text });
  }
}

/** Finds a campaign in the ledger, or begins it; what is stored of another plan was refused when it was submitted. */
async function findOrCreate(ledger: Ledger, name: string, planDigest: string): Promise<CampaignRecord> {
  const known = await ledger.findCampaign(name);
  if (known === undefined) return ledger.createCampaign({ name, planDigest, createdAt: Date.now() });
  return known.planDigest === planDigest ? known : ledger.replanCampaign(known.id, planDigest);
}

function busy(name: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_CAMPAIGN_STATE',
    message: `campaign "${name}" cannot be changed so now`,
    hint: 'see what it is doing with posthaste status; while it is sent, pause it first',
    exitCode: ExitCode.tempFail,
  });
}
