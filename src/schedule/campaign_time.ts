// A campaign's time: when it may begin, at which times it may send, and when the rest expires.
import { nextClosing, nextOpening, type SendWindow } from './send_window.ts';

/** Instants in ms since the epoch. */
export interface CampaignTime {
  readonly startAt?: number | undefined;
  /** From then on nothing is sent; whoever has no fate expires. */
  readonly deadlineAt?: number | undefined;
  /** None: at any time. */
  readonly windows: readonly SendWindow[];
  /** IANA name, for recipients who have no zone of their own. */
  readonly zone: string;
  /** Windows are on the clocks of each recipient; else all are in `zone`, whatever their own may be. */
  readonly hasOwnZones?: boolean | undefined;
}

export type SendTime =
  /** Now, and until then; Infinity for as long as one can see. */
  | { readonly kind: 'open'; readonly untilAt: number }
  | { readonly kind: 'closed'; readonly opensAt: number }
  /** The deadline is over, or comes before the next opening. */
  | { readonly kind: 'over' };

/** What is to be done at an instant, for recipients of a zone. */
export function sendTimeAt(time: CampaignTime, now: number, zone: string = time.zone): SendTime {
  const { startAt = -Infinity, deadlineAt = Infinity, windows } = time;
  const from = Math.max(now, startAt);
  const opensAt = windows.length === 0 ? from : nextOpening(windows, zone, from);
  if (opensAt === undefined || opensAt >= deadlineAt) return { kind: 'over' };
  if (opensAt > now) return { kind: 'closed', opensAt };
  const closesAt = windows.length === 0 ? undefined : nextClosing(windows, zone, now);
  return { kind: 'open', untilAt: Math.min(closesAt ?? Infinity, deadlineAt) };
}
