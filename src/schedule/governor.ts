// The governor: how many sessions and how much of its rate a relay, or a lane of one, may have, by what came of it lately.
import { unreachable } from '../base/invariant.ts';
import { relayBackOffMs } from './retry.ts';
import type { GovernorSignal } from './governor_signal.ts';

/*
 * States, and what is true in each:
 *
 *   unproven   nothing has come back yet: one session, so that wrong credentials are tried once and not fifty times
 *   closed     messages flow, within `sessions` and `rateFactor`
 *   open       nothing is to be sent before `untilAt`; what was in flight may still come back and changes nothing
 *   halfOpen   `untilAt` is over: one session and one message, the probe, say whether to close or to open again
 *
 *   unproven ──opened, taken──▶ closed ◀──taken── halfOpen ◀──time── open
 *       └────────trouble──────────┴──────trouble──────┴─────────────▶ open
 *
 * Time alone leads from open to halfOpen, so that is no stored state but a question of the clock.
 *
 * In closed, AIMD: trouble halves (throttling starts over at one session), and every `growEveryMs` in which messages
 * were taken and nothing went wrong doubles the sessions up to half of what was too many, then adds one. The rate
 * factor is halved and grows by a twentieth.
 *
 * Who was merely away (down) and goes on taking messages after the probe is back: its stops are forgotten, and its sessions
 * double every `regrowEveryMs` up to what they were. Who throttled us within `forgetAfterMs` is not believed so soon.
 */

/** Why nothing is to be sent. */
export type StopReason = 'throttled' | 'down' | 'authFailed';

export interface Allowance {
  /** Over all threads. Never 0: `blockedUntil` says when nothing goes. */
  readonly sessions: number;
  /** Of the configured rate, more than 0, at most 1. */
  readonly rateFactor: number;
  /** In ms since the epoch; not later than now where something may go. */
  readonly blockedUntil: number;
  /** True where one message is to go, and no other until its outcome is noted. Tell `noteProbe`. */
  readonly isProbe: boolean;
  /** Somebody has to do something, for no patience mends this. */
  readonly alarm: 'authFailed' | undefined;
}

interface Stop {
  readonly reason: StopReason;
  readonly untilAt: number;
  /** When the probe left; undefined while none is under way. */
  readonly probedAt: number | undefined;
}

export const leastThrottledMs = 10 * 60_000;
const mostThrottledMs = 2 * 3_600_000;
const mostNamedMs = 24 * 3_600_000;
/** Three tries at 0, 21 and 42 s: no minute holds a fourth. */
const authRetryMs = 21_000;
const mostAuthRetryMs = 300_000;
/** A probe whose outcome never comes is taken for lost. */
const probeLostMs = 10 * 60_000;
const growEveryMs = 10_000;
/** Whoever has been without trouble for so long has no past. */
const forgetAfterMs = 120_000;
/** A relay that was away and has taken messages for so long again is back: the next time begins with a short stop. */
const backAfterMs = 200;
/** How often sessions grow again after a relay was merely away. */
const regrowEveryMs = 1000;
/** What was in flight together comes back together: it counts once. */
const sameTroubleMs = 5000;
const leastRateFactor = 0.05;
const lossesToStop = 3;

/** Pure: time is an argument, in ms since the epoch. One for each relay, and one for each of its lanes. */
export class Governor {
  readonly #maxSessions: number;
  #isProven = false;
  #stop: Stop | undefined;
  #sessions: number;
  /** Up to here sessions double. */
  #threshold: number;
  #rateFactor = 1;
  /** Stops in a row, with no lasting calm in between. */
  #stops = 0;
  /** Sessions lost in a row. */
  #losses = 0;
  #troubleAt = -Infinity;
  #throttledAt = -Infinity;
  /** When the last stop ended with a message taken; undefined where it was for throttling, which is remembered for longer. */
  #backAt: number | undefined;
  #grownAt = -Infinity;

  /** `maxSessions` is what is configured; there is never more. */
  constructor(maxSessions: number) {
    this.#maxSessions = maxSessions;
    this.#sessions = maxSessions;
    this.#threshold = maxSessions;
  }

  allow(now: number): Allowance {
    const stop = this.#stop;
    const isSingle = stop !== undefined || !this.#isProven;
    return {
      sessions: isSingle ? 1 : Math.max(1, Math.floor(this.#sessions)),
      rateFactor: this.#rateFactor,
      blockedUntil: stop === undefined ? 0 : endOfStop(stop),
      isProbe: stop !== undefined && now >= endOfStop(stop),
      alarm: stop?.reason === 'authFailed' ? 'authFailed' : undefined,
    };
  }

  /** The one message that `isProbe` asked for is on its way. */
  noteProbe(now: number): void {
    if (this.#stop !== undefined) this.#stop = { ...this.#stop, probedAt: now };
  }

  /** All of the probe's outcomes are noted; where they told nothing, such as for an invalid row, another one may go. */
  noteProbeEnded(): void {
    if (this.#stop !== undefined) this.#stop = { ...this.#stop, probedAt: undefined };
  }

  note(signal: GovernorSignal, now: number): void {
    switch (signal.kind) {
      case 'opened':
        this.#isProven = true;
        if (this.#stop?.reason === 'authFailed' && now >= this.#stop.untilAt) this.#close(now);
        return;
      case 'taken':
        return this.#noteTaken(now);
      case 'crowded':
        if (this.#stop !== undefined) return this.#open('down', 0, now);
        return this.#shrink(now);
      case 'sessionLost':
        this.#losses += 1;
        if (this.#losses >= lossesToStop || this.#stop !== undefined) this.#open('down', 0, now);
        return;
      case 'down':
      case 'authFailed':
        return this.#open(signal.kind, 0, now);
      case 'throttled':
        return this.#open('throttled', Math.min(signal.namedDelayMs ?? 0, mostNamedMs), now);
      default:
        return unreachable(signal);
    }
  }

  #noteTaken(now: number): void {
    if (this.#stop !== undefined && now < this.#stop.untilAt) return;
    this.#isProven = true;
    this.#losses = 0;
    if (this.#stop !== undefined) this.#close(now);
    if (now - this.#troubleAt >= forgetAfterMs || this.#isBack(now)) this.#stops = 0;
    // Steps are counted in time and not in messages: a thousand a second must not grow a thousand times as fast.
    const everyMs = this.#backAt === undefined ? growEveryMs : regrowEveryMs;
    if (now - Math.max(this.#grownAt, this.#troubleAt) < everyMs) return;
    this.#grownAt = now;
    const grown =
      this.#sessions < this.#threshold ? Math.min(this.#sessions * 2, this.#threshold) : this.#sessions + 1;
    this.#sessions = Math.min(grown, this.#maxSessions);
    this.#rateFactor = Math.min(1, this.#rateFactor + 0.05);
  }

  /** The probe was taken. Calm is counted from now on: a flapping relay is left alone for longer each time. */
  #close(now: number): void {
    const mayForget = this.#stop?.reason === 'down' && now - this.#throttledAt >= forgetAfterMs;
    this.#backAt = mayForget ? now : undefined;
    this.#stop = undefined;
    this.#troubleAt = now;
  }

  #isBack(now: number): boolean {
    return this.#backAt !== undefined && now - this.#backAt >= backAfterMs;
  }

  /** Too many sessions, but it works. */
  #shrink(now: number): void {
    if (this.#stop !== undefined || now - this.#troubleAt < sameTroubleMs) return;
    this.#troubleAt = now;
    this.#threshold = Math.max(1, this.#sessions / 2);
    this.#sessions = this.#threshold;
  }

  #open(reason: StopReason, namedMs: number, now: number): void {
    const known = this.#stop;
    if (known !== undefined && now < known.untilAt) return this.#openWider(known, reason, namedMs, now);
    const untilAt = now + Math.max(delayOf(reason, this.#stops), namedMs);
    this.#stops += 1;
    this.#losses = 0;
    if (known === undefined && reason === 'throttled') this.#threshold = Math.max(1, this.#sessions / 2);
    this.#sessions = 1;
    if (reason === 'throttled') this.#slowDown(now);
    this.#troubleAt = now;
    this.#stop = { reason, untilAt, probedAt: undefined };
  }

  /** Batches that were out together come back together: what they tell alike counts once, and what is worse counts. */
  #openWider(known: Stop, reason: StopReason, namedMs: number, now: number): void {
    const isWorse = rank(reason) > rank(known.reason);
    if (isWorse && reason === 'throttled') this.#slowDown(now);
    const delayMs = isWorse ? Math.max(delayOf(reason, this.#stops - 1), namedMs) : namedMs;
    const untilAt = Math.max(known.untilAt, now + delayMs);
    this.#stop = { reason: isWorse ? reason : known.reason, untilAt, probedAt: undefined };
  }

  #slowDown(now: number): void {
    this.#throttledAt = now;
    this.#rateFactor = Math.max(leastRateFactor, this.#rateFactor / 2);
  }
}

/** How long to stop after `stops` stops in a row. */
function delayOf(reason: StopReason, stops: number): number {
  switch (reason) {
    case 'down':
      return relayBackOffMs(stops + 1);
    case 'throttled':
      return Math.min(leastThrottledMs * 2 ** stops, mostThrottledMs);
    case 'authFailed':
      return Math.min(authRetryMs * 2 ** Math.max(0, stops - 2), mostAuthRetryMs);
    default:
      return unreachable(reason);
  }
}

/** While a probe is under way, nothing else goes. */
function endOfStop({ untilAt, probedAt }: Stop): number {
  return probedAt === undefined ? untilAt : probedAt + probeLostMs;
}

function rank(reason: StopReason): number {
  return reason === 'authFailed' ? 2 : reason === 'throttled' ? 1 : 0;
}
