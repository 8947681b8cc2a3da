// What the control API needs of the daemon: plain data behind asynchronous calls.
import type { RetriableFate, Tally } from '../mail/outcome.ts';
import type {
  AuditView,
  CampaignView,
  ConfigReport,
  EventRecord,
  RecipientView,
  RelayView,
} from './views.ts';

/** What is to be changed of a campaign that may be running; what is absent stays. */
export interface Steering {
  readonly paused?: boolean | undefined;
  readonly cancelled?: true | undefined;
  /** "100/s"; null takes the change back. */
  readonly rate?: string | null | undefined;
  /** 1 to 100: twice as much is twice the share. */
  readonly priority?: number | undefined;
}

export interface CommitOptions {
  /** The campaign's name, in place of the file's. */
  readonly as?: string | undefined;
  /** Takes a list even if it seems to be cut off. */
  readonly partial?: boolean | undefined;
  /** A list with fewer rows is refused, as cut off. */
  readonly expectRows?: number | undefined;
}

export interface RetryRequest {
  readonly fates: readonly RetriableFate[];
  readonly categories?: readonly string[] | undefined;
}

export interface EventRequest {
  /** Events with a higher id, those from before among them; undefined: from now on. */
  readonly since: number | undefined;
  readonly campaign: string | undefined;
  /** False: ends with the last that is there. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** Everything throws PosthasteErrors, for the caller to be told. */
export interface Operations {
  listCampaigns(): Promise<CampaignView[]>;
  showCampaign(name: string): Promise<CampaignView>;
  steerCampaign(name: string, steering: Steering): Promise<CampaignView>;
  /** Complaints that have come in of a campaign's messages since this was called last. */
  noteComplaints(name: string, count: number): Promise<CampaignView>;
  auditCampaign(name: string): Promise<AuditView>;
  retryCampaign(name: string, request: RetryRequest): Promise<Tally>;
  /** The list given back with what happened, as CSV or NDJSON text in pieces. */
  readResults(
    name: string,
    format: 'csv' | 'ndjson',
    only: readonly string[],
  ): Promise<AsyncIterable<string>>;
  /** What happened to an address, in all campaigns or one, newest campaign first. */
  findRecipient(address: string, campaign: string | undefined): Promise<RecipientView[]>;
  listRelays(): Promise<RelayView[]>;
  steerRelay(name: string, paused: boolean): Promise<RelayView>;
  version(): { readonly version: string; readonly node: string };
  checkConfig(): Promise<ConfigReport>;
  reloadConfig(): Promise<ConfigReport>;
  /** A submission is a folder under construction; nothing is done with it before it is committed. */
  beginSubmission(): Promise<string>;
  putFile(submission: string, path: string, body: AsyncIterable<Uint8Array>): Promise<void>;
  putList(submission: string, fileName: string, body: AsyncIterable<Uint8Array>): Promise<void>;
  /** When it resolves, all of it is on disk. */
  commitSubmission(submission: string, options: CommitOptions): Promise<CampaignView>;
  abandonSubmission(submission: string): Promise<void>;
  followEvents(request: EventRequest): AsyncIterable<EventRecord>;
}
