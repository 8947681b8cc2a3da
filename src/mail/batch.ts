// A batch: recipients handed to a worker together, and the bytes they are stored and handed over as.
import type { Recipient } from './recipient.ts';

/**
 * What one task of a worker is about. `payload` is stored once by intake and goes to the worker as it is,
 * so the main thread never looks at a recipient on the way out.
 */
export interface Batch {
  readonly id: number;
  readonly campaignId: number;
  /** 1 for the first attempt. Relay trouble does not raise it. */
  readonly attempt: number;
  /** In ms since the epoch: of a first attempt when it was stored, of all others when the first one had been made; `giveUpAfter` counts from that. */
  readonly bornAt: number;
  readonly recipientCount: number;
  readonly payload: Uint8Array;
}

type PackedRecipient = readonly [row: number, line: number, address: string, cells: Recipient['cells']];

/** The lane of recipients whose domains have none of their own. */
export const sharedLane = 'other';

/** Packs recipients for storage: a JSON array of `[row, line, address, cells]`. */
export function packRecipients(recipients: readonly Recipient[]): Uint8Array {
  const packed: PackedRecipient[] = recipients.map((one) => [one.row, one.line, one.address, one.cells]);
  return Buffer.from(JSON.stringify(packed));
}

/** The inverse of `packRecipients`. The payload is our own writing, so its shape is trusted. */
export function unpackRecipients(payload: Uint8Array): Recipient[] {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
  const packed: PackedRecipient[] = JSON.parse(text);
  return packed.map(([row, line, address, cells]) => ({ row, line, address, cells }));
}
