// What the control API shows: campaigns, recipients, relays, as schemas from which types and the OpenAPI document come.
import * as z from 'zod';
import { fates } from '../mail/outcome.ts';

const instant = z.iso.datetime().describe('RFC 3339, in UTC');
const count = z.int().min(0);

const campaignStates = [
  'queued',
  'takingIn',
  'sending',
  'waiting',
  'paused',
  'cancelling',
  'finished',
  'failed',
  'stopped',
] as const;

export const campaignView = z
  .strictObject({
    name: z.string(),
    state: z
      .enum(campaignStates)
      .describe(
        'queued: others come first. takingIn: its list is not read to the end. waiting: all that is pending is due later, or its time has not come. failed: see reason; resume tries again. stopped: known to the ledger, and nothing here would send it.',
      ),
    reason: z.string().optional().describe('Why it is paused, waits or failed, for people.'),
    rows: count.describe('Rows so far: those with a fate, and the pending ones.'),
    tally: z.strictObject(Object.fromEntries(fates.map((fate) => [fate, count]))).describe('Rows by fate.'),
    pending: count.describe('Recipients that wait for an attempt.'),
    perSecond: z.number().min(0).describe('Recipients answered or ended, over the last ten seconds.'),
    etaSeconds: z.number().min(0).optional().describe('At this speed; absent where nobody can tell.'),
    binds: z.string().optional().describe('The limit that holds messages up now, and until when.'),
    priority: z.int().min(1).max(100),
    rate: z.string().optional().describe('What `rate` was set to while it ran; absent: its own.'),
    bytes: z.string().optional().describe('What `bytes` was set to while it ran; absent: its own.'),
    createdAt: instant,
    nextDueAt: instant.optional(),
    finishedAt: instant.optional(),
  })
  .meta({ id: 'Campaign' });

export const recipientView = z
  .strictObject({
    campaign: z.string(),
    row: z.int().min(1),
    line: z.int().min(1),
    address: z.string(),
    status: z.enum([...fates, 'pending']),
    attempts: count,
    replyCode: z.int(),
    enhancedStatus: z.string(),
    reply: z.string(),
    classification: z.string(),
    relay: z.string(),
    at: instant.optional().describe('When it got its fate, or was put off last.'),
  })
  .meta({ id: 'Recipient' });

export const relayView = z
  .strictObject({
    name: z.string(),
    host: z.string(),
    port: z.int(),
    state: z
      .enum(['up', 'throttled', 'stopped', 'down', 'paused'])
      .describe(
        'throttled: slowed down by what it answers. stopped: left alone until blockedUntil. down: given up until it is resumed.',
      ),
    reason: z.string().optional(),
    sessionsOpen: count,
    sessionsBusy: count,
    sessionsAllowed: count.describe('How many it may have now; at most maxConnections.'),
    maxConnections: count,
    rateFactor: z.number().describe('What is left of its rate: 1 is all.'),
    blockedUntil: instant.optional(),
  })
  .meta({ id: 'Relay' });

export const configReport = z
  .strictObject({
    ok: z.boolean(),
    problems: z.array(z.string()).describe('Why nothing was changed.'),
    applied: z.array(z.string()).describe('What has another value now.'),
    needsRestart: z
      .array(z.string())
      .describe('What has another value in the file, and only a restart takes it.'),
  })
  .meta({ id: 'ConfigReport' });

export const auditView = z
  .strictObject({
    campaign: z.string(),
    finished: z.boolean(),
    rows: count,
    tally: z.strictObject(Object.fromEntries(fates.map((fate) => [fate, count]))),
    pendingRecipients: count,
    differences: z.array(z.strictObject({ subject: z.string(), expected: z.number(), found: z.number() })),
  })
  .meta({ id: 'Audit' });

/** One line of the event log; what else it holds is by its kind. */
export const eventRecord = z
  .looseObject({ id: z.int().min(1), at: instant, kind: z.string() })
  .meta({ id: 'Event' });

export const errorView = z
  .strictObject({
    error: z.strictObject({
      code: z.string().describe('Stable, for programs: ERR_…'),
      message: z.string(),
      hint: z.string().optional(),
      exitCode: z.int().describe('What a command would end with.'),
    }),
  })
  .meta({ id: 'Error' });

export type CampaignView = z.output<typeof campaignView>;
export type RecipientView = z.output<typeof recipientView>;
export type RelayView = z.output<typeof relayView>;
export type ConfigReport = z.output<typeof configReport>;
export type AuditView = z.output<typeof auditView>;
export type EventRecord = z.output<typeof eventRecord>;
export type ErrorView = z.output<typeof errorView>;
