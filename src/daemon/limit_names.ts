// The rates of a subject as limits of the table: their names, and which of them outlive the process.
import type { Pace, Rate } from '../base/quantity.ts';
import type { RateLimit } from '../schedule/limit_record.ts';

/** From so long windows on a restart would forget what a provider does not. */
const durableFromMs = 3_600_000;
/** Between the subject and the window in a name, and in what people read: the key. */
export const [bytesWord, connectionsWord] = ['bytes', 'connectionRate'] as const;

/** Names are without the count: what was granted must be found again when the limit is changed. */
export function limitsOf(
  kind: RateLimit['kind'],
  about: string,
  rates: readonly Rate[] = [],
  burst?: number,
): RateLimit[] {
  return rates.map((rate, position) => {
    const atOnce = position === 0 ? burst : rate.count;
    const name = `${about} per ${rate.perMs} ms`;
    return { kind, name, rate, burst: atOnce ?? 1, isDurable: isDurable(rate) };
  });
}

export function volumeName(subject: string): string {
  return `${subject} warm-up`;
}

export function slotsName(subject: string): string {
  return `${subject} maxConnections`;
}

export function slowed(limit: RateLimit, factor: number): RateLimit {
  const { count, perMs } = limit.rate;
  return { ...limit, rate: { count: Math.max(1, Math.floor(count * factor)), perMs } };
}

export function hasDurable({ rates, bytes = [], connections = [] }: Pace): boolean {
  return [...rates, ...bytes, ...connections].some(isDurable);
}

function isDurable({ perMs }: { readonly perMs: number }): boolean {
  return perMs >= durableFromMs;
}
