// The routes of the control API: one row each, from which the router and the OpenAPI document are made.
import * as z from 'zod';
import { fates, retriableFates } from '../mail/outcome.ts';
import { HttpRefusal, type Answer } from './answer.ts';
import type { Operations } from './operations.ts';
import { auditView, campaignView, configReport, eventRecord, recipientView, relayView } from './views.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What a route is given: checked by its schemas. */
export interface RouteInput {
  readonly params: Readonly<Record<string, string>>;
  readonly query: unknown;
  readonly body: unknown;
  /** Of routes that take a stream. */
  readonly stream: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  /** Of server-sent events: the id that the client had last. */
  readonly lastEventId: string | undefined;
}

export interface Route {
  readonly method: Method;
  /** `{name}` is one segment, `{path+}` the rest. */
  readonly path: string;
  readonly id: string;
  readonly sentence: string;
  readonly query?: z.ZodObject | undefined;
  /** A schema of JSON, or any bytes. */
  readonly body?: z.ZodType | 'stream' | undefined;
  readonly answer: { readonly status: number; readonly schema?: z.ZodType; readonly stream?: string };
  readonly run: (operations: Operations, input: RouteInput) => Promise<Answer>;
}

const steeringBody = z.strictObject({
  paused: z.boolean().optional(),
  cancelled: z.literal(true).optional().describe('For good: whoever waits is cancelled.'),
  rate: z
    .union([
      z.string().regex(/^\d+\/[smhd]$/),
      z.string().regex(/^\d+(\.\d+)?(B|kB|KiB|MB|MiB|GB|GiB)\/[smhd]$/),
      z.null(),
    ])
    .optional()
    .describe('Messages such as 100/s, or bytes such as 2MB/s; null takes both changes back.'),
  priority: z.int().min(1).max(100).optional().describe('Twice as much is twice the share.'),
});

const complaintsBody = z.strictObject({ count: z.int().min(1).max(100_000) });

const commitBody = z.strictObject({
  as: z.string().optional().describe("The campaign's name, in place of the file's."),
  partial: z.boolean().optional().describe('Takes a list even if it seems to be cut off.'),
  expectRows: z.int().min(1).optional().describe('A list with fewer rows is refused.'),
});

const retryBody = z.strictObject({
  fates: z.array(z.enum(retriableFates)).min(1),
  categories: z.array(z.string()).min(1).optional(),
});

const resultsQuery = z.strictObject({
  format: z.enum(['csv', 'ndjson']).default('csv'),
  only: z
    .string()
    .optional()
    .describe(`Comma-separated: ${fates.join(', ')}, pending, deferred.`),
});

const eventsQuery = z.strictObject({
  since: z.coerce.number().int().min(0).optional().describe('Events with a higher id; else from now on.'),
  campaign: z.string().optional(),
  follow: z.stringbool().default(true).describe('false: only those that are there, then the end.'),
});

const recipientsQuery = z.strictObject({
  address: z.string().min(1),
  campaign: z.string().optional(),
});

const json = (body: unknown, status = 200): Answer => ({ kind: 'json', status, body });

/** Room is left beside these for suppressions, webhooks and bounces. */
export const routes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/version',
    id: 'getVersion',
    sentence: 'Which version this is.',
    answer: { status: 200, schema: z.strictObject({ version: z.string(), node: z.string() }) },
    run: async (operations) => json(operations.version()),
  },
  {
    method: 'GET',
    path: '/v1/campaigns',
    id: 'listCampaigns',
    sentence: 'All campaigns, oldest first.',
    answer: { status: 200, schema: z.strictObject({ campaigns: z.array(campaignView) }) },
    run: async (operations) => json({ campaigns: await operations.listCampaigns() }),
  },
  {
    method: 'GET',
    path: '/v1/campaigns/{name}',
    id: 'showCampaign',
    sentence: 'One campaign.',
    answer: { status: 200, schema: campaignView },
    run: async (operations, { params }) => json(await operations.showCampaign(nameIn(params))),
  },
  {
    method: 'PATCH',
    path: '/v1/campaigns/{name}',
    id: 'steerCampaign',
    sentence:
      'Pauses, resumes, cancels a campaign, or changes its rate or priority; it takes effect at once and survives restarts.',
    body: steeringBody,
    answer: { status: 200, schema: campaignView },
    run: async (operations, { params, body }) =>
      json(await operations.steerCampaign(nameIn(params), steeringBody.parse(body))),
  },
  {
    method: 'POST',
    path: '/v1/campaigns/{name}/complaints',
    id: 'noteComplaints',
    sentence:
      "Tells of complaints that have come in since the last call, as from a provider's feedback loop; above its pauseAbove.complaints the campaign pauses.",
    body: complaintsBody,
    answer: { status: 200, schema: campaignView },
    run: async (operations, { params, body }) =>
      json(await operations.noteComplaints(nameIn(params), complaintsBody.parse(body).count)),
  },
  {
    method: 'GET',
    path: '/v1/campaigns/{name}/audit',
    id: 'auditCampaign',
    sentence: 'The proof that its rows add up.',
    answer: { status: 200, schema: auditView },
    run: async (operations, { params }) => json(await operations.auditCampaign(nameIn(params))),
  },
  {
    method: 'GET',
    path: '/v1/campaigns/{name}/results',
    id: 'readResults',
    sentence: 'The list given back with the fate of each row, as far as it is known.',
    query: resultsQuery,
    answer: { status: 200, stream: 'text/csv' },
    run: async (operations, { params, query }) => {
      const { format, only } = resultsQuery.parse(query);
      const states = only === undefined ? [] : only.split(',').map((word) => word.trim());
      const body = await operations.readResults(nameIn(params), format, states);
      const contentType = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson';
      return { kind: 'stream', contentType, body };
    },
  },
  {
    method: 'POST',
    path: '/v1/campaigns/{name}/retry',
    id: 'retryCampaign',
    sentence: 'Sends again to rows that ended in certain ways.',
    body: retryBody,
    answer: { status: 202, schema: z.strictObject({ tally: z.record(z.string(), z.int()) }) },
    run: async (operations, { params, body }) =>
      json({ tally: await operations.retryCampaign(nameIn(params), retryBody.parse(body)) }, 202),
  },
  {
    method: 'GET',
    path: '/v1/recipients',
    id: 'findRecipient',
    sentence: 'What happened to an address. Reads whole lists: seconds where there are millions of rows.',
    query: recipientsQuery,
    answer: { status: 200, schema: z.strictObject({ recipients: z.array(recipientView) }) },
    run: async (operations, { query }) => {
      const { address, campaign } = recipientsQuery.parse(query);
      return json({ recipients: await operations.findRecipient(address, campaign) });
    },
  },
  {
    method: 'GET',
    path: '/v1/relays',
    id: 'listRelays',
    sentence: 'All relays and how they are.',
    answer: { status: 200, schema: z.strictObject({ relays: z.array(relayView) }) },
    run: async (operations) => json({ relays: await operations.listRelays() }),
  },
  {
    method: 'PATCH',
    path: '/v1/relays/{name}',
    id: 'steerRelay',
    sentence: 'Pauses a relay, or lets it go on; one that was given up is tried again.',
    body: z.strictObject({ paused: z.boolean() }),
    answer: { status: 200, schema: relayView },
    run: async (operations, { params, body }) => {
      const { paused } = z.strictObject({ paused: z.boolean() }).parse(body);
      return json(await operations.steerRelay(nameIn(params), paused));
    },
  },
  {
    method: 'GET',
    path: '/v1/events',
    id: 'followEvents',
    sentence:
      'Events as they happen (text/event-stream), each after it is durable. Last-Event-ID goes on where it was.',
    query: eventsQuery,
    answer: { status: 200, schema: eventRecord, stream: 'text/event-stream' },
    run: async (operations, { query, signal, lastEventId }) => {
      const { since, campaign, follow } = eventsQuery.parse(query);
      const last = lastEventId === undefined ? since : parseId(lastEventId);
      const events = operations.followEvents({ since: last, campaign, follow, signal });
      return { kind: 'stream', contentType: 'text/event-stream', body: formatEvents(events) };
    },
  },
  {
    method: 'GET',
    path: '/v1/config/check',
    id: 'checkConfig',
    sentence: 'Whether the configuration file as it is now could be taken, and what that would change.',
    answer: { status: 200, schema: configReport },
    run: async (operations) => json(await operations.checkConfig()),
  },
  {
    method: 'POST',
    path: '/v1/config/reload',
    id: 'reloadConfig',
    sentence: 'Takes the configuration file as it is now; a bad one changes nothing.',
    answer: { status: 200, schema: configReport },
    run: async (operations) => json(await operations.reloadConfig()),
  },
  {
    method: 'POST',
    path: '/v1/submissions',
    id: 'beginSubmission',
    sentence: 'Begins a submission: a folder to be filled with a campaign file, what it names, and a list.',
    answer: { status: 201, schema: z.strictObject({ submission: z.string() }) },
    run: async (operations) => {
      const submission = await operations.beginSubmission();
      const location = `/v1/submissions/${submission}`;
      return { kind: 'json', status: 201, body: { submission }, location };
    },
  },
  {
    method: 'PUT',
    path: '/v1/submissions/{submission}/files/{path+}',
    id: 'putFile',
    sentence: 'Puts a file into a submission: campaign.yaml, or what that names.',
    body: 'stream',
    answer: { status: 204 },
    run: async (operations, { params, stream }) => {
      await operations.putFile(params['submission'] ?? '', params['path'] ?? '', stream);
      return { kind: 'none' };
    },
  },
  {
    method: 'PUT',
    path: '/v1/submissions/{submission}/list/{fileName}',
    id: 'putList',
    sentence: 'Puts the list into a submission: CSV or NDJSON, plain, gzip or zstd.',
    body: 'stream',
    answer: { status: 204 },
    run: async (operations, { params, stream }) => {
      await operations.putList(params['submission'] ?? '', params['fileName'] ?? '', stream);
      return { kind: 'none' };
    },
  },
  {
    method: 'POST',
    path: '/v1/submissions/{submission}/commit',
    id: 'commitSubmission',
    sentence: 'Accepts a submission: when this is answered all of it is on disk, and it is sent.',
    body: commitBody,
    answer: { status: 202, schema: campaignView },
    run: async (operations, { params, body }) =>
      json(await operations.commitSubmission(params['submission'] ?? '', commitBody.parse(body)), 202),
  },
  {
    method: 'DELETE',
    path: '/v1/submissions/{submission}',
    id: 'abandonSubmission',
    sentence: 'Throws a submission away that is not committed.',
    answer: { status: 204 },
    run: async (operations, { params }) => {
      await operations.abandonSubmission(params['submission'] ?? '');
      return { kind: 'none' };
    },
  },
];

function parseId(lastEventId: string): number {
  if (/^\d{1,15}$/.test(lastEventId)) return Number(lastEventId);
  throw new HttpRefusal(400, {
    code: 'ERR_REQUEST_INVALID',
    message: 'Last-Event-ID is not the id of an event',
    hint: 'send the id that came last, or none',
  });
}

function nameIn(params: Readonly<Record<string, string>>): string {
  return params['name'] ?? '';
}

/** https://html.spec.whatwg.org/multipage/server-sent-events.html */
async function* formatEvents(
  events: AsyncIterable<{ readonly id: number; readonly kind: string }>,
): AsyncGenerator<string, void, undefined> {
  yield ': follow\n\n';
  for await (const event of events)
    yield `id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`;
}
