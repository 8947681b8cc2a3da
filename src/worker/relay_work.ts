// The work of one thread for one relay: batch runs in, transactions out, as sessions ask for them.
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/error.ts';
import type { Composer } from '../compose/compose.ts';
import { carriesUtf8, findLack, formatMail, formatRcpt, type Envelope, type Lack } from '../mail/envelope.ts';
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
  readonly envelope: Envelope;
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

  /**
   * The transaction for a recipient, or undefined where it ended before the relay saw it. What one row's data can exhaust (a string's
   * length, the stack) is the row's; anything else is a bug that would meet every row, and must end the thread and not the list.
   */
  #begin(run: BatchRun, recipient: Recipient, extensions: Extensions): RowTransaction | undefined {
    try {
      return this.#make(run, recipient, extensions);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const text = `the message cannot be made: ${messageOf(error)}`;
      run.settle(recipient.row, 'invalid', judgeLocally('unmakeable', text));
      return undefined;
    }
  }

  #make(run: BatchRun, recipient: Recipient, extensions: Extensions): RowTransaction | undefined {
    const { envelope, composer, signer } = this.#compiled(run);
    const lack = findLack(envelope, extensions);
    if (lack !== undefined) return this.#refuse(run, recipient, judgeLocally('lacking', lacks[lack]));
    const at = this.#clock.now();
    const composed = composer.compose(recipient, at);
    if (composed.kind === 'invalid') {
      run.settle(recipient.row, 'invalid', judgeLocally('unmakeable', composed.reason));
      return undefined;
    }
    const { message, isUtf8 } = composed;
    const content = signer === undefined ? message : signer.sign(message, at) + message;
    const flaw = findFlaw(content.length, isUtf8, extensions);
    if (flaw !== undefined) {
      run.settle(recipient.row, 'rejected', flaw);
      return undefined;
    }
    return {
      mail: formatMail(envelope, recipient.row, content.length, isUtf8 || envelope.isUtf8, extensions),
      rcpt: formatRcpt(envelope, recipient.address, extensions),
      content,
      run,
      row: recipient.row,
      begunAt: performance.now(),
    };
  }

  /** No recipient of this run can be sent to here, and none is to blame. */
  #refuse(run: BatchRun, recipient: Recipient, verdict: Verdict): undefined {
    this.#runs = this.#runs.filter((one) => one !== run);
    run.settle(recipient.row, 'unsent', verdict);
    run.giveBack(verdict, undefined);
  }
}

const lacks: Record<Lack, string> = {
  requireTls:
    'the campaign has requireTls, and the relay does not offer REQUIRETLS (RFC 8689) in a TLS session with a verified certificate',
  smtpUtf8:
    'an address of the campaign needs SMTPUTF8, and the relay does not offer SMTPUTF8 and 8BITMIME (RFC 6531)',
};

/** Why the relay will not take a message, by what it has offered. */
function findFlaw(sizeBytes: number, isUtf8: boolean, extensions: Extensions): Verdict | undefined {
  const limitBytes = extensions.sizeLimitBytes;
  // RFC 1870 §6.1: what the relay has said it will not take is not sent.
  if (limitBytes !== undefined && limitBytes > 0 && sizeBytes > limitBytes)
    return judgeLocally('oversize', `the message has ${sizeBytes} bytes, the relay takes ${limitBytes}`);
  // RFC 6531 §3.1 (1): without the offer such an address is never sent.
  if (isUtf8 && !carriesUtf8(extensions))
    return judgeLocally('uncarried', 'an address needs SMTPUTF8, which the relay does not offer');
  return undefined;
}
