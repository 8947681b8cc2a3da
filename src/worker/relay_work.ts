// The work of one thread for one relay: batch runs in, transactions out, as sessions ask for them.
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { Composer } from '../compose/compose.ts';
import { carriesUtf8, findLack, formatMail, formatRcpt, type Envelope, type Lack } from '../mail/envelope.ts';
import type { Recipient } from '../mail/recipient.ts';
import { concernsCampaign, judgeLocally, type Verdict } from '../mail/verdict.ts';
import { isOfLane, isThrottling } from '../schedule/governor_signal.ts';
import type { Limiter } from '../schedule/limiter.ts';
import { PermitQueue } from '../schedule/permit_queue.ts';
import type { Signer } from '../sign/signer.ts';
import type { Settled, Transaction } from '../smtp/dialogue.ts';
import type { Extensions } from '../smtp/extensions.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { Wait, Work } from '../smtp/pool.ts';
import type { BatchRun } from './batch_run.ts';
import type { BatchReport, BatchTask } from './contract.ts';

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

/** Messages of one flow in a row, where no limit binds. */
const turnLength = 8;

/** The runs that need the same permits: all of a campaign and lane. */
interface Flow {
  readonly key: string;
  readonly campaignId: number;
  /** The campaign's share among campaigns, as the batch that came last says. */
  weight: number;
  readonly limits: readonly number[];
  /** Those that are held until the message is settled. */
  readonly slots: readonly number[];
  /** Oldest first; a run without waiting recipients is not in it. */
  runs: BatchRun[];
}

/**
 * Flows take turns, so that no lane waits for another's permits; within one the oldest run is finished first, for while its last
 * recipients are under way the next one keeps the sessions busy.
 */
export class RelayWork implements Work<RowTransaction> {
  readonly #limiter: Limiter;
  readonly #clock: Clock;
  readonly #compiled: (run: BatchRun) => CompiledCampaign;
  readonly #flows = new Map<string, Flow>();
  readonly #queue: PermitQueue<Flow>;
  /** The one flow that is not in the queue, and how many more messages it may have before it is. */
  #turn: Flow | undefined;
  #turnLeft = 0;
  /** How many flows a campaign has: its share is theirs together, however many lanes it has. */
  readonly #flowCounts = new Map<number, number>();

  constructor(limiter: Limiter, clock: Clock, compiled: (run: BatchRun) => CompiledCampaign) {
    this.#limiter = limiter;
    this.#clock = clock;
    this.#compiled = compiled;
    this.#queue = new PermitQueue(
      limiter,
      (flow) => flow.limits,
      ({ weight, campaignId }) => weight / (this.#flowCounts.get(campaignId) ?? 1),
      (flow) => flow.runs.length === 0 && this.#forget(flow),
    );
  }

  get backlog(): number {
    let waiting = 0;
    for (const { runs } of this.#flows.values()) for (const run of runs) waiting += run.waiting;
    return waiting;
  }

  add(run: BatchRun): void {
    if (run.waiting === 0) return;
    const { limits, slots } = run.task;
    const key = keyOf(run.task);
    const known = this.#flows.get(key);
    if (known !== undefined) {
      known.weight = run.task.weight;
      known.runs.push(run);
      return;
    }
    const { campaignId, weight } = run.task;
    const flow = { key, campaignId, weight, limits, slots, runs: [run] };
    this.#flows.set(key, flow);
    this.#flowCounts.set(campaignId, (this.#flowCounts.get(campaignId) ?? 0) + 1);
    this.#queue.add(flow);
  }

  /** Pull, not push: the permit first, then the message. */
  take(extensions: Extensions): RowTransaction | Wait | undefined {
    for (;;) {
      const nowMs = this.#clock.monotonic();
      const flow = this.#goOn(nowMs) ?? this.#nextTurn(nowMs);
      if (flow === undefined) return this.#waitFrom(nowMs);
      const transaction = this.#takeOf(flow, extensions);
      if (transaction !== undefined) return transaction;
    }
  }

  /** The flow whose turn it is, as long as it gets its permits at once: the next message of a template that is warm is cheap. */
  #goOn(nowMs: number): Flow | undefined {
    const flow = this.#turn;
    if (flow === undefined) return undefined;
    if (flow.runs.length > 0 && this.#turnLeft > 0 && this.#limiter.take(flow.limits, nowMs) === undefined) {
      this.#turnLeft -= 1;
      this.#queue.charge(flow);
      return flow;
    }
    this.#turn = undefined;
    this.#queue.add(flow);
    return undefined;
  }

  #nextTurn(nowMs: number): Flow | undefined {
    this.#turnLeft = turnLength - 1;
    return this.#queue.take(nowMs);
  }

  #waitFrom(nowMs: number): Wait | undefined {
    const { nextAtMs } = this.#queue;
    return nextAtMs === Infinity ? undefined : { kind: 'wait', delayMs: nextAtMs - nowMs };
  }

  /** The next recipient of a flow that has its permits; what it does not need of them it gives back. */
  #takeOf(flow: Flow, extensions: Extensions): RowTransaction | undefined {
    const [run] = flow.runs;
    invariant(run !== undefined, 'a permit was taken for nobody');
    const recipient = run.take();
    if (run.waiting === 0) flow.runs.shift();
    const transaction = this.#begin(run, recipient, extensions);
    if (flow.runs.length > 0) this.#turn = flow;
    else this.#forget(flow);
    if (transaction === undefined) this.#release(flow.slots);
    return transaction;
  }

  #forget(flow: Flow): true {
    const { key, campaignId } = flow;
    if (this.#turn === flow) this.#turn = undefined;
    this.#flows.delete(key);
    const left = (this.#flowCounts.get(campaignId) ?? 1) - 1;
    if (left > 0) this.#flowCounts.set(campaignId, left);
    else this.#flowCounts.delete(campaignId);
    return true;
  }

  settle(settled: Settled<RowTransaction>): void {
    const { run, row, begunAt } = settled.transaction;
    if (settled.verdict.replyCode !== 0)
      run.observe(settled.verdict.stage, (performance.now() - begunAt) / 1000);
    this.#release(run.task.slots);
    run.settle(row, settled.kind, settled.verdict);
    if (settled.kind === 'accepted') run.senderRefusals = 0;
    else this.#spareTheRest(run, settled.verdict);
  }

  /** What met one would meet the next: who is throttled stops at once, and not when the batch is at its end. */
  #spareTheRest(run: BatchRun, verdict: Verdict): void {
    run.senderRefusals = concernsCampaign(verdict) ? run.senderRefusals + 1 : 0;
    if (run.senderRefusals >= run.task.mostSenderRefusals)
      this.#giveBackFlow(run, judgeLocally('stopped', 'the sender is refused: nobody else was tried'));
    else if (verdict.kind === 'unsent' && isThrottling(verdict)) {
      const spared = judgeLocally('stopped', 'the relay wants a pause: nobody else was tried');
      if (isOfLane(verdict)) this.#giveBackFlow(run, spared);
      else this.giveBack(spared);
    }
  }

  /** Returns what nobody has taken of a run's flow. The flow stays where it is, for the queue has no way out but its turn. */
  #giveBackFlow(run: BatchRun, verdict: Verdict): void {
    const flow = this.#flows.get(keyOf(run.task));
    if (flow === undefined) return;
    const { runs } = flow;
    flow.runs = [];
    for (const one of runs) one.giveBack(verdict, undefined);
  }

  #release(slots: readonly number[]): void {
    if (slots.length > 0) this.#limiter.release(slots);
  }

  relayFailed(failure: HandshakeFailure): void {
    this.giveBack(failure.verdict, failure);
  }

  /** For the reports of all runs that are not finished, those in flight among them. */
  noteJournalFailure(failure: BatchReport['journalFailure']): void {
    for (const run of this.#allRuns()) run.noteJournalFailure(failure);
  }

  /** Returns everything that nobody has taken. */
  giveBack(verdict: Verdict, failure?: HandshakeFailure): void {
    const runs = this.#allRuns();
    this.#flows.clear();
    this.#flowCounts.clear();
    this.#queue.clear();
    this.#turn = undefined;
    for (const run of runs) run.giveBack(verdict, failure);
  }

  /** Returns what nobody has taken of some batches. Their flows stay in the queue, which has no way out but their turn. */
  giveBackSome(isMeant: (task: BatchTask) => boolean, verdict: Verdict): void {
    this.#giveBackRuns(({ task }) => isMeant(task), verdict);
  }

  #giveBackRuns(isMeant: (run: BatchRun) => boolean, verdict: Verdict): void {
    for (const flow of this.#flows.values()) {
      const meant = flow.runs.filter(isMeant);
      if (meant.length === 0) continue;
      flow.runs = flow.runs.filter((run) => !isMeant(run));
      for (const run of meant) run.giveBack(verdict, undefined);
    }
  }

  /**
   * Returns what cannot go soon, so that others have its place and nobody waits for its report: batches whose limits grant
   * nothing for as long as they may wait, and those that are here for longer than `mostAgeMs`. In ms.
   */
  giveBackLate(mostWaitMs: number, mostAgeMs: number): void {
    const nowMs = this.#clock.monotonic();
    for (const { dueAtMs, items } of this.#queue.waiting()) {
      const forMs = dueAtMs - nowMs;
      for (const flow of items) this.#giveBackHeld(flow, forMs, mostWaitMs);
    }
    const begunBefore = performance.now() - mostAgeMs;
    this.#giveBackRuns(({ begunAt }) => begunAt < begunBefore, tooLong);
  }

  #giveBackHeld(flow: Flow, forMs: number, mostWaitMs: number): void {
    const meant = flow.runs.filter(({ task }) => forMs > Math.min(task.mostWaitMs, mostWaitMs));
    if (meant.length === 0) return;
    flow.runs = flow.runs.filter((run) => !meant.includes(run));
    for (const run of meant) {
      if (Number.isFinite(forMs)) run.noteHeld(forMs);
      run.giveBack(held, undefined);
    }
  }

  #allRuns(): BatchRun[] {
    return [...this.#flows.values()].flatMap(({ runs }) => runs);
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
    const begunAt = performance.now();
    const composed = composer.compose(recipient, at);
    if (composed.kind === 'invalid') {
      run.settle(recipient.row, 'invalid', judgeLocally('unmakeable', composed.reason));
      return undefined;
    }
    const { message, isUtf8 } = composed;
    const content = signer === undefined ? message : signer.sign(message, at) + message;
    const composedAt = performance.now();
    run.observeComposing((composedAt - begunAt) / 1000);
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
      begunAt: composedAt,
    };
  }

  /** No recipient of this run can be sent to here, and none is to blame. */
  #refuse(run: BatchRun, recipient: Recipient, verdict: Verdict): undefined {
    // Its flow is being taken from, and is not in the queue.
    const flow = this.#flows.get(keyOf(run.task));
    if (flow !== undefined) flow.runs = flow.runs.filter((one) => one !== run);
    run.settle(recipient.row, 'unsent', verdict);
    run.giveBack(verdict, undefined);
  }
}

const held = judgeLocally('stopped', 'its limits grant nothing for now: called back untried');
const tooLong = judgeLocally('stopped', 'its batch was under way for too long: called back untried');

/** Lanes of a campaign that need the same permits are one flow. */
function keyOf({ campaignId, limits }: BatchTask): string {
  return `${campaignId}:${limits.join()}`;
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
