// Send windows: at which times of day and on which days of the week messages may go, by the clocks on the wall.
import { nextJump, offsetAt } from '../base/zone.ts';

/**
 * Open from `fromMinute` (inclusive) to `toMinute` (exclusive) of the day. Where it does not end later than it begins, it
 * goes over midnight and belongs to the day on which it began.
 */
export interface SendWindow {
  /** 0 is Sunday. */
  readonly weekdays: readonly number[];
  /** 0 to 1439. */
  readonly fromMinute: number;
  /** 1 to 1440. */
  readonly toMinute: number;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** A week, and another one for the zone that left out a day. */
const horizonMs = 15 * dayMs;

/** Whether a window is open at an instant. */
export function isOpen(windows: readonly SendWindow[], zone: string, at: number): boolean {
  return isOpenAtWall(windows, at + offsetAt(zone, at));
}

/**
 * The first instant from `at` on at which a window is open, `at` itself perhaps; undefined where there is none. By the
 * clocks on the wall: an hour that a jump leaves out is no part of a window, one that comes twice is open twice.
 */
export function nextOpening(windows: readonly SendWindow[], zone: string, at: number): number | undefined {
  return findNext(windows, zone, at, true);
}

/** The first instant from `at` on at which no window is open; undefined where there is none for two weeks. */
export function nextClosing(windows: readonly SendWindow[], zone: string, at: number): number | undefined {
  return findNext(windows, zone, at, false);
}

/** From jump to jump of the zone: in between, wall time is the instant plus a constant. */
function findNext(
  windows: readonly SendWindow[],
  zone: string,
  from: number,
  wanted: boolean,
): number | undefined {
  const horizonAt = from + horizonMs;
  for (let at = from; at < horizonAt;) {
    const endAt = nextJump(zone, at, horizonAt - at) ?? horizonAt;
    const offset = offsetAt(zone, at);
    for (const wall of listBoundaries(windows, at + offset, endAt + offset)) {
      if (isOpenAtWall(windows, wall) === wanted) return wall - offset;
    }
    at = endAt;
  }
  return undefined;
}

/** The beginning, and every wall time before the end at which a window opens or closes, in order. */
function listBoundaries(windows: readonly SendWindow[], beginWall: number, endWall: number): number[] {
  const boundaries = [beginWall];
  for (let day = startOfDay(beginWall); day < endWall; day += dayMs) {
    const walls = windows
      .flatMap(({ fromMinute, toMinute }) => [fromMinute, toMinute])
      .map((minute) => day + minute * minuteMs)
      .filter((wall) => wall > beginWall && wall < endWall);
    boundaries.push(...walls.sort((a, b) => a - b));
  }
  return boundaries;
}

function isOpenAtWall(windows: readonly SendWindow[], wall: number): boolean {
  const day = startOfDay(wall);
  const minute = (wall - day) / minuteMs;
  const weekday = weekdayOf(day);
  const yesterday = (weekday + 6) % 7;
  return windows.some(({ weekdays, fromMinute, toMinute }) => {
    if (fromMinute < toMinute) return weekdays.includes(weekday) && minute >= fromMinute && minute < toMinute;
    return (
      (weekdays.includes(weekday) && minute >= fromMinute) ||
      (weekdays.includes(yesterday) && minute < toMinute)
    );
  });
}

function startOfDay(wall: number): number {
  return Math.floor(wall / dayMs) * dayMs;
}

/** 1 January 1970 was a Thursday. */
function weekdayOf(wall: number): number {
  return (((Math.floor(wall / dayMs) + 4) % 7) + 7) % 7;
}
