// Decides which faults strike: given a stage, its addresses and the session, what happens instead of the usual.
import { unreachable } from '../base/invariant.ts';
import { type Fault, type FaultAction, type FaultStage, hasAddress } from './fault.ts';

/** What a plan may know of a session. */
export interface Occasion {
  /** 1 for the first session of the sandbox. */
  readonly sessionNumber: number;
  /** Messages of this session that were taken. */
  readonly takenMessages: number;
  /** Connections open now, this one included. */
  readonly openConnections: number;
  /** Those of them that come from this one's IP address. */
  readonly openFromClient: number;
  /** Of the transaction; '' where there is none. */
  readonly reversePath: string;
}

/** A fault's action with everything parsed; text is a binary string, one character an octet, CRLFs included. */
export type Misdeed =
  | { readonly kind: 'refuse'; readonly text: string; readonly closes: boolean }
  | { readonly kind: 'reword'; readonly text: string; readonly replyCode: number }
  | { readonly kind: 'garbage'; readonly text: string }
  | { readonly kind: 'drop' }
  | { readonly kind: 'drop-after-taken' }
  | { readonly kind: 'silence' }
  | { readonly kind: 'extra'; readonly text: string; readonly waitMs: number; readonly closes: boolean }
  | { readonly kind: 'skip' }
  | { readonly kind: 'swap' }
  | { readonly kind: 'stop-reading' }
  | { readonly kind: 'lose-rest' };

/** What the faults make of one command: a delay, a split, a misdeed, or several of them. */
export interface Ruling {
  readonly delayMs: number;
  /** 0: the reply is not split. */
  readonly pieceBytes: number;
  readonly misdeed: Misdeed | undefined;
}

/** The faults of a sandbox with their counters. Memory grows with the addresses that `times` has to remember. */
export class FaultPlan {
  readonly #byStage = new Map<FaultStage, StandingFault[]>();

  /** `nowMs` is a monotonic clock; `seed` decides who is in a share. */
  constructor(faults: readonly Fault[], seed: number, nowMs: () => number) {
    for (const [index, fault] of faults.entries()) {
      const others = this.#byStage.get(fault.at) ?? [];
      this.#byStage.set(fault.at, [...others, new StandingFault(fault, seed + index, nowMs)]);
    }
  }

  /** Whether any fault is at this stage. The common "no" costs one look-up a command. */
  concerns(stage: FaultStage): boolean {
    return this.#byStage.has(stage);
  }

  /** Asks the faults of a stage in their order: delays add up, splits go along, the first other one that strikes decides. */
  rule(stage: FaultStage, addresses: readonly string[], occasion: Occasion): Ruling | undefined {
    let delayMs = 0;
    let pieceBytes = 0;
    for (const one of this.#byStage.get(stage) ?? []) {
      if (!one.strikes(addresses, occasion)) continue;
      const { action } = one.fault;
      if (action.kind === 'delay') delayMs += action.ms;
      else if (action.kind === 'split') ({ pieceBytes } = action);
      else return { delayMs, pieceBytes, misdeed: one.misdeed };
    }
    return delayMs > 0 || pieceBytes > 0 ? { delayMs, pieceBytes, misdeed: undefined } : undefined;
  }
}

class StandingFault {
  readonly fault: Fault;
  readonly misdeed: Misdeed | undefined;
  readonly #salt: number;
  readonly #pattern: Pattern | undefined;
  readonly #window: SlidingWindow | undefined;
  #eligible = 0;
  /** How often it struck, by address. */
  readonly #strikes = new Map<string, number>();

  constructor(fault: Fault, salt: number, nowMs: () => number) {
    this.fault = fault;
    this.misdeed = toMisdeed(fault.action);
    this.#salt = salt;
    this.#pattern = fault.match === undefined ? undefined : compilePattern(fault.match);
    this.#window = fault.over === undefined ? undefined : new SlidingWindow(fault.over, nowMs);
  }

  strikes(addresses: readonly string[], occasion: Occasion): boolean {
    const { share, every, overSessions, perClient, afterMessages } = this.fault;
    const open = perClient === true ? occasion.openFromClient : occasion.openConnections;
    const subject = this.#findSubject(addresses);
    if (subject === undefined) return false;
    if (overSessions !== undefined && open <= overSessions) return false;
    if (afterMessages !== undefined && occasion.takenMessages < afterMessages) return false;
    const drawn = hasAddress(this.fault.at) ? subject : String(occasion.sessionNumber);
    if (share !== undefined && hashToUnit(drawn, this.#salt) >= share) return false;
    this.#eligible += 1;
    if (every !== undefined && this.#eligible % every !== 0) return false;
    if (this.#window?.admit() === true) return false;
    const { perReversePath } = this.fault;
    // An address holds no space outside quotes, so the pair is not another pair's.
    return this.#countStrike(
      perReversePath === true ? `${occasion.reversePath.toLowerCase()} ${subject}` : subject,
    );
  }

  /** The address that the conditions speak of, in lower case; '' where there is none and none is asked for. */
  #findSubject(addresses: readonly string[]): string | undefined {
    const pattern = this.#pattern;
    if (pattern === undefined) return addresses[0]?.toLowerCase() ?? '';
    return addresses.map((one) => one.toLowerCase()).find((one) => matches(pattern, one));
  }

  #countStrike(subject: string): boolean {
    const { times } = this.fault;
    if (times === undefined) return true;
    const before = this.#strikes.get(subject) ?? 0;
    if (before >= times) return false;
    this.#strikes.set(subject, before + 1);
    return true;
  }
}

function toMisdeed(action: FaultAction): Misdeed | undefined {
  switch (action.kind) {
    case 'delay':
    case 'split':
      return undefined;
    case 'extra': {
      const text = toOctets(action.reply);
      return { kind: 'extra', text, waitMs: action.waitMs, closes: text.startsWith('421') };
    }
    case 'reply': {
      const text = toOctets(action.reply);
      const replyCode = Number(text.slice(0, 3));
      if (replyCode < 400) return { kind: 'reword', text, replyCode };
      return { kind: 'refuse', text, closes: replyCode === 421 };
    }
    case 'garbage':
      return { kind: 'garbage', text: Buffer.from(action.bytes).toString('latin1') };
    case 'drop':
    case 'drop-after-taken':
    case 'silence':
    case 'skip':
    case 'swap':
    case 'stop-reading':
    case 'lose-rest':
      return { kind: action.kind };
    default:
      return unreachable(action);
  }
}

function toOctets(reply: string): string {
  return `${Buffer.from(reply.replace(/\r?\n/g, '\r\n')).toString('latin1')}\r\n`;
}

/** Lets `count` through in every span of `perMs`, exactly: remembers when the last `count` went through. */
class SlidingWindow {
  readonly #admittedAt: Float64Array;
  readonly #perMs: number;
  readonly #nowMs: () => number;
  #next = 0;

  constructor(rate: { readonly count: number; readonly perMs: number }, nowMs: () => number) {
    this.#admittedAt = new Float64Array(rate.count).fill(-Infinity);
    this.#perMs = rate.perMs;
    this.#nowMs = nowMs;
  }

  /** True, and counted, where one more fits into the window that ends now. */
  admit(): boolean {
    const nowMs = this.#nowMs();
    const oldestAt = this.#admittedAt[this.#next] ?? -Infinity;
    if (nowMs - oldestAt < this.#perMs) return false;
    this.#admittedAt[this.#next] = nowMs;
    this.#next = (this.#next + 1) % this.#admittedAt.length;
    return true;
  }
}

/** The literal pieces between the stars; `isPart` where there was no star. */
interface Pattern {
  readonly isPart: boolean;
  readonly pieces: readonly string[];
}

function compilePattern(match: string): Pattern {
  return { isPart: !match.includes('*'), pieces: match.toLowerCase().split('*') };
}

/** Matches greedily from the left, which is enough for stars: linear, no backtracking. */
function matches(pattern: Pattern, address: string): boolean {
  const first = pattern.pieces[0] ?? '';
  if (pattern.isPart) return address.includes(first);
  const last = pattern.pieces.at(-1) ?? '';
  if (!address.startsWith(first)) return false;
  let at = first.length;
  for (const piece of pattern.pieces.slice(1, -1)) {
    const found = address.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return address.endsWith(last) && address.length - last.length >= at;
}

/** FNV-1a with a final mix (murmur3's), as a number in [0, 1). */
function hashToUnit(text: string, salt: number): number {
  let hash = 0x811c9dc5 ^ Math.imul(salt + 1, 0x9e3779b1);
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 4294967296;
}
