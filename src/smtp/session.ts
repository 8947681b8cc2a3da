// A session: the one file that touches an SMTP socket after the handshake. Bytes in, bytes out, and deadlines.
import type { Socket } from 'node:net';
import { unreachable } from '../base/invariant.ts';
import type { Reply } from '../mail/reply.ts';
import type { Failure } from '../mail/verdict.ts';
import { Dialogue, type SendingMode, type Settled, type Transaction } from './dialogue.ts';
import type { Extensions } from './extensions.ts';
import { ReplyParser } from './reply_parser.ts';
import { Window } from './window.ts';

export interface SessionOptions {
  readonly mode: SendingMode;
  /** Transactions after which the session takes no more. */
  readonly maxMessages: number;
  /** In deep: the most transactions on the wire at once. */
  readonly inFlight: number;
  readonly commandTimeoutMs: number;
  readonly endOfDataTimeoutMs: number;
  /** Messages that the relay may refuse on a deep session before it is replaced; Infinity where nothing is known. */
  readonly refusalsInDeep: number;
  /** How long a session without work is kept. */
  readonly idleTimeoutMs: number;
}

/** What a session asks of its owner. */
export interface SessionOwner<T extends Transaction> {
  /** The next transaction that may be begun now, or undefined. Called only while there is room. */
  next(session: Session<T>): T | undefined;
  settle(session: Session<T>, settled: Settled<T>): void;
  /** The session has something to write: asks to be told `announce`, and then `write`, soon. */
  hasOutput(session: Session<T>): void;
  /** The end of this one's data is in the next `write`. */
  ending(transaction: T): void;
  /** The socket is gone; everything has been settled before. */
  closed(session: Session<T>, failure: Failure): void;
}

/** How long a QUIT waits for its answer (RFC 5321 §4.1.1.10 asks to wait; nothing depends on it). */
const quitTimeoutMs = 2000;
/** Longest silence in the middle of a group: a relay that lost the rest of it (RFC 2920 §2) never answers. */
const groupTimeoutMs = 60_000;
/** Postfix answers slowly from the tenth error in a row on, and with 421 from the twentieth; a refusal costs two. */
const errorsBeforeRotation = 8;
/** A relay that has not been heard for longer may be gone, unnoticed, when something is begun. */
const silenceMs = 1000;
/** Above this much that waits to be written nothing more is begun. */
const maxUnsentBytes = 1_048_576;
/** What the socket is given at once; what comes after it was not sent when the session breaks. */
const maxWriteBytes = 65_536;

export class Session<T extends Transaction> {
  readonly extensions: Extensions;
  readonly #socket: Socket;
  readonly #options: SessionOptions;
  readonly #owner: SessionOwner<T>;
  readonly #parser = new ReplyParser();
  readonly #dialogue: Dialogue<T>;
  readonly #window: Window;
  /** When the transactions on the wire were written, oldest first; in deep only. */
  #writtenAt: number[] = [];
  #begun = 0;
  #refused = 0;
  #proven = false;
  #retiring = false;
  #quitting = false;
  #lostItsPlace = false;
  #over = false;
  #deadlineAt: number;
  #askedAt = 0;
  #heardAt: number;
  /** Octets that the next write may send. */
  #announced = 0;
  #roundTripMs = Infinity;

  constructor(
    socket: Socket,
    extensions: Extensions,
    options: SessionOptions,
    owner: SessionOwner<T>,
    now: number,
  ) {
    this.extensions = extensions;
    this.#socket = socket;
    this.#options = options;
    this.#owner = owner;
    this.#dialogue = new Dialogue(options.mode);
    this.#window = new Window(options.inFlight);
    this.#deadlineAt = now + options.idleTimeoutMs;
    this.#heardAt = now;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) =>
      this.#end({ kind: 'closed', text: `the connection broke: ${error.message}` }),
    );
    socket.on('end', () => this.#end({ kind: 'closed', text: 'the relay closed the connection' }));
    socket.on('close', () => this.#end({ kind: 'closed', text: 'the connection was closed' }));
    socket.resume();
  }

  /** True once the relay has answered for a recipient, and not with 421: it is more than an open port. */
  get proven(): boolean {
    return this.#proven;
  }

  get mode(): SendingMode {
    return this.#options.mode;
  }

  /** True when the relay answered the beginning of a group and then nothing, or what fits nothing. */
  get lostItsPlace(): boolean {
    return this.#lostItsPlace;
  }

  /** Transactions that the relay did not take. */
  get refused(): number {
    return this.#refused;
  }

  get busy(): boolean {
    return !this.#dialogue.idle;
  }

  /** Transactions on the wire. */
  get inFlight(): number {
    return this.#dialogue.inFlight;
  }

  /** How many there may be: of one message and the next in standard, and in deep what the relay has been seen to keep up with. */
  get window(): number {
    switch (this.mode) {
      case 'off':
        return 1;
      case 'standard':
        return 2;
      case 'deep':
        return Math.min(this.#window.size, this.#mostInFlight());
      default:
        return unreachable(this.mode);
    }
  }

  /** The shortest time from a command on an idle session to its reply; Infinity before there was one. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** Transactions that this session may still begin. */
  get remaining(): number {
    if (this.#over || this.#retiring || this.#dialogue.errorsInARow >= errorsBeforeRotation) return 0;
    if (this.mode === 'deep' && this.#refused >= this.#options.refusalsInDeep) return 0;
    return this.#options.maxMessages - this.#begun;
  }

  /** True when the session would take a transaction now. */
  get hasRoom(): boolean {
    const dialogue = this.#dialogue;
    if (this.remaining <= 0 || !dialogue.hasRoom || dialogue.outputLength >= maxUnsentBytes) return false;
    return this.mode !== 'deep' || !dialogue.tryingGroup;
  }

  /**
   * The one loop: settle what was answered, take what may be taken, write it all at once. Each condition under
   * which nothing more happens is one early return.
   */
  pump(): void {
    if (this.#over) return;
    this.#settle();
    if (this.#dialogue.closing !== undefined) return this.#end(this.#dialogue.closing);
    while (this.hasRoom) {
      const transaction = this.#owner.next(this);
      if (transaction === undefined) break;
      this.#begin(transaction);
    }
    if (this.#dialogue.idle && this.remaining <= 0) this.#quit();
    if (this.#canWrite) this.#owner.hasOutput(this);
  }

  /** Names the transactions whose end of data the next `write` will send. */
  announce(): void {
    if (!this.#canWrite) return;
    this.#announced = Math.min(this.#dialogue.outputLength, maxWriteBytes);
    for (const transaction of this.#dialogue.endingWithin(this.#announced)) this.#owner.ending(transaction);
  }

  /**
   * Writes what has been announced, and no more: there may be more by now. Gives the socket nothing while it still holds
   * something: so what is not taken from the dialogue was not sent.
   */
  write(): void {
    if (!this.#canWrite || this.#announced === 0) return;
    // Per command, not per write: transactions that queue up behind one that is not answered buy it no time.
    const { asking } = this.#dialogue;
    // One character an octet (mail/octets.ts), so lengths are what goes over the wire, and latin1 is a copy without a scan.
    this.#socket.write(this.#dialogue.takeOutput(this.#announced), 'latin1', this.#written);
    this.#announced = 0;
    if (asking) this.#extendDeadline();
    if (this.#canWrite) this.#owner.hasOutput(this);
  }

  /** Takes nothing more; says QUIT once everything is answered. */
  retire(): void {
    this.#retiring = true;
    this.pump();
  }

  /** Ends the session at once; what is unanswered is settled as far as it had come. */
  abort(failure: Failure): void {
    this.#end(failure);
  }

  /** Ends the session if the relay has been silent for too long. Called by the owner about once a second. */
  checkDeadline(now: number): void {
    if (this.#over || now < this.#deadlineAt) return;
    if (this.#quitting) return this.#end({ kind: 'stopped', text: 'QUIT was not answered' });
    if (this.#dialogue.idle) return this.retire();
    const { awaiting, transferring } = this.#dialogue;
    const text = transferring ? 'the relay did not read on in time' : `no reply to ${awaiting} in time`;
    this.#end({ kind: 'timeout', text });
  }

  #begin(transaction: T): void {
    this.#begun += 1;
    const now = performance.now();
    if (this.#dialogue.idle) this.#askedAt = now;
    this.#dialogue.begin(transaction, now - this.#heardAt > silenceMs);
    if (this.#options.mode === 'deep') this.#writtenAt.push(now);
  }

  #receive(chunk: Buffer): void {
    this.#heardAt = performance.now();
    const replies: Reply[] = [];
    const problem = this.#parser.feed(chunk, replies);
    if (replies.length > 0) this.#measureRoundTrip();
    for (const reply of replies) this.#dialogue.receive(reply);
    if (problem !== undefined)
      return this.#end(this.#dialogue.closing ?? { kind: 'garbled', text: `the relay sent ${problem}` });
    // Per reply, not per read: a relay that drips bytes does not buy itself time.
    if (replies.length > 0) this.#extendDeadline();
    this.pump();
  }

  #measureRoundTrip(): void {
    if (this.#askedAt === 0) return;
    this.#roundTripMs = Math.min(this.#roundTripMs, performance.now() - this.#askedAt);
    this.#askedAt = 0;
  }

  #settle(): void {
    // Once for all that is settled together: the window grows on the way, and what is on the wire does not.
    const isFull = this.#writtenAt.length >= this.#window.size;
    for (const settled of this.#dialogue.takeSettled()) {
      const { replyCode } = settled.verdict;
      if (replyCode !== 0 && replyCode !== 421 && settled.kind !== 'unsent') this.#proven = true;
      if (replyCode >= 400) this.#refused += 1;
      this.#adjustWindow(isFull);
      this.#owner.settle(this, settled);
    }
  }

  #adjustWindow(isFull: boolean): void {
    const writtenAt = this.#writtenAt.shift();
    if (writtenAt === undefined) return;
    this.#window.note(performance.now() - writtenAt, isFull);
    this.#dialogue.setWindow(Math.min(this.#window.size, this.#mostInFlight()));
  }

  /** What is on the wire when a relay loses patience is in doubt: the closer to that, the less. */
  #mostInFlight(): number {
    // A relay that answers all stages alike: no lost count would show in a window.
    if (!this.#dialogue.tellsStagesApart) return 1;
    const { errorsInARow } = this.#dialogue;
    // In deep a refusal is two errors, for RCPT and for BDAT.
    const beforeErrors = errorsInARow === 0 ? Infinity : (errorsBeforeRotation + 2 - errorsInARow) / 2;
    const beforeRefusals = this.#refused === 0 ? Infinity : this.#options.refusalsInDeep + 1 - this.#refused;
    return Math.max(1, Math.floor(Math.min(beforeErrors, beforeRefusals)));
  }

  #quit(): void {
    if (this.#quitting) return;
    this.#quitting = true;
    this.#dialogue.quit();
  }

  get #canWrite(): boolean {
    return !this.#over && this.#dialogue.outputLength > 0 && this.#socket.writableLength === 0;
  }

  /** Errors come again as events. */
  readonly #written = (error?: Error | null): void => {
    if (!error && this.#dialogue.outputLength > 0) this.pump();
  };

  #extendDeadline(): void {
    this.#deadlineAt = performance.now() + this.#timeoutMs();
  }

  #timeoutMs(): number {
    if (this.#quitting) return quitTimeoutMs;
    const { awaiting, transferring } = this.#dialogue;
    const { mode, commandTimeoutMs } = this.#options;
    if (awaiting === 'idle') return this.#options.idleTimeoutMs;
    // RFC 5321 §4.5.3.2.5: while content is written a block has its own, shorter time.
    if (awaiting === 'end') return transferring ? commandTimeoutMs : this.#options.endOfDataTimeoutMs;
    return mode === 'off' ? commandTimeoutMs : Math.min(commandTimeoutMs, groupTimeoutMs);
  }

  /** The one way out. */
  #end(failure: Failure): void {
    if (this.#over) return;
    this.#over = true;
    this.#lostItsPlace =
      (failure.kind === 'timeout' && this.#dialogue.insideGroup) ||
      // Without DATA's 354 between them the replies of deep have nothing that shows in time that they are out of step.
      (failure.kind === 'garbled' && (this.#dialogue.insideGroup || this.mode === 'deep'));
    this.#dialogue.close(failure);
    this.#settle();
    this.#leave(failure);
  }

  /** After QUIT the relay counts us among its sessions until it has closed: nobody may take our place before. */
  #leave(failure: Failure): void {
    const socket = this.#socket;
    if (!this.#quitting || failure.kind !== 'closed' || socket.destroyed) {
      socket.destroy();
      return this.#owner.closed(this, failure);
    }
    const timer = setTimeout(() => socket.destroy(), quitTimeoutMs);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#owner.closed(this, failure);
    });
    socket.end();
  }
}
