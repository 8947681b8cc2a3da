// A campaign that the daemon keeps: run after run, list after list, until every row has its fate.
import { ExitCode, messageOf, PosthasteError } from '../base/error.ts';
import { prepareCampaign } from '../compose/prepare.ts';
import type { CampaignFile } from '../config/load_campaign.ts';
import type { Config } from '../config/load_config.ts';
import type { CampaignRecord, Ledger, RetryChoice } from '../ledger/ledger.ts';
import type { Campaign } from '../mail/campaign.ts';
import type { CampaignSteered, PosthasteEvent } from '../mail/event.ts';
import type { Tally } from '../mail/outcome.ts';
import { CampaignRun, type CampaignRequest } from './campaign_run.ts';
import type { CampaignStore, WaitingList } from './campaign_store.ts';
import type { Engine } from './engine.ts';
import { makeRequest } from './kept_request.ts';
import { paceUnder, readSteering, withRate, writeSteering, type KeptSteering } from './steering.ts';

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
  /** `over` is its end, however it ends. */
  | { readonly kind: 'running'; readonly run: CampaignRun; readonly over: Promise<unknown> }
  | { readonly kind: 'paused' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'finished' }
  /** The daemon stops, or its disk is in trouble. */
  | { readonly kind: 'stopped' };

/**
 * Moves: queued → running → finished, paused, failed or stopped; each of these goes on with `wake`. `#driving` is the loop that
 * does it. It begins and ends runs in turn with all who steer: nobody changes the state while another is about to.
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
  #turn: Promise<unknown> = Promise.resolve();

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

  /** It was submitted again before anything of it was stored: `put` puts the new files there, while no run reads the old ones. */
  replace(put: () => Promise<CampaignFile>): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state.kind === 'running') {
        this.#state.run.stop();
        // How it ended is said by who began it.
        await this.#state.over.catch(() => {});
      }
      this.#file = await put();
    });
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
    await this.#turn;
  }

  /** Nothing more is claimed; what is in flight is finished. */
  pause(reason: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#steer({ ...this.#steering, paused: reason });
      this.#tell('paused', reason);
      if (this.#state.kind === 'running') this.#state.run.stop();
      else if (this.#state.kind !== 'finished') this.#state = { kind: 'paused' };
    });
  }

  resume(): Promise<void> {
    return this.#inTurn(async () => {
      const { paused: _, ...steering } = this.#steering;
      await this.#steer(steering);
      this.#tell('resumed', '');
      this.#goOn();
    });
  }

  /** For good: whoever waits is cancelled, in this run and in all that follow. */
  cancel(): Promise<void> {
    return this.#inTurn(async () => {
      const { paused: _, ...steering } = this.#steering;
      await this.#steer({ ...steering, cancelled: true });
      this.#tell('cancelled', '');
      if (this.#state.kind === 'running') this.#state.run.cancel();
      else this.#goOn();
    });
  }

  /** "100/s" or "2MB/s"; undefined for its own. */
  setRate(rate: string | undefined): Promise<void> {
    return this.#inTurn(async () => {
      await this.#steer(withRate(this.#steering, rate));
      this.#tell('rate', rate ?? 'its own');
      if (this.#state.kind === 'running') this.#state.run.setPace(paceUnder(this.#steering, this.#file.pace));
    });
  }

  setPriority(priority: number): Promise<void> {
    return this.#inTurn(async () => {
      await this.#steer({ ...this.#steering, priority });
      this.#tell('priority', String(priority));
      if (this.#state.kind === 'running') this.#state.run.setPriority(priority);
    });
  }

  /** So many complaints have come in; they pause what is being sent, and one that is not has nothing to be paused. */
  noteComplaints(count: number): Promise<void> {
    return this.#inTurn(async () => {
      this.#tell('complaints', String(count));
      if (this.#state.kind === 'running') this.#state.run.noteComplaints(count);
    });
  }

  /** Makes some rows pending again, and sends them. Throws ERR_CAMPAIGN_STATE (75) while it is being sent. */
  retry(choice: RetryChoice): Promise<Tally> {
    return this.#inTurn(async () => {
      const engine = this.#keeper.engine();
      if (this.#state.kind === 'running' || engine === undefined) throw busy(this.name);
      const record = await engine.ledger.findCampaign(this.name);
      if (record === undefined) throw busy(this.name);
      const { campaign } = this.#file;
      const tally = await new CampaignRun(engine, this.#request(campaign, undefined), record).retry(choice);
      const { cancelled: _, ...steering } = this.#steering;
      await this.#steer(steering);
      this.#goOn();
      return tally;
    });
  }

  #inTurn<T>(deed: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(deed);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** A run that was told to stop ends first, and what is said then counts. */
  #goOn(): void {
    if (this.#state.kind !== 'running') this.#state = { kind: 'queued' };
    this.wake();
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
      try {
        await this.#inTurn(() => this.#begin(engine));
        if (this.#state.kind !== 'running') return;
        await this.#state.over;
      } catch (error) {
        // What it writes may fail, too.
        const fail = (one: unknown): Promise<boolean> => this.#inTurn(() => this.#fail(one, engine));
        if (await fail(error).catch(fail)) return;
      }
    }
  }

  /** Looks what is to be done now, and begins a run where that is to send. */
  async #begin(engine: Engine | undefined): Promise<void> {
    this.#listInHand = undefined;
    if (engine === undefined || engine.stopSignal.aborted) {
      this.#state = { kind: 'stopped' };
      return;
    }
    const record = await findOrCreate(engine.ledger, this.name, this.#file.digest);
    this.#steering = readSteering(record.steering);
    this.#state = this.#stateBefore(record);
    if (this.#state.kind !== 'queued') return;
    const campaign = await prepareCampaign(this.#file.campaign);
    // That may take a while: the engine may have been told to stop, and another list have come.
    if (engine.stopSignal.aborted) this.#state = { kind: 'stopped' };
    else this.#state = this.#startRun(engine, record, campaign);
  }

  #stateBefore(record: CampaignRecord): KeptState {
    const hasList = this.#keeper.store.nextList(this.name) !== undefined;
    if (!hasList && record.finishedAt !== undefined) return { kind: 'finished' };
    return this.#steering.paused === undefined ? { kind: 'queued' } : { kind: 'paused' };
  }

  #startRun(engine: Engine, record: CampaignRecord, campaign: Campaign): KeptState {
    const list = this.#keeper.store.nextList(this.name);
    const listStored = (): void => {
      this.#dropList();
      // What this one still has to wait for is no reason to let the next list wait.
      if (this.#keeper.store.nextList(this.name) !== undefined) run.stop();
    };
    const run = new CampaignRun(engine, this.#request(campaign, list), record, { listStored });
    this.#listInHand = list;
    if (this.#steering.cancelled === true) run.cancel();
    return { kind: 'running', run, over: run.run() };
  }

  /** Of all that wait only the one in hand: another may have come by its name once it is gone. */
  #dropList(): void {
    if (this.#listInHand !== undefined) this.#keeper.store.dropList(this.#listInHand);
    this.#listInHand = undefined;
  }

  /** Returns whether nothing more is to be done for now. */
  async #fail(error: unknown, engine: Engine | undefined): Promise<boolean> {
    const { code, exitCode } =
      error instanceof PosthasteError ? error : { code: 'ERR_INTERNAL', exitCode: ExitCode.software };
    // The disk's trouble is everybody's, and none of the campaign's.
    if (exitCode === ExitCode.ioError) engine?.fail(error);
    if (engine === undefined || engine.stopSignal.aborted) {
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

  #request(campaign: Campaign, list: WaitingList | undefined): CampaignRequest {
    return makeRequest(this.#file, campaign, this.#keeper.config(), this.#steering, list);
  }

  /** Durable before it takes effect. */
  async #steer(steering: KeptSteering): Promise<void> {
    const ledger = this.#keeper.engine()?.ledger;
    const record = await ledger?.findCampaign(this.name);
    if (ledger === undefined || record === undefined) throw busy(this.name);
    await ledger.setSteering(record.id, writeSteering(steering));
    this.#steering = steering;
  }

  #tell(change: CampaignSteered['change'], text: string): void {
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
