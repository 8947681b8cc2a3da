// The keys of a campaign's time: one row each.
import * as z from 'zod';
import { expects, key } from './key.ts';
import { choice, text } from './value.ts';

/** In the order of `Date.prototype.getUTCDay`. */
export const weekdayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

const instantPattern = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(Z|[+-]\d\d:\d\d)?$/;

const windowSchema = z.strictObject({
  days: key(
    z
      .array(choice(weekdayNames))
      .min(1)
      .max(7)
      .prefault([...weekdayNames]),
    {
      sentence: 'Days of the week on which it opens.',
      default: 'every day',
    },
  ),
  from: key(timeOfDay(), 'When it opens.'),
  to: key(timeOfDay(), 'When it closes; where that is earlier, on the day after.'),
});

export const timeKeys = {
  startAt: key(pointInTime().optional(), { sentence: 'Nothing is sent before.', default: 'at once' }),
  deadline: key(pointInTime().optional(), {
    sentence: 'Nothing is sent from then on: whoever waits then expires, tried or not.',
    default: 'none',
  }),
  sendWindows: key(z.array(windowSchema).min(1).max(50).optional(), {
    sentence:
      'Times of day at which messages go, on the clocks of `timezone`, or of the recipient with `list.timezone`. What is under way when one closes is finished.',
    default: 'at any time',
  }),
};

/** A date with a time of day, as the ms since the epoch that it would be in UTC; `offsetMs` where it says its offset. */
export interface WrittenInstant {
  readonly wall: number;
  readonly offsetMs: number | undefined;
}

function pointInTime() {
  const schema = z
    .string()
    .regex(instantPattern)
    .transform((written, context): WrittenInstant => {
      const parsed = parseInstant(written);
      if (parsed !== undefined) return parsed;
      context.addIssue({ code: 'custom', message: '' });
      return z.NEVER;
    });
  return expects(
    schema,
    'a date and a time such as 2026-12-01T09:00, on the clocks of `timezone` or with an offset (Z, +01:00)',
  );
}

function parseInstant(written: string): WrittenInstant | undefined {
  const [, date = '', time = '', offset] = instantPattern.exec(written) ?? [];
  const wall = Date.parse(`${date}T${time}Z`);
  // 30 February is taken for 2 March, and 24:00 for the day after.
  if (Number.isNaN(wall) || !new Date(wall).toISOString().startsWith(date)) return undefined;
  if (offset === undefined || offset === 'Z') return { wall, offsetMs: offset === undefined ? undefined : 0 };
  const at = Date.parse(`${date}T${time}${offset}`);
  return Number.isNaN(at) ? undefined : { wall, offsetMs: wall - at };
}

function timeOfDay() {
  return text((value) => /^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/.test(value), 'a time of day such as 09:00');
}
