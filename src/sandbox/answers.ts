// What a session says: collects replies until they are written, and lets faults have their way with them.
import { unreachable } from '../base/invariant.ts';
import type { FaultStage } from './fault.ts';
import type { FaultPlan, Misdeed, Occasion } from './fault_plan.ts';
import type { SandboxStats } from './stats.ts';

/**
 * What the connection has to do: write `output` (a binary string, one character an octet); then, where `waitMs` is not 0,
 * read nothing for so long and call `resume`; else act on `ending`. upgrade: begin TLS and call `secure`. close: once
 * all is written. drop: likewise, without courtesies. deaf: read nothing more, and keep it open.
 */
export interface Step {
  readonly output: string;
  readonly waitMs: number;
  readonly ending: Ending;
}

export type Ending = 'open' | 'upgrade' | 'close' | 'drop' | 'deaf';

/** Said after a wait. */
interface Later {
  waitMs: number;
  text: string;
}

/** What a fault does with the next positive reply. */
type Instead = Exclude<Misdeed, { kind: 'refuse' | 'garbage' | 'silence' | 'drop' }>;

/** Between the pieces of a reply that is split: enough for each to be a segment of its own. */
const pieceWaitMs = 1;

/** What the faults say of a command: go on; one of them refused it; one of them answered it in some other way. */
export type Leave = 'granted' | 'refused' | 'spoiled';

export class Answers {
  /** RFC 2034 §3: an enhanced status only where EHLO offered it. */
  isEnhanced = false;
  /** Set where the session is over, or TLS begins, once all is said. */
  ending: Ending = 'open';
  readonly #plan: FaultPlan;
  readonly #stats: SandboxStats;
  readonly #sessionNumber: number;
  readonly #countFromClient: () => number;
  /** What a fault says in place of the next positive reply. */
  #instead: Instead | undefined;
  #takenMessages = 0;
  #isMute = false;
  #output = '';
  /** What comes after `#output`, each part after its wait. */
  #later: Later[] = [];
  /** A reply that waits for the next one to go first. */
  #held = '';
  /** The next reply goes in pieces of so many octets; 0: whole. */
  #pieceBytes = 0;
  #losesRest = false;

  /** `countFromClient` tells how many connections its IP address has open. */
  constructor(plan: FaultPlan, stats: SandboxStats, sessionNumber: number, countFromClient: () => number) {
    this.#plan = plan;
    this.#stats = stats;
    this.#sessionNumber = sessionNumber;
    this.#countFromClient = countFromClient;
  }

  /** Whether nothing more must be read for now: the session waits, or is over. */
  isHalted(): boolean {
    return this.#later.length > 0 || this.isOver();
  }

  /** Whether what the session says last is said. */
  isOver(): boolean {
    return this.#isMute || this.ending !== 'open';
  }

  /** Whether a fault has silenced the session. */
  isMute(): boolean {
    return this.#isMute;
  }

  /** Whether a fault has other words for the reply to come. */
  isReworded(): boolean {
    return this.#instead?.kind === 'reword';
  }

  /** Hands over what was said up to the next wait, or to the end. */
  takeStep(): Step {
    const output = this.#output;
    const next = this.#later.shift();
    this.#output = next?.text ?? '';
    return { output, waitMs: next?.waitMs ?? 0, ending: next === undefined ? this.ending : 'open' };
  }

  /** Whether a fault loses what has come behind the last command; asked once. */
  takesLoss(): boolean {
    const loses = this.#losesRest;
    this.#losesRest = false;
    return loses;
  }

  /** Asks the faults about a command of which nothing has taken effect yet. */
  ask(stage: FaultStage, addresses: readonly string[], reversePath = ''): Leave {
    this.#instead = undefined;
    if (!this.#plan.concerns(stage)) return 'granted';
    const ruling = this.#plan.rule(stage, addresses, this.#describeOccasion(reversePath));
    if (ruling === undefined) return 'granted';
    if (ruling.delayMs > 0) this.#wait(ruling.delayMs);
    this.#pieceBytes = ruling.pieceBytes;
    return ruling.misdeed === undefined ? 'granted' : this.#misbehave(stage, ruling.misdeed);
  }

  /** Asks the faults; false: one of them has answered, and the command must have no effect. */
  mayGoOn(stage: FaultStage, addresses: readonly string[], reversePath = ''): boolean {
    return this.ask(stage, addresses, reversePath) === 'granted';
  }

  #describeOccasion(reversePath: string): Occasion {
    return {
      sessionNumber: this.#sessionNumber,
      takenMessages: this.#takenMessages,
      openConnections: this.#stats.openConnections,
      openFromClient: this.#countFromClient(),
      reversePath,
    };
  }

  /** Delays of one moment add up before all that is said in it. */
  #wait(waitMs: number): void {
    const last = this.#later.at(-1);
    if (last === undefined) this.#later.push({ waitMs, text: '' });
    else last.waitMs += waitMs;
  }

  #misbehave(stage: FaultStage, misdeed: Misdeed): Leave {
    switch (misdeed.kind) {
      case 'refuse':
        this.#stats.refused[stage] += 1;
        this.#say(misdeed.text);
        if (misdeed.closes) this.ending = 'close';
        return 'refused';
      case 'garbage':
        this.#say(misdeed.text);
        return 'spoiled';
      case 'silence':
        this.#isMute = true;
        return 'spoiled';
      case 'drop':
        this.#drop();
        return 'spoiled';
      case 'reword':
      case 'drop-after-taken':
      case 'skip':
      case 'swap':
      case 'extra':
      case 'stop-reading':
      case 'lose-rest':
        this.#instead = misdeed;
        return 'granted';
      default:
        return unreachable(misdeed);
    }
  }

  /** A positive reply, or what a fault put in its place. */
  accept(reply: string): void {
    const instead = this.#instead;
    this.#instead = undefined;
    switch (instead?.kind) {
      case undefined:
        return this.reply(reply);
      case 'reword':
        return this.#say(instead.text);
      case 'drop-after-taken':
        return this.#drop();
      case 'skip':
        return undefined;
      case 'swap':
        this.#held += this.#adapt(reply);
        return undefined;
      case 'extra':
        this.reply(reply);
        if (instead.waitMs > 0) this.#later.push({ waitMs: instead.waitMs, text: '' });
        this.#append(instead.text);
        if (instead.closes) this.ending = 'close';
        return undefined;
      case 'stop-reading':
        this.reply(reply);
        this.ending = 'deaf';
        return undefined;
      case 'lose-rest':
        this.#losesRest = true;
        return this.reply(reply);
      default:
        return unreachable(instead);
    }
  }

  /** The positive reply to a message of so many recipients; whether it says 2yz. */
  acceptMessage(recipientCount: number): boolean {
    const instead = this.#instead;
    const acknowledged = isAcknowledged(instead);
    this.#takenMessages += 1;
    this.#stats.taken += 1;
    this.#stats.recipients += recipientCount;
    if (acknowledged) this.#stats.accepted += 1;
    this.accept(`250 2.0.0 Taken as ${this.#sessionNumber}.${this.#takenMessages}\r\n`);
    return acknowledged;
  }

  /** A negative reply of the protocol's own. */
  refuse(stage: FaultStage, reply: string): void {
    this.#instead = undefined;
    this.#stats.refused[stage] += 1;
    // RFC 5321 §4.1.1.11: a parameter that was not offered.
    if (reply.startsWith('555')) this.#stats.violations.notOffered += 1;
    this.reply(reply);
  }

  /** Likewise, of a command that EHLO did not offer. */
  refuseUnoffered(stage: FaultStage, reply: string): void {
    this.#stats.violations.notOffered += 1;
    this.refuse(stage, reply);
  }

  /** Says a reply that no fault touches; it ends in CRLF. */
  reply(reply: string): void {
    this.#say(this.#adapt(reply));
  }

  #adapt(reply: string): string {
    return this.isEnhanced ? reply : reply.replace(/^(\d{3} )\d\.\d+\.\d+ /, '$1');
  }

  /** The one way of all replies: whole or in pieces, and what was held back behind them. */
  #say(reply: string): void {
    const text = reply + this.#held;
    const pieceBytes = this.#pieceBytes;
    this.#held = '';
    this.#pieceBytes = 0;
    if (pieceBytes === 0) return this.#append(text);
    this.#append(text.slice(0, pieceBytes));
    for (let at = pieceBytes; at < text.length; at += pieceBytes)
      this.#later.push({ waitMs: pieceWaitMs, text: text.slice(at, at + pieceBytes) });
  }

  #append(text: string): void {
    const last = this.#later.at(-1);
    if (last === undefined) this.#output += text;
    else last.text += text;
  }

  #drop(): void {
    this.#stats.dropped += 1;
    this.ending = 'drop';
  }
}

/** Whether a message that is taken with this misdeed gets a 2yz. */
function isAcknowledged(instead: Instead | undefined): boolean {
  if (instead?.kind === 'reword') return instead.replyCode < 300;
  return instead?.kind !== 'drop-after-taken' && instead?.kind !== 'skip';
}
