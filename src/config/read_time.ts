// A campaign's start, deadline and send windows become instants and minutes of the day.
import { instantOf } from '../base/zone.ts';
import { tell, type Reading } from './reading.ts';
import { weekdayNames, type WrittenInstant } from './time_schema.ts';

/** When a campaign is sent. Instants in ms since the epoch. */
export interface CampaignTimes {
  readonly startAt: number | undefined;
  readonly deadlineAt: number | undefined;
  /** Empty: at any time. */
  readonly windows: readonly {
    /** 0 is Sunday. */
    readonly weekdays: readonly number[];
    readonly fromMinute: number;
    /** Up to 1440; not more than `fromMinute`: on the day after. */
    readonly toMinute: number;
  }[];
  readonly zone: string;
  /** The windows are on each recipient's own clocks, where the list says which. */
  readonly hasOwnZones: boolean;
}

export function readTimes(reading: Reading): CampaignTimes {
  const { startAt, deadline, sendWindows, timezone, list } = reading.written;
  const zone = timezone ?? 'UTC';
  const times = { startAt: readInstant(startAt, zone), deadlineAt: readInstant(deadline, zone) };
  if (times.deadlineAt !== undefined && times.deadlineAt <= (times.startAt ?? -Infinity))
    tell(reading, ['deadline'], { what: 'is not later than startAt', expected: 'a later one' });
  const windows = (sendWindows ?? []).map(({ days, from, to }, index) => {
    if (from === to)
      tell(reading, ['sendWindows', index, 'to'], {
        what: 'is when it opens',
        expected: 'another time; 00:00 to 24:00 is the whole day',
      });
    return {
      weekdays: days.map((day) => weekdayNames.indexOf(day)),
      fromMinute: minuteOf(from) % 1440,
      toMinute: minuteOf(to) === 0 ? 1440 : minuteOf(to),
    };
  });
  const hasOwnZones = list.timezone !== undefined;
  if (hasOwnZones && sendWindows === undefined)
    tell(reading, ['list', 'timezone'], {
      what: 'is there without sendWindows',
      expected: 'sendWindows, which are then on the clocks of each recipient, or no list.timezone',
    });
  return { ...times, windows, zone, hasOwnZones };
}

function readInstant(written: WrittenInstant | undefined, zone: string): number | undefined {
  if (written === undefined) return undefined;
  const { wall, offsetMs } = written;
  return offsetMs === undefined ? instantOf(zone, wall) : wall - offsetMs;
}

function minuteOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}
