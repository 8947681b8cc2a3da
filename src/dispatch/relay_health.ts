// The health of a relay as the reports of its batches show it: how long to leave it alone, and when to give it up.
import type { Outcome } from '../mail/outcome.ts';
import type { Verdict } from '../mail/verdict.ts';
import { relayBackOffMs } from '../schedule/retry.ts';
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

/** Pure: time is an argument, in ms since the epoch. */
export class RelayHealth {
  #failures = 0;
  #proven = false;
  #blockedUntil = 0;

  /** Nothing is to be given to the relay before. */
  get blockedUntil(): number {
    return this.#blockedUntil;
  }

  note(report: BatchReport, now: number): HealthChange {
    const answered = report.outcomes.find(wasAnswered);
    const refused = report.outcomes.find((one) => one.kind === 'unsent' && one.verdict.scope === 'relay');
    // A session's trouble, such as a limit per session, is over with the session; unless nothing ever gets through.
    const stuck = answered === undefined && report.outcomes.some(wasSentBack);
    // It takes messages, though in between it may refuse a session: it is there, and trying on is not pointless.
    if (answered !== undefined) this.#proven = true;
    const recovered = answered !== undefined && refused === undefined ? this.#recover(answered) : undefined;
    if (refused !== undefined || stuck) this.#backOff(now);
    const failed = report.relayFailure?.verdict ?? refused?.verdict;
    return { recovered, failed, giveUp: this.#giveUp(report.relayFailure, refused?.verdict) };
  }

  #recover(answered: Outcome): Verdict | undefined {
    const hadFailed = this.#failures > 0;
    this.#failures = 0;
    return hadFailed ? answered.verdict : undefined;
  }

  /** Batches that were out together come back together: they count once. */
  #backOff(now: number): void {
    if (now < this.#blockedUntil) return;
    this.#failures += 1;
    this.#blockedUntil = now + relayBackOffMs(this.#failures);
  }

  #giveUp(failure: HandshakeFailure | undefined, refusal: Verdict | undefined): HandshakeFailure | undefined {
    if (failure !== undefined) {
      const neverThere = !this.#proven && this.#failures >= failuresBeforeFirstSession;
      return failure.permanent || neverThere ? failure : undefined;
    }
    if (refusal === undefined || refusal.retryable) return undefined;
    const hint =
      refusal.code === 'relay-lacks-extension'
        ? 'name a relay that offers it, or take the wish out of the campaign'
        : 'the relay refuses what this account sends; ask its operator what the reply means';
    return { kind: 'failed', verdict: refusal, permanent: true, hint };
  }
}

function wasAnswered({ kind, verdict }: Outcome): boolean {
  return verdict.replyCode !== 0 && kind !== 'unsent';
}

function wasSentBack({ kind, verdict }: Outcome): boolean {
  return kind === 'unsent' && verdict.scope !== 'us';
}
