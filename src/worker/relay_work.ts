// The work of one thread for one relay: batch runs in, transactions out, as sessions ask for them.
import type { Clock } from '../base/clock.ts';
import type { Composer } from '../compose/compose.ts';
import type { CampaignPlan } from '../mail/campaign.ts';
import type { Recipient } from '../mail/recipient.ts';
import { judgeLocally, type Verdict } from '../mail/verdict.ts';
import type { Limiter } from '../schedule/limiter.ts';
import type { Signer } from '../sign/signer.ts';
import type { Settled, Transaction } from '../smtp/dialogue.ts';
import type { Extensions } from '../smtp/extensions.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { Wait, Work } from '../smtp/pool.ts';
import type { BatchRun } from './batch_run.ts';
import type { BatchReport } from './contract.ts';

/** A transaction that knows where it came from. */
export interface RowTransaction extends Transaction {
  readonly run: BatchRun;
  readonly row: number;
  /** By performance.now. */
  readonly begunAt: number;
}

/** A campaign made ready to compose. */
export interface CompiledCampaign {
  readonly plan: CampaignPlan;
  readonly composer: Composer;
  /** Undefined where no key signs for the From domain. */
  readonly signer: Signer | undefined;
}

export class RelayWork implements Work<RowTransaction> {
  readonly #limiter: Limiter;
  readonly #clock: Clock;
  readonly #compiled: (run: BatchRun) => CompiledCampaign;
  /** Oldest first; a run without waiting recipients is not in it. */
  #runs: BatchRun[] = [];

  constructor(limiter: Limiter, clock: Clock, compiled: (run: BatchRun) => CompiledCampaign) {
    this.#limiter = limiter;
    this.#clock = clock;
    this.#compiled = compiled;
  }

  get backlog(): number {
    let waiting = 0;
    for (const run of this.#runs) waiting += run.waiting;
    return waiting;
  }

  add(run: BatchRun): void {
    if (run.waiting > 0) this.#runs.push(run);
  }

  /** Pull, not push: the permit first, then the message. A run whose limits bind does not hold up the others. */
  take(extensions: Extensions): RowTransaction | Wait | undefined {
    let delayMs = Infinity;
    for (let position = 0; position < this.#runs.length;) {
      const run = this.#runs[position];
      if (run === undefined) break;
      const nowMs = this.#clock.monotonic();
      const refusal = this.#limiter.take(run.task.limits, nowMs);
      if (refusal !== undefined) {
        delayMs = Math.min(delayMs, refusal.retryAtMs - nowMs);
        position += 1;
        continue;
      }
      const recipient = run.take();
      if (run.waiting === 0) this.#runs.splice(position, 1);
      const transaction = this.#begin(run, recipient, extensions);
      if (transaction !== undefined) return transaction;
    }
    return delayMs === Infinity ? undefined : { kind: 'wait', delayMs };
  }

  settle(settled: Settled<RowTransaction>): void {
    const { run, row, begunAt } = settled.transaction;
    if (settled.verdict.replyCode !== 0) run.observe((performance.now() - begunAt) / 1000);
    run.settle(row, settled.kind, settled.verdict);
  }

  relayFailed(failure: HandshakeFailure): void {
    this.giveBack(failure.verdict, failure);
  }

  /** For the reports of all runs that are not finished, those in flight among them. */
  noteJournalFailure(failure: BatchReport['journalFailure']): void {
    for (const run of this.#runs) run.noteJournalFailure(failure);
  }

  /** Returns everything that nobody has taken. */
  giveBack(verdict: Verdict, failure?: HandshakeFailure): void {
    const runs = this.#runs;
    this.#runs = [];
    for (const run of runs) run.giveBack(verdict, failure);
  }

  /** The transaction for a recipient, or undefined where it ended before the relay saw it. */
  #begin(run: BatchRun, recipient: Recipient, extensions: Extensions): RowTransaction | undefined {
    const { plan, composer, signer } = this.#compiled(run);
    const at = this.#clock.now();
    const composed = composer.compose(recipient, at);
    if (composed.kind === 'invalid') {
      run.settle(recipient.row, 'invalid', judgeLocally('unmakeable', composed.reason));
      return undefined;
    }
    const { message } = composed;
    const content = signer === undefined ? message : signer.sign(message, at) + message;
    const sizeBytes = content.length;
    const limitBytes = extensions.sizeLimitBytes;
    // RFC 1870 §6.1: what the relay has said it will not take is not sent.
    if (limitBytes !== undefined && limitBytes > 0 && sizeBytes > limitBytes) {
      const text = `the message has ${sizeBytes} bytes, the relay takes ${limitBytes}`;
      run.settle(recipient.row, 'rejected', judgeLocally('oversize', text));
      return undefined;
    }
    const size = limitBytes === undefined ? '' : ` SIZE=${sizeBytes}`;
    return {
      mail: `MAIL FROM:<${plan.campaign.reversePath}>${size}\r\n`,
      rcpt: `RCPT TO:<${recipient.address}>\r\n`,
      content,
      run,
      row: recipient.row,
      begunAt: performance.now(),
    };
  }
}
