// What a session says: collects replies until they are written, and lets faults have their way with them.
import { unreachable } from '../base/invariant.ts';
import type { FaultStage } from './fault.ts';
import type { FaultPlan, Misdeed, Occasion } from './fault_plan.ts';
import type { SandboxStats } from './stats.ts';

/**
 * What the connection has to do: write `output` (a binary string, one character an octet); then, where `waitMs` is not 0,
 * read nothing for so long and call `resume`; else act on `ending`. upgrade: begin TLS and call `secure`. close: once
 * all is written. drop: likewise, without courtesies.
 */
export interface Step {
  readonly output: string;
  readonly waitMs: number;
  readonly ending: Ending;
}

export type Ending = 'open' | 'upgrade' | 'close' | 'drop';

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
  /** What a fault says in place of the next positive reply. */
  #instead: Misdeed | undefined;
  #takenMessages = 0;
  #isMute = false;
  #output = '';
  /** Where in `#output` the wait comes. */
  #waitAt = 0;
  #waitMs = 0;

  constructor(plan: FaultPlan, stats: SandboxStats, sessionNumber: number) {
    this.#plan = plan;
    this.#stats = stats;
    this.#sessionNumber = sessionNumber;
  }

  /** Whether nothing more must be read for now: the session waits, or what it says last is said. */
  isHalted(): boolean {
    return this.#waitMs > 0 || this.#isMute || this.ending !== 'open';
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
    const waitMs = this.#waitMs;
    const end = waitMs > 0 ? this.#waitAt : this.#output.length;
    const output = this.#output.slice(0, end);
    const ending = waitMs > 0 ? 'open' : this.ending;
    this.#output = waitMs > 0 ? this.#output.slice(end) : '';
    this.#waitMs = 0;
    return { output, waitMs, ending };
  }

  /** Asks the faults about a command of which nothing has taken effect yet. */
  ask(stage: FaultStage, addresses: readonly string[]): Leave {
    this.#instead = undefined;
    if (!this.#plan.concerns(stage)) return 'granted';
    const ruling = this.#plan.rule(stage, addresses, this.#describeOccasion());
    if (ruling === undefined) return 'granted';
    if (this.#waitMs === 0) this.#waitAt = this.#output.length;
    this.#waitMs += ruling.delayMs;
    return ruling.misdeed === undefined ? 'granted' : this.#misbehave(stage, ruling.misdeed);
  }

  /** Asks the faults; false: one of them has answered, and the command must have no effect. */
  mayGoOn(stage: FaultStage, addresses: readonly string[]): boolean {
    return this.ask(stage, addresses) === 'granted';
  }

  #describeOccasion(): Occasion {
    return {
      sessionNumber: this.#sessionNumber,
      takenMessages: this.#takenMessages,
      openConnections: this.#stats.openConnections,
    };
  }

  #misbehave(stage: FaultStage, misdeed: Misdeed): Leave {
    switch (misdeed.kind) {
      case 'refuse':
        this.#stats.refused[stage] += 1;
        this.#output += misdeed.text;
        if (misdeed.closes) this.ending = 'close';
        return 'refused';
      case 'garbage':
        this.#output += misdeed.text;
        return 'spoiled';
      case 'silence':
        this.#isMute = true;
        return 'spoiled';
      case 'drop':
        this.#drop();
        return 'spoiled';
      case 'reword':
      case 'drop-after-taken':
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
    if (instead === undefined) this.reply(reply);
    else if (instead.kind === 'reword') this.#output += instead.text;
    else this.#drop();
  }

  /** The positive reply to a message of so many recipients; whether it says 2yz. */
  acceptMessage(recipientCount: number): boolean {
    const instead = this.#instead;
    const acknowledged = instead === undefined || (instead.kind === 'reword' && instead.replyCode < 300);
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
    this.reply(reply);
  }

  /** Says a reply that no fault touches; it ends in CRLF. */
  reply(reply: string): void {
    this.#output += this.isEnhanced ? reply : reply.replace(/^(\d{3} )\d\.\d+\.\d+ /, '$1');
  }

  #drop(): void {
    this.#stats.dropped += 1;
    this.ending = 'drop';
  }
}
