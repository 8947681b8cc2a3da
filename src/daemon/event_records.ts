// Events as the event log has them, and as other code in this process may hear them (node:diagnostics_channel).
import { channel } from 'node:diagnostics_channel';
import type { PosthasteEvent } from '../mail/event.ts';

/** What JSON is made of. */
export interface EventFields {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** One line each; a batch's recipients have one each, too. Instants are RFC 3339 there. */
export function describeEvents(event: PosthasteEvent): readonly EventFields[] {
  if (event.kind === 'recipientsSettled') return describeRecipients(event);
  if (event.kind === 'campaignWaits') {
    const { untilAt, ...rest } = event;
    return [{ ...rest, until: new Date(untilAt).toISOString() }];
  }
  if (event.kind !== 'batchSettled') return [{ ...event }];
  // Times of transactions are for metrics.
  const { kind, campaign, relay, outcomes, fates } = event;
  return [{ kind, campaign, relay, outcomes, fates }];
}

function describeRecipients({
  campaign,
  relay,
  attempt,
  recipients,
}: Extract<PosthasteEvent, { kind: 'recipientsSettled' }>): EventFields[] {
  const kind = 'recipientSettled';
  return recipients.map(({ at, ...one }) =>
    Object.assign(one, { kind, campaign, relay, attempt, settledAt: new Date(at).toISOString() }),
  );
}

const all = channel('posthaste:event');

/** Costs nothing where nobody listens. */
export function publishOnChannels(event: PosthasteEvent): void {
  if (all.hasSubscribers) all.publish(event);
  const own = channel(`posthaste:${event.kind}`);
  if (own.hasSubscribers) own.publish(event);
}
