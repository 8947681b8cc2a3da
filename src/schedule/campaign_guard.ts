// The campaign guard: when to pause a campaign, for what meets its messages would meet the rest of the list, too.
import type { Outcome } from '../mail/outcome.ts';
import { concernsCampaign, type Verdict } from '../mail/verdict.ts';
import { ShareWindow } from './share_window.ts';

/** A share of the last `of`; 0.2 is 20 %. */
export interface ShareLimit {
  readonly share: number;
  readonly of: number;
}

export interface GuardRules {
  /** Refusals of the sender in a row within one lane: unauthenticated mail, DMARC, a reverse-path that is not accepted. */
  readonly senderRefusalsInARow: number;
  /** The same, mixed with other outcomes and over all lanes. */
  readonly senderRefusals: ShareLimit;
  /** Of recipients who were accepted or rejected. */
  readonly rejected?: ShareLimit | undefined;
  /** Complaints among accepted messages. */
  readonly complaints?: ShareLimit | undefined;
}

/** Why a campaign is paused; `text` is for people, the verdict is of the reply that was one too many. */
export interface GuardPause {
  readonly kind: 'senderRefused' | 'rejected' | 'complaints' | 'threadsDied';
  readonly text: string;
  /** Undefined where no reply is to blame. */
  readonly verdict: Verdict | undefined;
}

/** More lanes than this in trouble at once are no longer told apart; the share over all of them still counts. */
const mostLanes = 10_000;

/** What came of one campaign lately. It says "pause" once; `reset` when somebody resumes. */
export class CampaignGuard {
  readonly #rules: GuardRules;
  /** Refusals of the sender in a row, by lane; no entry is none. */
  readonly #inARow = new Map<string, number>();
  readonly #senderRefusals: ShareWindow;
  readonly #rejected: ShareWindow | undefined;
  readonly #complaints: ShareWindow | undefined;
  #isPaused = false;

  constructor(rules: GuardRules) {
    this.#rules = rules;
    this.#senderRefusals = new ShareWindow(rules.senderRefusals.of);
    this.#rejected = rules.rejected === undefined ? undefined : new ShareWindow(rules.rejected.of);
    this.#complaints = rules.complaints === undefined ? undefined : new ShareWindow(rules.complaints.of);
  }

  /** Notes what a batch of this lane came to; what never left us counts for nothing. */
  note(lane: string, outcomes: readonly Outcome[]): GuardPause | undefined {
    let pause: GuardPause | undefined;
    for (const { kind, verdict } of outcomes) {
      const isOnlySent = kind === 'accepted' || kind === 'rejected';
      if (!isOnlySent && kind !== 'deferred' && !concernsCampaign(verdict)) continue;
      pause ??= this.#noteSender(lane, verdict);
      if (isOnlySent) pause ??= this.#noteRejected(kind === 'rejected', verdict);
      if (kind === 'accepted') this.#complaints?.add(false);
    }
    return this.#pauseOnce(pause);
  }

  /** Somebody complained of a message that was accepted. */
  noteComplaint(): GuardPause | undefined {
    const { complaints } = this.#rules;
    // It takes the place of an acceptance, which has been noted before.
    this.#complaints?.add(true);
    if (complaints === undefined || this.#complaints?.isAbove(complaints.share) !== true) return undefined;
    const text = `${this.#complaints.marked} complaints among the last ${complaints.of} accepted messages`;
    return this.#pauseOnce({ kind: 'complaints', text, verdict: undefined });
  }

  /** Begins anew: what led to the pause does not lead to the next. */
  reset(): void {
    this.#isPaused = false;
    this.#inARow.clear();
    for (const window of [this.#senderRefusals, this.#rejected, this.#complaints]) window?.clear();
  }

  #noteSender(lane: string, verdict: Verdict): GuardPause | undefined {
    const { senderRefusalsInARow, senderRefusals } = this.#rules;
    const isRefusal = concernsCampaign(verdict);
    this.#senderRefusals.add(isRefusal);
    if (!isRefusal) {
      this.#inARow.delete(lane);
      return undefined;
    }
    const inARow = (this.#inARow.get(lane) ?? 0) + 1;
    if (inARow > 1 || this.#inARow.size < mostLanes) this.#inARow.set(lane, inARow);
    const isAbove = this.#senderRefusals.isAbove(senderRefusals.share);
    if (inARow < senderRefusalsInARow && !isAbove) return undefined;
    const who =
      inARow >= senderRefusalsInARow
        ? `${inARow} messages in a row`
        : `${this.#senderRefusals.marked} of the last ${senderRefusals.of} messages`;
    const why = verdict.replyCode === 0 ? 'by a limit of ours' : 'for the sender’s sake';
    const text = `${who} were refused ${why}: ${verdict.text}`;
    return { kind: 'senderRefused', text, verdict };
  }

  #noteRejected(isRejected: boolean, verdict: Verdict): GuardPause | undefined {
    const { rejected } = this.#rules;
    if (rejected === undefined || this.#rejected === undefined) return undefined;
    this.#rejected.add(isRejected);
    if (!this.#rejected.isAbove(rejected.share)) return undefined;
    const text = `${this.#rejected.marked} of the last ${rejected.of} recipients were rejected; the last: ${verdict.text}`;
    return { kind: 'rejected', text, verdict };
  }

  #pauseOnce(pause: GuardPause | undefined): GuardPause | undefined {
    if (this.#isPaused || pause === undefined) return undefined;
    this.#isPaused = true;
    return pause;
  }
}
