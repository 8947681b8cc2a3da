// Parses a fault from the one line that people write: "rcpt 5%: 450 4.2.1 mailbox busy".
import { ExitCode, PosthasteError } from '../base/error.ts';
import { parseDurationMs, parseRate } from '../base/quantity.ts';
import { type Fault, type FaultAction, type FaultStage, faultStages, hasAddress } from './fault.ts';

/** `over` remembers one instant a count, so its count is bounded. */
const maxRateCount = 1_000_000;
/** Node's timers end at 24.8 days and fire at once beyond. */
const maxDelayMs = 86_400_000;

type Conditions = { -readonly [Key in Exclude<keyof Fault, 'at' | 'action'>]?: Fault[Key] };

/**
 * Parses `STAGE [CONDITION…]: ACTION`.
 *
 * Conditions: `5%`, `*@bad.example`, `part@of.address`, `first`, `first 3`, `first per reverse-path`, `every 10`,
 * `over 100/s`, `over 5 sessions`, `over 5 sessions per client`, `after 100 messages`.
 *
 * Actions: a reply (`450 4.2.1 try later`), `delay 200ms`, `drop`, `drop-after-taken`, `silence`, `garbage TEXT`, `split`
 * (each octet for itself), `split 3`, `extra 250 ok`, `extra 50ms 421 4.4.2 idle`, `skip`, `swap`, `stop-reading`,
 * `lose-rest`; fault.ts says what they do. In replies and garbage `\r`, `\n`, `\t`, `\\` and `\xNN` stand for octets.
 *
 * @throws PosthasteError ERR_SANDBOX_FAULT (usage) with what was expected.
 */
export function parseFault(text: string): Fault {
  const colon = findColon(text);
  if (colon < 0) throw faultError(text, 'it has no colon, expected STAGE [CONDITION…]: ACTION');
  const [stageWord = '', ...words] = text.slice(0, colon).trim().split(/\s+/);
  const at = faultStages.find((stage) => stage === stageWord.toLowerCase());
  if (at === undefined) {
    throw faultError(text, `stage "${stageWord}" is unknown, expected one of ${faultStages.join(', ')}`);
  }
  const conditions = parseConditions(text, at, words);
  return { at, ...conditions, action: parseAction(text, at, text.slice(colon + 1).trim()) };
}

/** A colon inside an address literal (`*@[IPv6:…]`) is not followed by a space, so that one is looked for first. */
function findColon(text: string): number {
  const spaced = text.indexOf(': ');
  return spaced >= 0 ? spaced : text.indexOf(':');
}

function parseConditions(text: string, at: FaultStage, words: readonly string[]): Conditions {
  const conditions: Conditions = {};
  for (let next = 0; next < words.length;) next += parseCondition(text, conditions, words, next);
  if (conditions.match !== undefined && !hasAddress(at)) {
    throw faultError(
      text,
      `stage "${at}" knows no address, expected "${conditions.match}" at mail, rcpt, data or end`,
    );
  }
  if (conditions.perClient === true && conditions.overSessions === undefined)
    throw faultError(text, '"per client" needs sessions to count, expected "over 5 sessions per client"');
  if (conditions.perReversePath === true && conditions.times === undefined)
    throw faultError(text, '"per reverse-path" needs times to count, expected "first 2 per reverse-path"');
  return conditions;
}

/** Reads one condition into `conditions` and returns how many words it had. */
function parseCondition(text: string, into: Conditions, words: readonly string[], next: number): number {
  const word = words[next] ?? '';
  const argument = words[next + 1] ?? '';
  switch (word.toLowerCase()) {
    case 'first': {
      into.times = parseCount(argument) ?? 1;
      return parseCount(argument) === undefined ? 1 : 2;
    }
    case 'every':
      into.every = parseCount(argument) ?? refuse(text, `"every" needs a whole number, expected "every 10"`);
      return 2;
    case 'after':
      into.afterMessages =
        parseCount(argument) ?? refuse(text, `"after" needs a number, expected "after 100 messages"`);
      return words[next + 2] === 'messages' ? 3 : 2;
    case 'over':
      return parseOver(text, into, argument, words[next + 2]);
    case 'per':
      if (argument === 'client') into.perClient = true;
      else if (argument === 'reverse-path') into.perReversePath = true;
      else
        throw faultError(text, `"per ${argument}" is unknown, expected "per client" or "per reverse-path"`);
      return 2;
    default:
      parsePlainCondition(text, into, word);
      return 1;
  }
}

function parseOver(text: string, into: Conditions, limit: string, unit: string | undefined): number {
  if (unit === 'sessions' && parseCount(limit) !== undefined) {
    into.overSessions = parseCount(limit);
    return 3;
  }
  const rate = parseRate(limit);
  if (rate === undefined || rate.count > maxRateCount) {
    throw faultError(
      text,
      `"over ${limit}" is no limit, expected "over 100/s" (at most ${maxRateCount}) or "over 5 sessions"`,
    );
  }
  into.over = rate;
  return 2;
}

function parsePlainCondition(text: string, into: Conditions, word: string): void {
  if (word.endsWith('%')) {
    const percent = /^\d+(\.\d+)?%$/.test(word) ? Number(word.slice(0, -1)) : Number.NaN;
    if (!(percent <= 100)) throw faultError(text, `"${word}" is no share, expected 0% to 100%`);
    into.share = percent / 100;
  } else if (word.includes('@') || word.includes('*')) {
    into.match = word;
  } else {
    throw faultError(
      text,
      `condition "${word}" is unknown, expected a share (5%), an address (*@bad.example), first, every, over, after or per`,
    );
  }
}

function parseAction(text: string, at: FaultStage, action: string): FaultAction {
  const [, word = '', rest = ''] = /^(\S*)\s*([^]*)$/.exec(action) ?? [];
  const kind = word.toLowerCase();
  if (at === 'connect' && ofReplies.has(kind))
    throw faultError(text, `there is no reply at connect, expected "${kind}" at another stage`);
  switch (kind) {
    case 'drop':
    case 'silence':
    case 'skip':
    case 'swap':
    case 'stop-reading':
    case 'lose-rest':
      return { kind };
    case 'split': {
      const pieceBytes = rest === '' ? 1 : parseCount(rest);
      if (pieceBytes !== undefined) return { kind, pieceBytes };
      throw faultError(text, `"${rest}" is no number of octets, expected one like "split 3"`);
    }
    case 'extra':
      return parseExtra(text, rest);
    case 'drop-after-taken':
      if (at !== 'end')
        throw faultError(text, `only a message can be taken, expected "drop-after-taken" at end`);
      return { kind: 'drop-after-taken' };
    case 'delay': {
      const ms = parseDurationMs(rest);
      if (ms !== undefined && ms <= maxDelayMs) return { kind: 'delay', ms };
      throw faultError(text, `"${rest}" is no delay, expected one like "delay 200ms", at most 24h`);
    }
    case 'garbage':
      return { kind: 'garbage', bytes: Buffer.from(unescapeOctets(rest), 'latin1') };
    default:
      return parseReplyAction(text, at, action);
  }
}

/** Actions on a reply: a connection as such has none. */
const ofReplies: ReadonlySet<string> = new Set([
  'split',
  'extra',
  'skip',
  'swap',
  'stop-reading',
  'lose-rest',
]);

/** "250 ok" or "50ms 421 4.4.2 idle". */
function parseExtra(text: string, rest: string): FaultAction {
  const [, word = '', after = ''] = /^(\S*)\s*([^]*)$/.exec(rest) ?? [];
  const waitMs = parseDurationMs(word);
  const reply = parseReply(waitMs === undefined ? rest : after);
  if (reply !== undefined && (waitMs ?? 0) <= maxDelayMs)
    return { kind: 'extra', reply, waitMs: waitMs ?? 0 };
  throw faultError(
    text,
    `"${rest}" is no reply, expected one like "extra 250 ok" or "extra 50ms 421 4.4.2 idle"`,
  );
}

function parseReplyAction(text: string, at: FaultStage, action: string): FaultAction {
  if (at === 'connect' && /^[23]/.test(action)) {
    throw faultError(text, 'a connection can only be refused, expected a reply of 4yz or 5yz at connect');
  }
  const reply = parseReply(action);
  if (reply !== undefined) return { kind: 'reply', reply };
  throw faultError(
    text,
    `action "${action}" is unknown, expected a reply (450 4.2.1 try later), delay 200ms, drop, drop-after-taken, silence, garbage TEXT, split, extra REPLY, skip, swap, stop-reading or lose-rest`,
  );
}

/** A reply with its escapes resolved, lines joined by LF; undefined where it is none. */
function parseReply(written: string): string | undefined {
  const lines = Buffer.from(unescapeOctets(written), 'latin1').toString().split(/\r?\n/);
  const code = written.slice(0, 3);
  const isReply = lines.every((line, index) => {
    const separator = index === lines.length - 1 ? /^( |$)/ : /^-/;
    return line.startsWith(code) && separator.test(line.slice(3));
  });
  return /^[2-5]\d\d$/.test(code) && isReply ? lines.join('\n') : undefined;
}

/** Text with escapes as a binary string: other characters become their UTF-8 octets. */
function unescapeOctets(text: string): string {
  const named: Record<string, string> = { r: '\r', n: '\n', t: '\t', '\\': '\\' };
  const octets = Buffer.from(text).toString('latin1');
  return octets.replace(/\\(?:([rnt\\])|x([0-9a-fA-F]{2}))/g, (_all, name?: string, hex?: string) =>
    name === undefined ? String.fromCharCode(Number.parseInt(hex ?? '', 16)) : (named[name] ?? ''),
  );
}

function parseCount(text: string): number | undefined {
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}

function refuse(text: string, problem: string): never {
  throw faultError(text, problem);
}

function faultError(text: string, problem: string): PosthasteError {
  return new PosthasteError({
    code: 'ERR_SANDBOX_FAULT',
    message: `Fault "${text}" cannot be read: ${problem}.`,
    hint: 'Write it like "rcpt 5%: 450 4.2.1 mailbox busy", "end every 1000: drop" or "greeting: delay 2s".',
    exitCode: ExitCode.usage,
  });
}
