// A delivery: the final fate of one row, as the ledger keeps it and the results print it.
import type { Fate } from './outcome.ts';

export interface Delivery {
  readonly row: number;
  readonly fate: Fate;
  /** Milliseconds since the epoch. */
  readonly finishedAt: number;
  /** Attempts that counted; 0 for rows that were never tried. */
  readonly attempts: number;
  /** Name of the relay; empty for rows that were never tried. */
  readonly relay: string;
  /** 0 where no reply was seen. */
  readonly replyCode: number;
  readonly enhancedStatus: string;
  /** The last reply in one line, or the reason in words. */
  readonly reply: string;
  /** A category of `mail/verdict.ts`; empty for accepted rows. */
  readonly classification: string;
}

/** A 4yz that was not the end: kept whole, beside the deliveries. */
export interface Deferral extends Omit<Delivery, 'fate' | 'finishedAt' | 'attempts'> {
  readonly attempt: number;
  readonly at: number;
}
