// Holds send windows to the clocks on the wall, through every jump of DST, against a walk minute by minute.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { sendTimeAt } from '../../src/schedule/campaign_time.ts';
import { isOpen, nextClosing, nextOpening, type SendWindow } from '../../src/schedule/send_window.ts';
import { instantOf, isZone, nextJump, offsetAt } from '../../src/base/zone.ts';

const everyDay = [0, 1, 2, 3, 4, 5, 6];
const minuteMs = 60_000;
const hourMs = 3_600_000;

function window(from: string, to: string, weekdays: readonly number[] = everyDay): SendWindow {
  return { weekdays, fromMinute: minuteOf(from), toMinute: minuteOf(to) };
}

function minuteOf(text: string): number {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return hours * 60 + minutes;
}

function at(text: string): number {
  return Date.parse(text);
}

function opening(windows: readonly SendWindow[], zone: string, from: string): string | undefined {
  const found = nextOpening(windows, zone, at(from));
  return found === undefined ? undefined : new Date(found).toISOString();
}

const readers = new Map<string, Intl.DateTimeFormat>();

function readerOf(timeZone: string): Intl.DateTimeFormat {
  const known = readers.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  readers.set(timeZone, made);
  return made;
}

/** What an independent reader makes of an instant: the words of Intl, and not our arithmetic. */
function readsOpen({ weekdays, fromMinute, toMinute }: SendWindow, zone: string, instant: number): boolean {
  const words = readerOf(zone);
  const [, name = '', hours = '', minutes = ''] = /(\w+),? (\d+):(\d+)/.exec(words.format(instant)) ?? [];
  const weekday = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(name);
  const minute = Number(hours) * 60 + Number(minutes);
  if (fromMinute < toMinute) return weekdays.includes(weekday) && minute >= fromMinute && minute < toMinute;
  return weekdays.includes(weekday)
    ? minute >= fromMinute || (weekdays.includes((weekday + 6) % 7) && minute < toMinute)
    : weekdays.includes((weekday + 6) % 7) && minute < toMinute;
}

test('a window opens at its time in its zone, on its days', () => {
  const office = [window('09:00', '17:00', [1, 2, 3, 4, 5])];
  assert.equal(opening(office, 'Europe/Berlin', '2026-11-26T06:00:00Z'), '2026-11-26T08:00:00.000Z');
  assert.equal(opening(office, 'Europe/Berlin', '2026-11-26T12:34:56.789Z'), '2026-11-26T12:34:56.789Z');
  // Friday evening: until Monday.
  assert.equal(opening(office, 'Europe/Berlin', '2026-11-27T16:00:00Z'), '2026-11-30T08:00:00.000Z');
  assert.equal(opening([window('09:00', '17:00', [])], 'Europe/Berlin', '2026-11-27T16:00:00Z'), undefined);
});

test('a window over midnight belongs to the day on which it began', () => {
  const friday = [window('22:00', '02:00', [5])];
  const open = (text: string): boolean => isOpen(friday, 'UTC', at(text));
  assert.deepEqual(
    [
      '2026-11-27T21:59Z',
      '2026-11-27T22:00Z',
      '2026-11-28T01:59Z',
      '2026-11-28T02:00Z',
      '2026-11-27T01:00Z',
    ].map(open),
    [false, true, true, false, false],
  );
  assert.equal(nextClosing(friday, 'UTC', at('2026-11-27T23:00Z')), at('2026-11-28T02:00Z'));
});

test('Berlin, spring: a window that begins in the hour that is left out opens when the clocks jump', () => {
  // 29 March 2026, 02:00 CET is 03:00 CEST, 01:00 UTC.
  assert.equal(
    opening([window('02:30', '05:00')], 'Europe/Berlin', '2026-03-29T00:30:00Z'),
    '2026-03-29T01:00:00.000Z',
  );
  // One that lies in that hour altogether is not open that day.
  assert.equal(
    opening([window('02:10', '02:50')], 'Europe/Berlin', '2026-03-29T00:30:00Z'),
    '2026-03-30T00:10:00.000Z',
  );
});

test('Berlin, autumn: the hour that comes twice is open twice, and a window of the day closes by the wall', () => {
  // 25 October 2026, 03:00 CEST is 02:00 CET, 01:00 UTC.
  const night = [window('02:30', '02:45')];
  assert.equal(opening(night, 'Europe/Berlin', '2026-10-25T00:00:00Z'), '2026-10-25T00:30:00.000Z');
  assert.equal(opening(night, 'Europe/Berlin', '2026-10-25T00:45:00Z'), '2026-10-25T01:30:00.000Z');
  const day = [window('00:00', '08:00')];
  assert.equal(nextClosing(day, 'Europe/Berlin', at('2026-10-24T22:00:00Z')), at('2026-10-25T07:00:00Z'));
});

test('New York, Lord Howe with its half hour, and Apia without a Friday', () => {
  const morning = [window('09:00', '10:00')];
  assert.equal(opening(morning, 'America/New_York', '2026-03-07T15:00:00Z'), '2026-03-08T13:00:00.000Z');
  // 4 October 2026, 02:00 is 02:30: +10:30 becomes +11:00 at 15:30 UTC of the day before.
  assert.equal(
    opening([window('02:15', '04:00')], 'Australia/Lord_Howe', '2026-10-03T15:00:00Z'),
    '2026-10-03T15:30:00.000Z',
  );
  // 30 December 2011 was left out: a window of Fridays waits for the next one.
  const friday = [window('09:00', '10:00', [5])];
  assert.equal(opening(friday, 'Pacific/Apia', '2011-12-23T21:00:00Z'), '2012-01-05T19:00:00.000Z');
});

test('a zone is known or it is not', () => {
  assert.deepEqual(['Europe/Berlin', 'UTC', 'Mars/Olympus', '', 'Europe/Berlin\n'].map(isZone), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

function instant(zone: string, wall: string): string {
  return new Date(instantOf(zone, at(`${wall}Z`))).toISOString();
}

test('a wall time is the first instant that shows it; what a jump leaves out comes after the jump', () => {
  assert.equal(instant('Europe/Berlin', '2026-11-26T09:00:00'), '2026-11-26T08:00:00.000Z');
  assert.equal(instant('Europe/Berlin', '2026-10-25T02:30:00'), '2026-10-25T00:30:00.000Z');
  assert.equal(instant('Europe/Berlin', '2026-03-29T02:30:00'), '2026-03-29T01:30:00.000Z');
  assert.equal(instant('America/New_York', '2026-11-01T01:30:00'), '2026-11-01T05:30:00.000Z');
  assert.equal(instant('Pacific/Apia', '2011-12-31T00:00:00'), '2011-12-30T10:00:00.000Z');
});

const zones: readonly [zone: string, jumpsAt: string][] = [
  ['Europe/Berlin', '2026-03-29T01:00:00Z'],
  ['Europe/Berlin', '2026-10-25T01:00:00Z'],
  ['America/New_York', '2026-03-08T07:00:00Z'],
  ['America/New_York', '2026-11-01T06:00:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30:00Z'],
  ['Pacific/Apia', '2011-12-30T10:00:00Z'],
  ['Asia/Kolkata', '2026-06-01T00:00:00Z'],
];

test('the next jump of a zone is found to the millisecond', () => {
  for (const [zone, jumpsAt] of zones.slice(0, -1)) {
    const from = at(jumpsAt) - 5 * 86_400_000 - 123_457;
    assert.equal(nextJump(zone, from, 8 * 86_400_000), at(jumpsAt), zone);
    assert.notEqual(offsetAt(zone, at(jumpsAt) - 1), offsetAt(zone, at(jumpsAt)));
  }
  assert.equal(nextJump('Asia/Kolkata', 0, 86_400_000), undefined);
});

test('around every jump, next opening and closing are what a walk minute by minute finds', () => {
  const minute = fc.integer({ min: 0, max: 287 }).map((step) => step * 5);
  const given = fc.record({
    zone: fc.constantFrom(...zones),
    from: minute,
    to: minute.map((value) => value + 5),
    weekdays: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 }),
    beforeMinutes: fc.integer({ min: -300, max: 1800 }),
  });
  fc.assert(
    fc.property(given, ({ zone: [zone, jumpsAt], from, to, weekdays, beforeMinutes }) => {
      const one: SendWindow = { weekdays, fromMinute: from, toMinute: to };
      const begin = at(jumpsAt) - beforeMinutes * minuteMs;
      const walkedMs = 36 * hourMs;
      const walk = (wanted: boolean): number | undefined => {
        for (let now = begin; now < begin + walkedMs; now += minuteMs)
          if (readsOpen(one, zone, now) === wanted) return now;
        return undefined;
      };
      for (const [found, walked] of [
        [nextOpening([one], zone, begin), walk(true)],
        [nextClosing([one], zone, begin), walk(false)],
      ] as const) {
        if (walked !== undefined) assert.equal(found, walked, `${zone} ${new Date(begin).toISOString()}`);
        else assert.ok(found === undefined || found >= begin + walkedMs);
      }
      assert.equal(isOpen([one], zone, begin), readsOpen(one, zone, begin));
    }),
    { numRuns: 150 },
  );
});

test('several windows are open when one of them is', () => {
  const lunch = [window('09:00', '12:00'), window('13:00', '17:00')];
  assert.equal(opening(lunch, 'UTC', '2026-11-26T12:30:00Z'), '2026-11-26T13:00:00.000Z');
  assert.equal(
    nextClosing([window('09:00', '12:00'), window('11:00', '17:00')], 'UTC', at('2026-11-26T10:00:00Z')),
    at('2026-11-26T17:00:00Z'),
  );
});

test('a campaign waits for its start and its window, and is over at its deadline or where no window comes before it', () => {
  const time = {
    startAt: at('2026-11-26T10:00:00Z'),
    deadlineAt: at('2026-11-27T12:00:00Z'),
    windows: [window('09:00', '17:00')],
    zone: 'UTC',
  };
  const told = (text: string, zone?: string) => sendTimeAt(time, at(text), zone);
  assert.deepEqual(told('2026-11-26T09:30:00Z'), { kind: 'closed', opensAt: at('2026-11-26T10:00:00Z') });
  assert.deepEqual(told('2026-11-26T10:00:00Z'), { kind: 'open', untilAt: at('2026-11-26T17:00:00Z') });
  assert.deepEqual(told('2026-11-26T17:00:00Z'), { kind: 'closed', opensAt: at('2026-11-27T09:00:00Z') });
  assert.deepEqual(told('2026-11-27T10:00:00Z'), { kind: 'open', untilAt: at('2026-11-27T12:00:00Z') });
  assert.deepEqual(told('2026-11-27T12:00:00Z'), { kind: 'over' });
  // In their own zone it is evening already, and their morning comes after the deadline.
  assert.deepEqual(told('2026-11-27T09:00:00Z', 'America/Los_Angeles'), { kind: 'over' });
  assert.deepEqual(sendTimeAt({ windows: [], zone: 'UTC' }, 0), { kind: 'open', untilAt: Infinity });
});
