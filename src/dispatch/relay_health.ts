// The health of a relay as the reports of its batches show it: how much it may have now, and when it is given up.
import type { Outcome } from '../mail/outcome.ts';
import type { Stage, Verdict } from '../mail/verdict.ts';
import { Governor } from '../schedule/governor.ts';
import { signalOf, type GovernorSignal } from '../schedule/governor_signal.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { BatchReport } from '../worker/contract.ts';

/** What a report changes. */
export interface HealthChange {
  /** The relay, which had failed, takes messages again; the verdict is of the reply that showed it. */
  readonly recovered?: Verdict | undefined;
  /** The relay is in trouble. */
  readonly failed?: Verdict | undefined;
  /** Trying on is pointless: no patience mends this. */
  readonly giveUp?: HandshakeFailure | undefined;
}

/** A relay that never took a session in this run is given up after this many failures. */
const failuresBeforeFirstSession = 3;
/** Credentials that were good may be refused for a while; three times a minute at most, and not for ever. */
const authFailuresInARow = 5;

/** What of a report is the relay's affair: all, or what no lane is to blame for. */
export type RelayReport = Pick<BatchReport, 'outcomes' | 'relayFailure'>;

/** Pure: time is an argument, in ms since the epoch. */
export class RelayHealth {
  readonly #governor: Governor;
  readonly #maxSessions: number;
  /** It has taken a session in this run. */
  #isOpened = false;
  /** It has answered for a message in this run. */
  #isProven = false;
  /** Stops since it last took messages. */
  #failures = 0;
  #authFailures = 0;

  constructor(maxSessions: number) {
    this.#governor = new Governor(maxSessions);
    this.#maxSessions = maxSessions;
  }

  /** Nothing is to be given to the relay before. */
  get blockedUntil(): number {
    return this.#governor.allow(0).blockedUntil;
  }

  /** Whether it is not known yet that the relay takes sessions. */
  get isUnmet(): boolean {
    return !this.#isOpened;
  }

  /** Of its configured rate, at most 1. */
  get rateFactor(): number {
    return this.#governor.allow(0).rateFactor;
  }

  /** How many sessions it may have, over all threads. A relay that nobody has met is asked for one by each thread anyway. */
  get sessions(): number {
    const { sessions, blockedUntil } = this.#governor.allow(0);
    return this.#isOpened || blockedUntil > 0 ? sessions : this.#maxSessions;
  }

  /**
   * How many batches may be in hand. As long as nobody has met the relay, and after a stop, one thread asks; with fewer sessions
   * than threads, so many threads.
   */
  mostInHand(now: number, threads: number): number {
    const { sessions, blockedUntil, isProbe } = this.#governor.allow(now);
    if (now < blockedUntil) return 0;
    if (isProbe) return 1;
    if (threads === 1) return Infinity;
    return sessions < threads ? sessions : Infinity;
  }

  /** Whether it has stopped, and one batch is to tell whether it goes on. */
  isProbed(now: number): boolean {
    return this.#governor.allow(now).isProbe;
  }

  /** A session is open. */
  noteOpened(now: number): void {
    this.#isOpened = true;
    this.#governor.note({ kind: 'opened' }, now);
  }

  note(report: RelayReport, now: number): HealthChange {
    const answered = report.outcomes.find(wasAnswered);
    const refused = report.outcomes.find((one) => one.kind === 'unsent' && one.verdict.scope === 'relay');
    // It takes messages, though in between it may refuse a session: it is there, and trying on is not pointless.
    if (answered !== undefined) {
      this.#isOpened = true;
      this.#isProven = true;
    }
    this.#govern(report, answered !== undefined, now);
    const recovered = answered !== undefined && refused === undefined ? this.#recover(answered) : undefined;
    const failed = report.relayFailure?.verdict ?? refused?.verdict;
    return { recovered, failed, giveUp: this.#giveUp(report.relayFailure, refused?.verdict) };
  }

  #govern({ outcomes }: RelayReport, isAnswered: boolean, now: number): void {
    const before = this.blockedUntil;
    let last: Heard = { kind: undefined, at: 0 };
    for (const { verdict, at } of outcomes) {
      const signal = isOneMessage(verdict) ? oneLost : signalOf(verdict);
      if (signal === undefined) continue;
      if (!isSame(last, signal, at)) this.#governor.note(signal, now);
      last = { kind: signal.kind, at };
    }
    // A session's trouble, such as a limit per session, is over with the session; unless nothing ever gets through.
    if (!isAnswered && outcomes.some(wasSentBack) && this.blockedUntil <= now)
      this.#governor.note({ kind: 'down' }, now);
    // Batches that were out together come back together: they count once.
    if (before <= now && this.blockedUntil > now) this.#countStop();
  }

  #countStop(): void {
    this.#failures += 1;
    this.#authFailures = this.#governor.allow(0).alarm === 'authFailed' ? this.#authFailures + 1 : 0;
  }

  #recover(answered: Outcome): Verdict | undefined {
    const hadFailed = this.#failures > 0;
    this.#failures = 0;
    this.#authFailures = 0;
    return hadFailed ? answered.verdict : undefined;
  }

  #giveUp(failure: HandshakeFailure | undefined, refusal: Verdict | undefined): HandshakeFailure | undefined {
    if (failure !== undefined) return this.#isHopeless(failure) ? failure : undefined;
    if (refusal === undefined || refusal.retryable) return undefined;
    const hint =
      refusal.code === 'relay-lacks-extension'
        ? 'name a relay that offers it, or take the wish out of the campaign'
        : 'the relay refuses what this account sends; ask its operator what the reply means';
    return { kind: 'failed', verdict: refusal, permanent: true, hint };
  }

  #isHopeless({ permanent, verdict }: HandshakeFailure): boolean {
    if (!this.#isProven) return permanent || this.#failures >= failuresBeforeFirstSession;
    if (verdict.category === 'relay-auth') return this.#authFailures >= authFailuresInARow;
    return permanent;
  }
}

/** The last thing heard of a relay. */
interface Heard {
  readonly kind: GovernorSignal['kind'] | undefined;
  readonly at: number;
}

/** What was on the wire of a session comes back together when it breaks. */
const togetherMs = 5;

/** Most of a report tells the same, and the governor counts in time and not in messages. */
function isSame(last: Heard, { kind }: GovernorSignal, at: number): boolean {
  if (kind !== last.kind) return false;
  return kind === 'taken' || (kind === 'sessionLost' && at - last.at <= togetherMs);
}

const oneLost: GovernorSignal = { kind: 'sessionLost' };

/** A relay that takes the next message, or the next session, is not down: three such in a row count as much. */
function isOneMessage(verdict: Verdict): boolean {
  return inTransaction.has(verdict.stage) && signalOf(verdict)?.kind === 'down';
}

const inTransaction: ReadonlySet<Stage> = new Set(['mail', 'rcpt', 'data', 'end']);

function wasAnswered({ kind, verdict }: Outcome): boolean {
  return verdict.replyCode !== 0 && kind !== 'unsent';
}

function wasSentBack({ kind, verdict }: Outcome): boolean {
  return kind === 'unsent' && verdict.scope !== 'us';
}
