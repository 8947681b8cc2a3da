// The operations of the control API, done by the daemon.
import { ExitCode, PosthasteError } from '../base/error.ts';
import { nameVariants } from '../mail/variant.ts';
import { domainOf } from '../mail/address.ts';
import { retriableFates, type RetriableFate } from '../mail/outcome.ts';
import { categories as allCategories } from '../mail/verdict.ts';
import type {
  CommitOptions,
  EventRequest,
  Operations,
  RetryRequest,
  Steering,
} from '../control/operations.ts';
import type { CampaignView, EventRecord, RecipientView } from '../control/views.ts';
import type { EventLog } from '../events/event_log.ts';
import type { CampaignRecord, ResultRow } from '../ledger/ledger.ts';
import { unknownCampaign } from './audit.ts';
import { refuseIfCompacted } from './compact.ts';
import type { Daemon } from './daemon.ts';
import type { KeptCampaign } from './kept_campaign.ts';
import type { Reloader } from './reload.ts';
import { formatResults, resultStates, stateOf, type ResultState } from './results_text.ts';
import { showCampaign, showRelay } from './show.ts';

export interface ControlParts {
  readonly daemon: Daemon;
  readonly events: EventLog;
  readonly reloader: Reloader;
  readonly version: string;
}

export class ControlOperations implements Operations {
  readonly #parts: ControlParts;

  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  version() {
    return { version: this.#parts.version, node: process.versions.node };
  }

  async listCampaigns(): Promise<CampaignView[]> {
    const records = await this.#ledger.listCampaigns();
    const views: CampaignView[] = [];
    for (const record of records) views.push(await this.#show(record));
    return views;
  }

  async showCampaign(name: string): Promise<CampaignView> {
    return this.#show(await this.#find(name));
  }

  async steerCampaign(name: string, steering: Steering): Promise<CampaignView> {
    const record = await this.#find(name);
    const kept = this.#kept(name);
    if (record.finishedAt !== undefined && kept.state.kind === 'finished') throw finished(name);
    if (steering.rate !== undefined) await kept.setRate(steering.rate ?? undefined);
    if (steering.priority !== undefined) await kept.setPriority(steering.priority);
    if (steering.cancelled === true) await kept.cancel();
    else if (steering.paused === true) await kept.pause('an operator said so');
    else if (steering.paused === false) await kept.resume();
    return this.showCampaign(name);
  }

  async noteComplaints(name: string, count: number): Promise<CampaignView> {
    await this.#find(name);
    await this.#kept(name).noteComplaints(count);
    return this.showCampaign(name);
  }

  async auditCampaign(name: string) {
    const { id, intake } = await this.#find(name);
    const { rows, tally, pendingRecipients, differences } = await this.#ledger.auditCampaign(id);
    const isFinished = intake === 'complete' && pendingRecipients === 0;
    return {
      campaign: name,
      finished: isFinished,
      rows,
      tally,
      pendingRecipients,
      differences: [...differences],
    };
  }

  async retryCampaign(name: string, { fates, categories }: RetryRequest) {
    await this.#find(name);
    const wanted = fates.filter((fate): fate is RetriableFate => retriableFates.includes(fate));
    const known: readonly string[] = allCategories;
    const strange = categories?.find((one) => !known.includes(one));
    if (strange !== undefined) throw unknownWord(strange, known);
    const chosen = categories === undefined ? undefined : new Set(categories);
    return this.#kept(name).retry({ fates: new Set(wanted), categories: chosen });
  }

  async readResults(
    name: string,
    format: 'csv' | 'ndjson',
    only: readonly string[],
  ): Promise<AsyncIterable<string>> {
    const record = await this.#find(name);
    refuseIfCompacted(record, 'there are no results any more');
    const states = new Set(only.map((word) => parseState(word)));
    const file = this.#parts.daemon.campaigns.get(name)?.file;
    const known =
      file === undefined
        ? {}
        : {
            fromDomain: domainOf(file.campaign.from.address),
            variantOf: nameVariants(name, file.campaign.variants),
          };
    return formatResults(format, {
      campaign: name,
      ...known,
      columns: record.columns,
      pages: this.#ledger.readResults(record.id),
      only: only.length === 0 ? undefined : states,
    });
  }

  async findRecipient(address: string, campaign: string | undefined): Promise<RecipientView[]> {
    const records =
      campaign === undefined ? await this.#ledger.listCampaigns() : [await this.#find(campaign)];
    const wanted = address.toLowerCase();
    const found: RecipientView[] = [];
    for (const record of records.toReversed()) {
      for await (const page of this.#ledger.readResults(record.id))
        for (const row of page)
          if (row.address?.toLowerCase() === wanted) found.push(showRecipient(record.name, row.address, row));
    }
    return found;
  }

  async listRelays() {
    const { engine } = this.#parts.daemon;
    const now = Date.now();
    return engine.options.relays.flatMap((relay, number) => {
      const desk = engine.dispatcher.relays.find(relay.name);
      return desk === undefined ? [] : [showRelay(relay, desk, engine.threads.pool.gauges(number), now)];
    });
  }

  async steerRelay(name: string, paused: boolean) {
    this.#parts.daemon.holdRelay(name, paused);
    const relays = await this.listRelays();
    const relay = relays.find((one) => one.name === name);
    if (relay === undefined)
      throw unknownWord(
        name,
        relays.map((one) => one.name),
      );
    return relay;
  }

  checkConfig() {
    return this.#parts.reloader.check();
  }

  reloadConfig() {
    return this.#parts.reloader.reload();
  }

  async beginSubmission(): Promise<string> {
    return this.#parts.daemon.store.begin();
  }

  putFile(submission: string, path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#parts.daemon.store.putFile(submission, path, body);
  }

  putList(submission: string, fileName: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#parts.daemon.store.putList(submission, fileName, body);
  }

  async commitSubmission(submission: string, options: CommitOptions): Promise<CampaignView> {
    const kept = await this.#parts.daemon.accept(submission, options);
    return this.#showAccepted(kept);
  }

  async abandonSubmission(submission: string): Promise<void> {
    this.#parts.daemon.store.abandon(submission);
  }

  async *followEvents({
    since,
    campaign,
    follow,
    signal,
  }: EventRequest): AsyncGenerator<EventRecord, void, undefined> {
    const { events } = this.#parts;
    const last = follow ? Infinity : events.lastId;
    if ((since ?? last) >= last) return;
    for await (const event of events.follow(since ?? events.lastId, signal)) {
      const of = 'campaign' in event ? event.campaign : undefined;
      if (campaign === undefined || of === campaign) yield { ...event };
      if (event.id >= last) return;
    }
  }

  get #ledger() {
    return this.#parts.daemon.engine.ledger;
  }

  async #find(name: string): Promise<CampaignRecord> {
    const record = await this.#ledger.findCampaign(name);
    if (record === undefined)
      throw await unknownCampaign(this.#ledger, this.#parts.daemon.config.stateDir, name);
    return record;
  }

  #kept(name: string): KeptCampaign {
    const kept = this.#parts.daemon.campaigns.get(name);
    if (kept !== undefined) return kept;
    throw new PosthasteError({
      code: 'ERR_CAMPAIGN_STATE',
      message: `campaign "${name}" was not submitted to the daemon, which has its rows and not its messages`,
      hint: 'submit its file, and it goes on from where it stopped',
      exitCode: ExitCode.usage,
    });
  }

  async #show(record: CampaignRecord): Promise<CampaignView> {
    const { daemon } = this.#parts;
    const { name } = record;
    const kept = daemon.campaigns.get(name);
    const relays = kept?.file.relays?.map((one) => one.name) ?? [kept?.file.relay ?? 'primary'];
    const now = Date.now();
    return showCampaign(
      record,
      {
        pending: await this.#ledger.pending(record.id),
        kept,
        perSecond: daemon.rates.perSecond(name, performance.now()),
        binds: daemon.engine.threads.limits.describeBinding(name, relays),
        waitsUntil: daemon.engine.dispatcher.waitsUntil(record.id),
      },
      now,
    );
  }

  /** It may not be in the ledger yet. */
  async #showAccepted(kept: KeptCampaign): Promise<CampaignView> {
    const { name, file } = kept;
    const known = await this.#ledger.findCampaign(name);
    return this.#show(
      known ?? (await this.#ledger.createCampaign({ name, planDigest: file.digest, createdAt: Date.now() })),
    );
  }
}

function showRecipient(campaign: string, address: string, row: ResultRow): RecipientView {
  const { delivery, lastDeferral } = row;
  const met = delivery ?? lastDeferral;
  const at = delivery?.finishedAt ?? lastDeferral?.at;
  const state = stateOf(row);
  return {
    campaign,
    row: row.row,
    line: row.line,
    address,
    status: state === 'deferred' ? 'pending' : state,
    attempts: delivery?.attempts ?? lastDeferral?.attempt ?? 0,
    replyCode: met?.replyCode ?? 0,
    enhancedStatus: met?.enhancedStatus ?? '',
    reply: met?.reply ?? '',
    classification: met?.classification ?? '',
    relay: met?.relay ?? '',
    at: at === undefined ? undefined : new Date(at).toISOString(),
  };
}

function parseState(word: string): ResultState {
  const state = resultStates.find((one) => one === word);
  if (state === undefined) throw unknownWord(word, resultStates);
  return state;
}

function unknownWord(word: string, known: readonly string[]): PosthasteError {
  return new PosthasteError({
    code: 'ERR_REQUEST_INVALID',
    message: `"${word}" is none of ${known.join(', ')}`,
    hint: 'use one of them',
    exitCode: ExitCode.usage,
  });
}

function finished(name: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_CAMPAIGN_STATE',
    message: `campaign "${name}" is finished`,
    hint: 'there is nothing to steer any more; posthaste retry sends again to some',
    exitCode: ExitCode.usage,
  });
}
