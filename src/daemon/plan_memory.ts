// The plan of a campaign in memory that all threads share: serialised once, read by each thread once.
import { serialize } from 'node:v8';
import type { Campaign, CampaignPlan } from '../mail/campaign.ts';

/** Columns may grow while a list is read (NDJSON); each growth is a new key, so that threads compile anew. */
export class PlanMemory {
  readonly #campaignId: number;
  readonly #campaign: Campaign;
  #columns: readonly string[] = [];
  #shared: { planKey: string; plan: SharedArrayBuffer } | undefined;

  constructor(campaignId: number, campaign: Campaign) {
    this.#campaignId = campaignId;
    this.#campaign = campaign;
  }

  /** A list that is read again begins with fewer than its stored rows have, and those are being sent meanwhile. */
  setColumns(columns: readonly string[]): void {
    if (columns.length <= this.#columns.length) return;
    this.#columns = columns;
    this.#shared = undefined;
  }

  plan(): CampaignPlan {
    return { id: this.#campaignId, campaign: this.#campaign, columns: this.#columns };
  }

  /** The part of a task that tells a thread what to compose. */
  current(): { planKey: string; plan: SharedArrayBuffer } {
    this.#shared ??= {
      planKey: `${this.#campaignId}:${this.#columns.length}`,
      plan: share(serialize(this.plan())),
    };
    return this.#shared;
  }
}

function share(bytes: Uint8Array): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes.byteLength);
  new Uint8Array(memory).set(bytes);
  return memory;
}
