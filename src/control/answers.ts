// Answers of the control API as its clients read them.
import * as z from 'zod';
import {
  auditView,
  campaignView,
  configReport,
  eventRecord,
  recipientView,
  relayView,
  type CampaignView,
  type RelayView,
} from './views.ts';

export type { CampaignView, RelayView };

export const campaign = campaignView;
export const audit = auditView;
export const config = configReport;
export const event = eventRecord;
export const begun = z.object({ submission: z.string() });
export const campaigns = z.object({ campaigns: z.array(campaignView) });
export const recipients = z.object({ recipients: z.array(recipientView) });
export const relays = z.object({ relays: z.array(relayView) });
export const retried = z.object({ tally: z.record(z.string(), z.number()) });
