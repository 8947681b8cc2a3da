// Reply marks: what the positive replies of each stage look like on one session, to notice that they are out of step.
import type { Reply } from '../mail/reply.ts';

type Marked = 'reset' | 'mail' | 'rcpt' | 'end';

const stages: readonly Marked[] = ['reset', 'mail', 'rcpt', 'end'];

/**
 * The first positive reply of a stage is its mark: the enhanced status, or the text where there is none. RFC 2920 §3.1
 * forbids to match replies and commands by it, and nothing is: a mark only ever makes a session distrusted. Relays that
 * answer all stages alike, or each recipient in other words, are not.
 */
export class ReplyMarks {
  readonly #marks: Record<Marked, string | undefined> = {
    reset: undefined,
    mail: undefined,
    rcpt: undefined,
    end: undefined,
  };

  /** True where neighbours on the wire look different: until then, and with a relay that answers all alike, nothing would show. */
  get discern(): boolean {
    const { mail, rcpt, end } = this.#marks;
    return mail !== undefined && end !== undefined && mail !== rcpt && rcpt !== end;
  }

  /** Takes a positive reply; false where it looks like another stage's, and this stage's looked otherwise. */
  fits(stage: Marked, reply: Reply): boolean {
    const mark = reply.enhancedStatus ?? reply.text;
    const own = this.#marks[stage];
    if (own === undefined) this.#marks[stage] = mark;
    if (own === undefined || own === mark) return true;
    return !stages.some((other) => this.#marks[other] === mark);
  }
}
