// The instant that a value of a list means: dates are read strictly, and in the campaign's timezone where they name none.
import { offsetAt } from '../base/zone.ts';

/** Reads text and numbers as an instant in ms since the epoch; undefined where it is no date. */
export type ReadInstant = (value: unknown, now: number) => number | undefined;

const isoDate =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s?(?:(Z)|([+-]\d\d):?(\d\d))?$/i;

/** RFC 5322 §3.3 with a numeric zone. */
const mailDate = /^(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(?::\d\d)? [+-]\d{4}$/;

/**
 * Dates are ISO 8601 (2026-09-01, 2026-09-01T09:30, with or without a zone), RFC 5322, seconds since the epoch, "now" or
 * "today". What JavaScript would guess from anything else (01.02.2026 is the second of January) is no date.
 */
export function makeInstantReader(timezone: string): ReadInstant {
  return (value, now) => {
    if (typeof value === 'number') return Number.isFinite(value) ? value * 1000 : undefined;
    if (typeof value !== 'string') return undefined;
    const text = value.trim();
    if (text === 'now' || text === 'today') return now;
    if (/^\d{1,12}$/.test(text)) return Number(text) * 1000;
    if (mailDate.test(text)) return orUndefined(Date.parse(text));
    const parts = isoDate.exec(text);
    return parts === null ? undefined : readIso(parts, timezone);
  };
}

function readIso(parts: RegExpExecArray, timezone: string): number | undefined {
  const part = (index: number): number => Number(parts[index] ?? 0);
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map(part);
  const ms = Math.floor(Number(`0.${parts[7] ?? '0'}`) * 1000);
  const wall = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second, ms);
  // 30 February and 25 o'clock would roll over without a word.
  const isReal = new Date(wall).getUTCDate() === day && new Date(wall).getUTCHours() === hour;
  if (!isReal || new Date(wall).getUTCMonth() + 1 !== month || (minute ?? 0) > 59 || (second ?? 0) > 59)
    return undefined;
  if (parts[8] !== undefined) return wall;
  if (parts[9] !== undefined) {
    const minutes = Number(parts[9]) * 60 + Math.sign(Number(`${parts[9]}1`)) * part(10);
    return wall - minutes * 60_000;
  }
  // The zone's offset is that of the instant, which is what is looked for: the second look is right but in a gap.
  const guess = wall - offsetAt(timezone, wall);
  return wall - offsetAt(timezone, guess);
}

function orUndefined(ms: number): number | undefined {
  return Number.isNaN(ms) ? undefined : ms;
}
