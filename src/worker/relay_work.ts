// The work of one thread for one relay: batch runs in, transactions out, as sessions ask for them.
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/error.ts';
import { invariant } from '../base/invariant.ts';
import type { Composed, Composer } from '../compose/compose.ts';
import { findLack, formatMail, formatRcpt, type Envelope } from '../mail/envelope.ts';
import type { Recipient } from '../mail/recipient.ts';
import { concernsCampaign, judgeLocally, type Verdict } from '../mail/verdict.ts';
import { isOfLane, isThrottling } from '../schedule/governor_signal.ts';
import { noLimit, type Limiter } from '../schedule/limiter.ts';
import { PermitQueue, type ItemRefusal } from '../schedule/permit_queue.ts';
import type { Signer } from '../sign/signer.ts';
import type { Settled, Transaction } from '../smtp/dialogue.ts';
import type { Extensions } from '../smtp/extensions.ts';
import type { HandshakeFailure } from '../smtp/handshake.ts';
import type { Wait, Work } from '../smtp/pool.ts';
import type { BatchRun } from './batch_run.ts';
import type { BatchReport, BatchTask, Hold } from './contract.ts';
import { HeldMessages, type MadeMessage } from './held_messages.ts';
import { findFlaw, judgeLack } from './judge_offer.ts';
import { Openings } from './openings.ts';

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

/** What may stay in a thread. */
export interface Patience {
  /** How far off the next permit may be, in ms, where a batch does not want it sooner. */
  readonly waitMs: number;
  /** How long a batch may be here. */
  readonly ageMs: number;
  /** Batches that come back at most. */
  readonly most: number;
}

/** A big message has a claim on its room for as long: who came back would lose it. */
const mostRoomWaitMs = 600_000;

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
  /** Those that count bytes. */
  readonly bytes: BatchTask['bytes'];
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
  readonly #held = new HeldMessages<Flow>();
  readonly #openings: Openings;

  constructor(limiter: Limiter, clock: Clock, compiled: (run: BatchRun) => CompiledCampaign) {
    this.#limiter = limiter;
    this.#openings = new Openings(limiter);
    this.#clock = clock;
    this.#compiled = compiled;
    this.#queue = new PermitQueue(
      limiter,
      (flow, nowMs) => this.#ask(flow, nowMs),
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
    const { limits, slots, bytes } = run.task;
    const key = keyOf(run.task);
    const known = this.#flows.get(key);
    if (known !== undefined) {
      known.weight = run.task.weight;
      known.runs.push(run);
      return;
    }
    const { campaignId, weight } = run.task;
    const flow = { key, campaignId, weight, limits, slots, bytes, runs: [run] };
    this.#flows.set(key, flow);
    this.#flowCounts.set(campaignId, (this.#flowCounts.get(campaignId) ?? 0) + 1);
    this.#queue.add(flow);
  }

  /** Pull, not push: the permit first, then the message; where bytes are limited only if it would go with any size. */
  take(extensions: Extensions): RowTransaction | Wait | undefined {
    for (;;) {
      const nowMs = this.#clock.monotonic();
      const flow = this.#goOn(nowMs) ?? this.#nextTurn(nowMs);
      if (flow === undefined) return this.#waitFrom(nowMs);
      const transaction = this.#takeOf(flow, nowMs, extensions);
      if (transaction !== undefined) return transaction;
    }
  }

  /** The flow whose turn it is, as long as it gets its permits at once: the next message of a template that is warm is cheap. */
  #goOn(nowMs: number): Flow | undefined {
    const flow = this.#turn;
    if (flow === undefined) return undefined;
    if (flow.runs.length > 0 && this.#turnLeft > 0 && this.#ask(flow, nowMs) === undefined) {
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

  limitOpening(limits: readonly number[]): void {
    this.#openings.limits = limits;
  }

  takeOpening(others: number): Wait | undefined {
    return this.#openings.take(this.#clock.monotonic(), others);
  }

  #ask(flow: Flow, nowMs: number): ItemRefusal | undefined {
    return flow.bytes.length === 0 ? this.#limiter.take(flow.limits, nowMs) : this.#askForBytes(flow, nowMs);
  }

  /** All permits at once, or none; undefined also where it turns out that no message is left to go. */
  #askForBytes(flow: Flow, nowMs: number): ItemRefusal | undefined {
    let askedAtMs = nowMs;
    for (;;) {
      let made = this.#held.find(flow, flow.runs[0], nowMs);
      if (made === undefined) {
        const refusal = this.#limiter.look(flow.limits, askedAtMs, 1);
        if (refusal !== undefined) return refusal;
        made = this.#holdNext(flow, nowMs);
        // Composing may have taken long, and the relay counts from when the message goes.
        askedAtMs = this.#clock.monotonic();
      }
      if (made === undefined) return undefined;
      const refusal = this.#limiter.take(flow.limits, askedAtMs, made.message.length);
      if (refusal === undefined) return undefined;
      if (refusal.retryAtMs !== Infinity) return { ...refusal, isOwn: refusal.limit !== noLimit };
      this.#refuseBytes(flow, made.message.length, refusal.limit);
    }
  }

  /** Composes for the next recipient for whom it can be done; undefined where there is none. */
  #holdNext(flow: Flow, nowMs: number): MadeMessage | undefined {
    for (;;) {
      const [run] = flow.runs;
      const recipient = run?.next;
      if (run === undefined || recipient === undefined) return undefined;
      const composed = this.#compose(run, recipient);
      if (composed.kind !== 'invalid') {
        this.#held.hold(flow, { run, row: recipient.row, made: composed, sinceMs: nowMs });
        return composed;
      }
      run.settle(takeNext(flow, run).row, 'invalid', judgeLocally('unmakeable', composed.reason));
    }
  }

  /** More than the limit ever lets go at once: it would wait for ever. */
  #refuseBytes(flow: Flow, sizeBytes: number, limit: number): void {
    const [run] = flow.runs;
    invariant(run !== undefined, 'a message is held of a run that is not there');
    const text = flow.bytes.find((one) => one.limit === limit)?.text ?? 'a limit of bytes';
    const verdict = judgeLocally(
      'overlimit',
      `the message has ${sizeBytes} bytes, more than "${text}" ever grants`,
    );
    run.settle(takeNext(flow, run).row, 'rejected', verdict);
    this.#spareTheRest(run, verdict);
  }

  /** The next recipient of a flow that has its permits; what it does not need of them it gives back. */
  #takeOf(flow: Flow, nowMs: number, extensions: Extensions): RowTransaction | undefined {
    const [run] = flow.runs;
    if (run === undefined) return this.#dropEmpty(flow);
    const made = flow.bytes.length === 0 ? undefined : this.#held.find(flow, run, nowMs);
    if (made !== undefined) this.#held.drop(flow);
    const transaction = this.#begin(run, takeNext(flow, run), extensions, made);
    if (flow.runs.length > 0) this.#turn = flow;
    else this.#forget(flow);
    if (transaction !== undefined) return transaction;
    this.#release(flow.slots);
    if (made !== undefined) this.#limiter.returnBytes(flow.limits, nowMs, made.message.length);
    return undefined;
  }

  #forget(flow: Flow): true {
    const { key, campaignId } = flow;
    if (this.#turn === flow) this.#turn = undefined;
    this.#held.drop(flow);
    this.#flows.delete(key);
    const left = (this.#flowCounts.get(campaignId) ?? 1) - 1;
    if (left > 0) this.#flowCounts.set(campaignId, left);
    else this.#flowCounts.delete(campaignId);
    return true;
  }

  /** Its last messages could not be made or can never go: no permit was taken. */
  #dropEmpty(flow: Flow): undefined {
    invariant(flow.bytes.length > 0, 'a permit was taken for nobody');
    this.#forget(flow);
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
    if (run.senderRefusals >= run.task.mostSenderRefusals) {
      for (const one of this.#flows.get(keyOf(run.task))?.runs ?? []) one.noteSpared();
      this.#giveBackFlow(
        run,
        judgeLocally('stopped', 'everybody else of the campaign would meet the same: nobody else was tried'),
      );
    } else if (verdict.kind === 'unsent' && isThrottling(verdict)) {
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
    this.#held.clear();
    for (const run of runs) run.giveBack(verdict, failure);
  }

  /** Returns what nobody has taken of some batches. Their flows stay in the queue, which has no way out but their turn. */
  giveBackSome(isMeant: (task: BatchTask) => boolean, verdict: Verdict): void {
    for (const flow of this.#flows.values())
      this.#giveBackOf(flow, ({ task }) => isMeant(task), Infinity, verdict);
  }

  /** Returns what cannot go soon, so that others have its place and nobody waits for its report; how many batches those were. */
  giveBackLate({ waitMs, ageMs, most }: Patience): number {
    const nowMs = this.#clock.monotonic();
    let count = 0;
    const waitForRoom = new Set<Flow>();
    for (const { limit, dueAtMs, isOwn, items } of this.#queue.waiting()) {
      const forMs = dueAtMs - nowMs;
      const isHeld = ({ task }: BatchRun): boolean =>
        forMs > (isOwn ? mostRoomWaitMs : Math.min(task.mostWaitMs, waitMs));
      const hold = Number.isFinite(forMs) ? { limit, isOwn, untilAt: this.#clock.now() + forMs } : undefined;
      for (const flow of items) {
        if (isOwn) waitForRoom.add(flow);
        count += this.#giveBackOf(flow, isHeld, most - count, held, hold);
      }
    }
    const begunBefore = performance.now() - ageMs;
    for (const flow of this.#flows.values())
      if (!waitForRoom.has(flow))
        count += this.#giveBackOf(flow, ({ begunAt }) => begunAt < begunBefore, most - count, tooLong);
    return count;
  }

  #giveBackOf(
    flow: Flow,
    isMeant: (run: BatchRun) => boolean,
    most: number,
    verdict: Verdict,
    hold?: Hold,
  ): number {
    const meant = new Set(flow.runs.filter(isMeant).slice(0, most));
    if (meant.size === 0) return 0;
    flow.runs = flow.runs.filter((run) => !meant.has(run));
    for (const run of meant) {
      if (hold !== undefined) run.noteHold(hold);
      run.giveBack(verdict, undefined);
    }
    return meant.size;
  }

  #allRuns(): BatchRun[] {
    return [...this.#flows.values()].flatMap(({ runs }) => runs);
  }

  /** The transaction for a recipient, or undefined where it ended before the relay saw it. `held` is its message, where there is one. */
  #begin(
    run: BatchRun,
    recipient: Recipient,
    extensions: Extensions,
    held: MadeMessage | undefined,
  ): RowTransaction | undefined {
    const { envelope } = this.#compiled(run);
    const lack = findLack(envelope, extensions);
    if (lack !== undefined) return this.#refuse(run, recipient, judgeLack(lack));
    const composed = held ?? this.#compose(run, recipient);
    if (composed.kind === 'invalid') {
      run.settle(recipient.row, 'invalid', judgeLocally('unmakeable', composed.reason));
      return undefined;
    }
    const { message, isUtf8 } = composed;
    const flaw = findFlaw(message.length, isUtf8, extensions);
    if (flaw !== undefined) {
      run.settle(recipient.row, 'rejected', flaw);
      return undefined;
    }
    return {
      mail: formatMail(envelope, recipient.row, message.length, isUtf8 || envelope.isUtf8, extensions),
      rcpt: formatRcpt(envelope, recipient.address, extensions),
      content: message,
      run,
      row: recipient.row,
      begunAt: performance.now(),
    };
  }

  /**
   * Composes and signs. What one row's data can exhaust (a string's length, the stack) is the row's; anything else is a bug that
   * would meet every row, and must end the thread and not the list.
   */
  #compose(run: BatchRun, recipient: Recipient): Composed {
    try {
      const { composer, signer } = this.#compiled(run);
      const at = this.#clock.now();
      const begunAt = performance.now();
      const composed = composer.compose(recipient, at);
      if (composed.kind === 'invalid') return composed;
      const { message } = composed;
      const signed =
        signer === undefined ? composed : { ...composed, message: signer.sign(message, at) + message };
      run.observeComposing((performance.now() - begunAt) / 1000);
      return signed;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return { kind: 'invalid', reason: `the message cannot be made: ${messageOf(error)}` };
    }
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
/** The next recipient of a flow's first run. */
function takeNext(flow: Flow, run: BatchRun): Recipient {
  const recipient = run.take();
  if (run.waiting === 0) flow.runs.shift();
  return recipient;
}

/** Lanes of a campaign that need the same permits are one flow. */
function keyOf({ campaignId, limits }: BatchTask): string {
  return `${campaignId}:${limits.join()}`;
}
