// The pool: the sessions that one thread keeps to one relay, opened as there is work and no more than its share.
import pLimit from 'p-limit';
import { messageOf } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import {
  addTransactionTime,
  emptyTransactionTimes,
  type TransactionTimes,
} from '../mail/transaction_times.ts';
import type { Failure } from '../mail/verdict.ts';
import { ConnectionLimit } from './connection_limit.ts';
import type { SendingMode, Settled, Transaction } from './dialogue.ts';
import type { Extensions } from './extensions.ts';
import { openSession, type HandshakeFailure } from './handshake.ts';
import { maskSecrets, secretsOf } from './redact.ts';
import type { RelayOptions } from './relay.ts';
import { Session, type SessionOwner } from './session.ts';
import { WriteTurn, type WriteAhead } from './write_turn.ts';

/** A limit binds: ask again after `delayMs`. */
export interface Wait {
  readonly kind: 'wait';
  readonly delayMs: number;
}

/** Where transactions come from and where they go when they are settled. */
export interface Work<T extends Transaction> {
  /** How many recipients could be begun if every limit granted. */
  readonly backlog: number;
  /** The next transaction for a session with these extensions; undefined when there is none. */
  take(extensions: Extensions): T | Wait | undefined;
  settle(settled: Settled<T>): void;
  /** Leave to open a session beside `others` now, or how long there is none; absent: there is always. */
  takeOpening?(others: number): Wait | undefined;
  /** No session is open and none could be opened: the relay is out of reach for now. */
  relayFailed(failure: HandshakeFailure): void;
}

/** A transaction is not a wait: it has no `kind`. */
function isWait(taken: Transaction | Wait): taken is Wait {
  return 'kind' in taken;
}

export interface PoolCounts {
  /** Sessions that are being opened, those among them that wait for their turn. */
  readonly connecting: number;
  readonly open: number;
  readonly busy: number;
  /** Transactions on the wire, over all sessions, and how many there may be. */
  readonly inFlight: number;
  readonly window: number;
  /** Time in which a session had room and a limit did not grant, so far. */
  readonly permitWaitMs: number;
  /** The shortest round trip seen so far; 0 before there was one. */
  readonly roundTripMs: number;
  /** True when the relay offers what `pipelining: deep` needs, and it is not used. */
  readonly couldGoDeep: boolean;
}

const firstReopenDelayMs = 500;
const maxReopenDelayMs = 30_000;
const sweepEveryMs = 1000;
const handshakesAtOnce = 20;
/** The limit of new sessions may be raised meanwhile. */
const mostOpenWaitMs = 1000;
/** So long a relay may still count a session of ours that has ended, and so soon it is asked again. */
const justLeftMs = 1000;
const justLeftDelayMs = 20;
/** With so few messages left a session's replacement may be opened. */
const nearlySpent = 3;
/** So long a relay that lost its place is asked less at once; it may have been a stall, and not what it always does. */
const distrustMs = 3_600_000;
/** Exim hangs up at the tenth RSET behind a message that it did not take, and in deep each refusal needs one. */
const refusalsWhereCounted = 8;
/** An idle session is kept this long for the next batch. Below the 5 minutes after which servers hang up. */
const idleTimeoutMs = 60_000;

/**
 * Invariants: open + opening <= share; no session is opened without backlog; while the relay refuses sessions at
 * most one attempt is made per reopen delay, which doubles. A session that is nearly spent is replaced while it still
 * works, as far as the share has room.
 */
export class Pool<T extends Transaction> implements SessionOwner<T> {
  readonly #relay: RelayOptions;
  readonly #limit: ConnectionLimit;
  readonly #work: Work<T>;
  readonly #random: Random;
  readonly #sessions = new Set<Session<T>>();
  readonly #sweeper: NodeJS.Timeout;
  /** A relay that is asked for 200 sessions in one instant takes it for an attack. */
  readonly #handshakes = pLimit(handshakesAtOnce);
  #opening = 0;
  /** Sessions that this thread may have for now; never more than the configured share. */
  #share: number;
  /** The relay has opened a session to us: until then it is asked for one, for what refuses one refuses all (RFC 4954 §6). */
  #wasOpened = false;
  #leftAtMs = -Infinity;
  /** One of the sessions that were opened together was refused. */
  #wasRefused = false;
  #reopenDelayMs = 0;
  /** The relay says PIPELINING and loses commands (RFC 2920 §2): until then one at a time, or not deep. Monotonic. */
  #lockStepUntilMs = 0;
  #notDeepUntilMs = 0;
  /** Found out by a session that the relay ended after many refusals. */
  #refusalsInDeep = Infinity;
  #roundTripMs = Infinity;
  #couldGoDeep = false;
  #reopenTimer: NodeJS.Timeout | undefined;
  /** A limit lets no session be opened. Apart from `#reopenTimer`, which is a relay's doing. */
  #openTimer: NodeJS.Timeout | undefined;
  #waitTimer: NodeJS.Timeout | undefined;
  #waitUntilMs = Infinity;
  #waitingSinceMs = 0;
  #permitWaitMs = 0;
  #permitWaits = emptyTransactionTimes();
  #closed = false;
  readonly #secrets: readonly string[];
  readonly #turn: WriteTurn<T>;

  /** `share`: the sessions this thread may have of the relay's `maxConnections`. */
  constructor(relay: RelayOptions, share: number, work: Work<T>, random: Random, writeAhead?: WriteAhead<T>) {
    this.#turn = new WriteTurn(writeAhead, (error) => {
      for (const session of this.#sessions)
        session.abort({ kind: 'stopped', text: `the journal cannot be written: ${messageOf(error)}` });
      writeAhead?.failed(error);
    });
    this.#secrets = secretsOf(relay);
    this.#relay = relay;
    this.#limit = new ConnectionLimit(share);
    this.#share = share;
    this.#work = work;
    this.#random = random;
    this.#sweeper = setInterval(() => this.#sweep(), sweepEveryMs);
    this.#sweeper.unref();
  }

  get counts(): PoolCounts {
    let [busy, inFlight, window] = [0, 0, 0];
    let roundTripMs = this.#roundTripMs;
    for (const session of this.#sessions) {
      if (session.busy) busy += 1;
      inFlight += session.inFlight;
      window += session.window;
      roundTripMs = Math.min(roundTripMs, session.roundTripMs);
    }
    return {
      connecting: this.#opening,
      open: this.#sessions.size,
      busy,
      inFlight,
      window,
      permitWaitMs: this.#permitWaitMs + this.#waitingMs(),
      roundTripMs: roundTripMs === Infinity ? 0 : roundTripMs,
      couldGoDeep: this.#couldGoDeep,
    };
  }

  /** How long sessions with room waited for permits since this was asked last. */
  takePermitWaits(): TransactionTimes {
    const waits = this.#permitWaits;
    this.#permitWaits = emptyTransactionTimes();
    return waits;
  }

  /** Tells the pool that there may be new work, or that a limit may grant again. */
  wake(): void {
    if (this.#closed) return;
    for (const session of this.#sessions) {
      if (this.#work.backlog === 0) break;
      if (session.hasRoom) session.pump();
    }
    this.#openAsNeeded();
  }

  /** From now on this thread may have so many sessions; those beyond finish what they have begun. */
  setShare(share: number): void {
    this.#share = share;
    let beyond = this.#sessions.size - share;
    for (const session of this.#sessions) if (beyond-- > 0) session.retire();
    this.wake();
  }

  /** Opens nothing more; sessions finish what they have begun, for as long as a relay may take for that, and say QUIT. */
  retire(): void {
    this.#closed = true;
    clearTimeout(this.#reopenTimer);
    clearTimeout(this.#openTimer);
    clearTimeout(this.#waitTimer);
    for (const session of this.#sessions) session.retire();
  }

  /** Whether all sessions of a retired pool are gone. */
  get isOver(): boolean {
    return this.#closed && this.#sessions.size === 0;
  }

  /** Says QUIT on every session and waits a moment until all are gone. For when nobody is in a transaction. */
  async close(): Promise<void> {
    this.retire();
    clearInterval(this.#sweeper);
    for (let waited = 0; this.#sessions.size > 0 && waited < 100; waited += 1) {
      await new Promise((resolve) => setTimeout(resolve, 25));
      for (const session of this.#sessions) session.checkDeadline(performance.now());
    }
    for (const session of this.#sessions) session.abort({ kind: 'stopped', text: 'we closed the session' });
  }

  /** Ends every session now; what is unanswered comes back settled as far as it had come. */
  abort(): void {
    for (const session of this.#sessions)
      session.abort({ kind: 'stopped', text: 'we were told to stop at once' });
  }

  next(session: Session<T>): T | undefined {
    const taken = this.#work.take(session.extensions);
    if (taken === undefined || !isWait(taken)) return taken;
    this.#wakeAfter(taken.delayMs);
    return undefined;
  }

  settle(session: Session<T>, settled: Settled<T>): void {
    if (session.proven) this.#reopenDelayMs = 0;
    this.#work.settle(this.#withoutSecrets(settled));
    // What came of it is kept in this turn, too, though nobody may have anything to write.
    this.#turn.keep();
  }

  /** A relay may echo what it was sent, and replies go into results and logs. */
  #withoutSecrets(settled: Settled<T>): Settled<T> {
    if (settled.kind === 'accepted' || this.#secrets.length === 0) return settled;
    const text = maskSecrets(settled.verdict.text, this.#secrets);
    return { ...settled, verdict: { ...settled.verdict, text } };
  }

  ending(transaction: T): void {
    this.#turn.noteEnd(transaction);
  }

  hasOutput(session: Session<T>): void {
    this.#turn.add(session);
  }

  closed(session: Session<T>, failure: Failure): void {
    this.#sessions.delete(session);
    this.#leftAtMs = performance.now();
    this.#roundTripMs = Math.min(this.#roundTripMs, session.roundTripMs);
    if (this.#closed) return;
    if (session.lostItsPlace) this.#stepDown(session.mode);
    // Under TLS such a goodbye may come without a word that can be read.
    if (session.mode === 'deep' && session.refused >= refusalsWhereCounted && failure.kind !== 'stopped')
      this.#refusalsInDeep = refusalsWhereCounted;
    // A session that got nothing done, or broke, is replaced without haste; any other at once.
    if (!session.proven || failure.kind === 'garbled' || failure.kind === 'timeout') this.#backOff();
    this.#openAsNeeded();
  }

  #stepDown(mode: SendingMode): void {
    const untilMs = performance.now() + distrustMs;
    if (mode === 'deep') this.#notDeepUntilMs = untilMs;
    else this.#lockStepUntilMs = untilMs;
  }

  #openAsNeeded(): void {
    if (this.#reopenTimer !== undefined || this.#openTimer !== undefined) return;
    let idle = 0;
    for (const session of this.#sessions) {
      if (session.remaining > nearlySpent && !session.busy) idle += 1;
    }
    const opening = this.#opening;
    // A session that is nearly spent still counts with the relay.
    const most = Math.min(this.#limit.allowed(performance.now()), this.#share);
    const room = most - this.#sessions.size - opening;
    const wanted = Math.min(room, this.#work.backlog - idle - opening);
    // A relay that refused the last attempt, or that we have not met, is asked with one session first.
    const asksFirst = this.#reopenDelayMs > 0 || !this.#wasOpened;
    const allowed = asksFirst ? Math.min(wanted, 1 - this.#opening) : wanted;
    for (let count = 0; count < allowed; count += 1) {
      this.#opening += 1;
      void this.#handshakes(() => this.#open());
    }
  }

  /** Never rejects: openSession returns its failures. */
  async #open(): Promise<void> {
    if (!this.#mayOpen()) {
      this.#opening -= 1;
      return this.#noteRefusal();
    }
    const opened = await openSession(this.#relay, () => this.#awaitOpening());
    // While we waited the pool may have been closed, or the work may have gone.
    this.#opening -= 1;
    if (opened.kind === 'failed') return this.#noteFailure(opened);
    if (this.#closed) {
      opened.socket.destroy();
      return;
    }
    const session = new Session(
      opened.socket,
      opened.extensions,
      this.#sessionOptions(opened.extensions),
      this,
      performance.now(),
    );
    this.#sessions.add(session);
    this.#wasOpened = true;
    this.#noteRefusal();
    session.pump();
    this.#openAsNeeded();
  }

  /** Asked when the connection is about to be made, and not before it waits for its turn. */
  #mayOpen(): boolean {
    if (this.#closed || this.#openTimer !== undefined) return false;
    const wait = this.#work.takeOpening?.(this.#sessions.size + this.#opening - 1);
    if (wait === undefined) return true;
    const delayMs = Math.max(1, Math.min(wait.delayMs, mostOpenWaitMs));
    // Sessions that are open work on; where there is none, everything waits for this limit. First, so that it is over first.
    if (this.#sessions.size === 0) this.#wakeAfter(delayMs);
    this.#openTimer = setTimeout(() => {
      this.#openTimer = undefined;
      this.#openAsNeeded();
    }, delayMs);
    return false;
  }

  /** For the second connection that one opening may need. False where the pool was closed meanwhile. */
  async #awaitOpening(): Promise<boolean> {
    for (;;) {
      if (this.#closed) return false;
      const wait = this.#work.takeOpening?.(0);
      if (wait === undefined) return true;
      await new Promise((resolve) => setTimeout(resolve, Math.min(wait.delayMs, mostOpenWaitMs)));
    }
  }

  #noteFailure(failure: HandshakeFailure): void {
    if (this.#closed) return;
    if (this.#sessions.size === 0 && this.#wasJustLeft(failure)) return this.#reopenAfter(justLeftDelayMs);
    this.#backOff();
    this.#wasRefused ||= failure.verdict.replyCode !== 0;
    this.#noteRefusal();
    if (this.#sessions.size === 0 && this.#opening === 0) this.#work.relayFailed(failure);
  }

  /** The last session has just ended, and the relay may still count it; a second refusal is meant. */
  #wasJustLeft({ verdict }: HandshakeFailure): boolean {
    const isFresh = verdict.category === 'rate-limited' && performance.now() - this.#leftAtMs < justLeftMs;
    this.#leftAtMs = -Infinity;
    return isFresh;
  }

  /** While others are open, the relay is there, and by its reply wants fewer of us; a refusal may come before they are. */
  #noteRefusal(): void {
    if (this.#wasRefused && this.#sessions.size > 0)
      this.#limit.refused(this.#sessions.size + this.#opening, performance.now());
    if (this.#opening === 0) this.#wasRefused = false;
  }

  #backOff(): void {
    if (this.#reopenTimer !== undefined) return;
    this.#reopenDelayMs = Math.min(Math.max(this.#reopenDelayMs * 2, firstReopenDelayMs), maxReopenDelayMs);
    // Jitter of a quarter, so that threads do not knock together.
    this.#reopenAfter(this.#reopenDelayMs * (0.75 + this.#random() / 2));
  }

  #reopenAfter(delayMs: number): void {
    this.#reopenTimer ??= setTimeout(() => {
      this.#reopenTimer = undefined;
      this.#openAsNeeded();
    }, delayMs);
  }

  #sessionOptions(extensions: Extensions): ConstructorParameters<typeof Session>[2] {
    const mode = this.#chooseMode(extensions);
    const { pipelining } = this.#relay;
    this.#couldGoDeep = pipelining !== 'deep' && extensions.chunking && mode === 'standard';
    return {
      mode,
      maxMessages: this.#relay.maxMessages,
      inFlight: this.#relay.inFlight,
      refusalsInDeep: this.#refusalsInDeep,
      commandTimeoutMs: this.#relay.commandTimeoutMs,
      endOfDataTimeoutMs: this.#relay.endOfDataTimeoutMs,
      idleTimeoutMs,
    };
  }

  /** What the relay offers, what the configuration allows, and what experience with this relay has taught. */
  #chooseMode(extensions: Extensions): SendingMode {
    const { pipelining } = this.#relay;
    const now = performance.now();
    if (pipelining === 'off' || !extensions.pipelining || now < this.#lockStepUntilMs) return 'off';
    return pipelining === 'deep' && extensions.chunking && now >= this.#notDeepUntilMs ? 'deep' : 'standard';
  }

  #wakeAfter(delayMs: number): void {
    const now = performance.now();
    if (now + delayMs >= this.#waitUntilMs) return;
    if (this.#waitTimer !== undefined) clearTimeout(this.#waitTimer);
    else this.#waitingSinceMs = now;
    this.#waitUntilMs = now + delayMs;
    this.#waitTimer = setTimeout(() => this.#stopWaiting(), Math.max(1, delayMs));
  }

  #stopWaiting(): void {
    this.#waitTimer = undefined;
    this.#waitUntilMs = Infinity;
    const waitedMs = performance.now() - this.#waitingSinceMs;
    this.#permitWaitMs += waitedMs;
    addTransactionTime(this.#permitWaits, waitedMs / 1000);
    this.wake();
  }

  /** The wait that is not over: for a quota it may be a day. */
  #waitingMs(): number {
    return this.#waitTimer === undefined ? 0 : performance.now() - this.#waitingSinceMs;
  }

  #sweep(): void {
    const now = performance.now();
    for (const session of this.#sessions) session.checkDeadline(now);
    if (this.isOver) clearInterval(this.#sweeper);
  }
}
