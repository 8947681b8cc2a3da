// The send gate: whether a campaign may send now, asked at every claim, and what becomes of batches after its deadline.
import { unpackRecipients, type Batch } from '../mail/batch.ts';
import type { Outcome } from '../mail/outcome.ts';
import { judgeLocally } from '../mail/verdict.ts';
import { sendTimeAt, type CampaignTime, type SendTime } from '../schedule/campaign_time.ts';

/** Remembers an answer for as long as it holds: windows are looked up in calendars, which is no work for each batch. */
export class SendGate {
  readonly #time: CampaignTime;
  #answer: SendTime = { kind: 'closed', opensAt: -Infinity };
  #askedAt = Infinity;

  constructor(time: CampaignTime) {
    this.#time = time;
  }

  get deadlineAt(): number | undefined {
    return this.#time.deadlineAt;
  }

  at(now: number): SendTime {
    // A wall clock may be set back.
    if (now < this.#askedAt || now >= endOf(this.#answer)) {
      this.#answer = sendTimeAt(this.#time, now);
      this.#askedAt = now;
    }
    return this.#answer;
  }
}

/** When an answer holds no longer. */
export function endOf(answer: SendTime): number {
  switch (answer.kind) {
    case 'open':
      return answer.untilAt;
    case 'closed':
      return answer.opensAt;
    case 'over':
      return Infinity;
    default:
      return answer satisfies never;
  }
}

/** The outcomes of a batch that waited until the deadline was over: nobody was tried, nobody is charged. */
export function outcomesAfterDeadline(batch: Batch, now: number): Outcome[] {
  const verdict = judgeLocally('stopped', "the campaign's deadline was over before an attempt could be made");
  return unpackRecipients(batch.payload).map(({ row }) => ({ row, kind: 'unsent', at: now, verdict }));
}
