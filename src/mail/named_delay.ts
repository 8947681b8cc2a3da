// The delay that a reply names: "450 4.2.0 Greylisted, try again in 300 seconds" means 300,000 ms.

/** As much of a reply as verdicts look at. */
const maxCharacters = 500;

/**
 * How long a reply asks us to wait, in ms; undefined where it does not say, or says no more than "later". No RFC gives
 * this a form, so only a number with a unit counts that follows a word of waiting, with nothing but small words
 * between: "100 messages in 5 minutes" is a limit and not a delay.
 */
export function parseNamedDelayMs(text: string): number | undefined {
  const tokens = text.slice(0, maxCharacters).toLowerCase().match(tokenPattern) ?? [];
  for (const [index, token] of tokens.entries()) {
    if (!isWaiting(token)) continue;
    const delayMs = readDelay(tokens, skipSmallWords(tokens, index + 1));
    if (delayMs !== undefined) return delayMs;
  }
  return undefined;
}

/** A word, a number or a sign; nothing in it repeats within a repetition, so it takes time in proportion to the text. */
const tokenPattern = /[a-z]+|\d+|\S/g;

const waitingWords = new Set([
  'again',
  'retry',
  'retried',
  'back',
  'wait',
  'deferred',
  'delayed',
  'postponed',
]);

function isWaiting(token: string): boolean {
  return waitingWords.has(token) || token.startsWith('greylist') || token.startsWith('graylist');
}

const smallWords = new Set(
  'in after for about approximately approx another the next more than later please it your message mail email delivery least , ( ~'.split(
    ' ',
  ),
);

function skipSmallWords(tokens: readonly string[], from: number): number {
  let index = from;
  // "at least 5 minutes" is a delay, "at 10:30:00" is a time of day in a zone that nobody knows.
  while (smallWords.has(tokens[index] ?? '') || (tokens[index] === 'at' && tokens[index + 1] === 'least'))
    index += 1;
  return index;
}

function readDelay(tokens: readonly string[], from: number): number | undefined {
  return readClock(tokens, from) ?? readUnits(tokens, from);
}

/** "00:04:59", as milters write it, behind "in" or "for". */
function readClock(tokens: readonly string[], from: number): number | undefined {
  const [hours, first, minutes, second, seconds] = tokens.slice(from, from + 5);
  const before = tokens[from - 1];
  if (first !== ':' || second !== ':' || (before !== 'in' && before !== 'for')) return undefined;
  const [h, m, s] = [hours, minutes, seconds].map(readNumber);
  if (h === undefined || m === undefined || s === undefined) return undefined;
  return positive(((h * 60 + m) * 60 + s) * 1000);
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const unitsMs = new Map([
  ...['s', 'sec', 'secs', 'second', 'seconds'].map((name) => [name, second] as const),
  ...['m', 'min', 'mins', 'minute', 'minutes'].map((name) => [name, minute] as const),
  ...['h', 'hr', 'hrs', 'hour', 'hours'].map((name) => [name, hour] as const),
  ...['d', 'day', 'days'].map((name) => [name, day] as const),
]);

/** "5 minutes", "1h 30m", "2 minutes and 5 seconds"; of "5 to 10 minutes" the longer one. */
function readUnits(tokens: readonly string[], from: number): number | undefined {
  let index = from;
  let totalMs = 0;
  for (;;) {
    if (index > from && (tokens[index] === 'and' || tokens[index] === ',')) index += 1;
    const isRange =
      ['-', 'to', 'or'].includes(tokens[index + 1] ?? '') && readNumber(tokens[index + 2]) !== undefined;
    if (isRange) index += 2;
    const count = readNumber(tokens[index]);
    const unitMs = unitsMs.get(tokens[index + 1] ?? '');
    if (count === undefined || unitMs === undefined) return positive(totalMs);
    totalMs += count * unitMs;
    index += 2;
  }
}

/** More than six digits are an id. */
function readNumber(token: string | undefined): number | undefined {
  if (token === 'a' || token === 'an' || token === 'one') return 1;
  return token !== undefined && /^\d{1,6}$/.test(token) ? Number(token) : undefined;
}

/** "In 0 seconds" says nothing. */
function positive(delayMs: number): number | undefined {
  return delayMs > 0 ? delayMs : undefined;
}
