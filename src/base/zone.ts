// Time zones: what clocks on the wall show at an instant, and the instants at which they show something.

/*
 * A wall time here is a number, too: the ms since the epoch of the UTC instant with the same date and time of day. So
 * wall = instant + offset, and the offset is constant but for jumps (DST, or a zone that changes its mind).
 */

const dayMs = 86_400_000;
const formatters = new Map<string, Intl.DateTimeFormat>();
/** Empty for what is none. */
const spellings = new Map<string, string>();
/** The IANA database has about 600 names. */
const mostZones = 1000;

/** True for an IANA zone that this Node knows, such as Europe/Berlin. */
export function isZone(name: string): boolean {
  try {
    formatterOf(name);
    return true;
  } catch {
    return false;
  }
}

/** The one spelling of an IANA zone; undefined for what is none, or is an offset such as +01:00. */
export function findZone(name: string): string | undefined {
  const known = spellings.get(name);
  if (known !== undefined) return known === '' ? undefined : known;
  const isKnown = /^[A-Za-z]/.test(name) && isZone(name);
  const spelling = isKnown ? formatterOf(name).resolvedOptions().timeZone : undefined;
  if (spellings.size < mostZones) spellings.set(name, spelling ?? '');
  return spelling;
}

/** Wall time minus instant, in ms. Throws RangeError for what is no zone. */
export function offsetAt(zone: string, at: number): number {
  const parts = new Map(
    formatterOf(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  const wall = Date.UTC(
    part('year'),
    part('month') - 1,
    part('day'),
    part('hour'),
    part('minute'),
    part('second'),
  );
  return wall - Math.floor(at / 1000) * 1000;
}

/** The first instant after `at`, and before `at + withinMs`, at which the offset is another; undefined for none. */
export function nextJump(zone: string, at: number, withinMs: number): number | undefined {
  const offset = offsetAt(zone, at);
  // Two jumps that take each other back within a day have never been.
  for (let reached = at; reached < at + withinMs; reached += dayMs) {
    const end = Math.min(reached + dayMs, at + withinMs);
    if (offsetAt(zone, end) === offset) continue;
    let [before, after] = [reached, end];
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (offsetAt(zone, middle) === offset) before = middle;
      else after = middle;
    }
    return after;
  }
  return undefined;
}

/**
 * The first instant at which the clocks of a zone show a wall time. What a jump forward leaves out is taken as long
 * after the jump as it would have been: 02:30 is then 03:30 (RFC 5545 §3.3.5).
 */
export function instantOf(zone: string, wall: number): number {
  // A jump of a whole day has been (Pacific/Apia in 2011), so look for it on both sides of that.
  const [before, after] = [offsetAt(zone, wall - 1.5 * dayMs), offsetAt(zone, wall + 1.5 * dayMs)];
  const shown = [wall - before, wall - after].filter((at) => at + offsetAt(zone, at) === wall);
  return shown.length === 0 ? wall - before : Math.min(...shown);
}

function formatterOf(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  if (formatters.size < mostZones) formatters.set(zone, made);
  return made;
}
