// Steering: what was said about a campaign while the daemon had it, as the ledger keeps it.
import { parseRate, type Pace } from '../base/quantity.ts';

/** Absent is as the campaign's file says. */
export interface KeptSteering {
  /** Why it is paused. */
  readonly paused?: string;
  readonly cancelled?: true;
  /** "100/s". */
  readonly rate?: string;
  readonly priority?: number;
}

/** Our own writing, so its shape is trusted. */
export function readSteering(text: string | undefined): KeptSteering {
  if (text === undefined) return {};
  const kept: KeptSteering = JSON.parse(text);
  return kept;
}

export function writeSteering(steering: KeptSteering): string | undefined {
  return Object.keys(steering).length === 0 ? undefined : JSON.stringify(steering);
}

/** The rate that was set takes the place of the shortest window; quotas of hours and days stay. */
export function paceUnder({ rate }: KeptSteering, own: Pace): Pace {
  const parsed = rate === undefined ? undefined : parseRate(rate);
  if (parsed === undefined) return own;
  const others = own.rates.filter(({ perMs }, index) => index > 0 && perMs !== parsed.perMs);
  return { ...own, rates: [parsed, ...others].sort((a, b) => a.perMs - b.perMs) };
}
