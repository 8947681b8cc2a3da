// Steering: what was said about a campaign while the daemon had it, as the ledger keeps it.
import { parseByteRate, parseRate, type Pace, type Rate } from '../base/quantity.ts';

/** Absent is as the campaign's file says. */
export interface KeptSteering {
  /** Why it is paused. */
  readonly paused?: string;
  readonly cancelled?: true;
  /** "100/s". */
  readonly rate?: string;
  /** "2MB/s". */
  readonly bytes?: string;
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

/** Sets a rate of messages or of bytes, and leaves the other as it is; undefined takes both back. */
export function withRate(steering: KeptSteering, rate: string | undefined): KeptSteering {
  if (rate !== undefined)
    return parseRate(rate) === undefined ? { ...steering, bytes: rate } : { ...steering, rate };
  const { rate: _, bytes: _bytes, ...others } = steering;
  return others;
}

/** What was set takes the place of the shortest window; quotas of hours and days stay. */
export function paceUnder({ rate, bytes }: KeptSteering, own: Pace): Pace {
  const setRate = rate === undefined ? undefined : parseRate(rate);
  const setBytes = bytes === undefined ? undefined : parseByteRate(bytes);
  return {
    ...own,
    rates: setRate === undefined ? own.rates : inPlaceOfShortest(setRate, own.rates),
    ...(setBytes === undefined ? {} : { bytes: inPlaceOfShortest(setBytes, own.bytes ?? []) }),
  };
}

function inPlaceOfShortest(set: Rate, own: readonly Rate[]): Rate[] {
  const others = own.filter(({ perMs }, index) => index > 0 && perMs !== set.perMs);
  return [set, ...others].sort((a, b) => a.perMs - b.perMs);
}
