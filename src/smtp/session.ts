// A session: the one file that touches an SMTP socket after the handshake. Bytes in, bytes out, and deadlines.
import type { Socket } from 'node:net';
import type { Reply } from '../mail/reply.ts';
import type { Failure } from '../mail/verdict.ts';
import { Dialogue, type SendingMode, type Settled, type Transaction } from './dialogue.ts';
import type { Extensions } from './extensions.ts';
import { ReplyParser } from './reply_parser.ts';

export interface SessionOptions {
  readonly mode: SendingMode;
  /** Transactions after which the session takes no more. */
  readonly maxMessages: number;
  readonly commandTimeoutMs: number;
  readonly endOfDataTimeoutMs: number;
  /** How long a session without work is kept. */
  readonly idleTimeoutMs: number;
}

/** What a session asks of its owner. */
export interface SessionOwner<T extends Transaction> {
  /** The next transaction that may be begun now, or undefined. Called only while there is room. */
  next(session: Session<T>): T | undefined;
  settle(session: Session<T>, settled: Settled<T>): void;
  /** The socket is gone; everything has been settled before. */
  closed(session: Session<T>, failure: Failure): void;
}

/** How long a QUIT waits for its answer (RFC 5321 §4.1.1.10 asks to wait; nothing depends on it). */
const quitTimeoutMs = 2000;

export class Session<T extends Transaction> {
  readonly extensions: Extensions;
  readonly #socket: Socket;
  readonly #options: SessionOptions;
  readonly #owner: SessionOwner<T>;
  readonly #parser = new ReplyParser();
  readonly #dialogue: Dialogue<T>;
  #begun = 0;
  #proven = false;
  #retiring = false;
  #quitting = false;
  #over = false;
  #deadlineAt: number;

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
    this.#deadlineAt = now + options.idleTimeoutMs;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) =>
      this.#end({ kind: 'closed', text: `the connection broke: ${error.message}` }),
    );
    socket.on('end', () => this.#end({ kind: 'closed', text: 'the relay closed the connection' }));
    socket.on('close', () => this.#end({ kind: 'closed', text: 'the connection was closed' }));
    socket.resume();
  }

  /** True once the relay has answered for a recipient: it is more than an open port. */
  get proven(): boolean {
    return this.#proven;
  }

  get busy(): boolean {
    return !this.#dialogue.idle;
  }

  /** True when the session would take a transaction now. */
  get hasRoom(): boolean {
    return (
      !this.#over && !this.#retiring && this.#begun < this.#options.maxMessages && this.#dialogue.hasRoom
    );
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
      this.#begun += 1;
      this.#dialogue.begin(transaction);
    }
    if (this.#dialogue.idle && (this.#retiring || this.#begun >= this.#options.maxMessages)) this.#quit();
    this.#write();
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
    this.#end({ kind: 'timeout', text: `no reply to ${this.#dialogue.awaiting} in time` });
  }

  #receive(chunk: Buffer): void {
    const replies: Reply[] = [];
    const problem = this.#parser.feed(chunk, replies);
    for (const reply of replies) this.#dialogue.receive(reply);
    if (problem !== undefined) return this.#end({ kind: 'garbled', text: `the relay sent ${problem}` });
    // Per reply, not per read: a relay that drips bytes does not buy itself time.
    if (replies.length > 0) this.#extendDeadline();
    this.pump();
  }

  #settle(): void {
    for (const settled of this.#dialogue.takeSettled()) {
      if (settled.verdict.replyCode !== 0 && settled.kind !== 'unsent') this.#proven = true;
      this.#owner.settle(this, settled);
    }
  }

  #quit(): void {
    if (this.#quitting) return;
    this.#quitting = true;
    this.#dialogue.quit();
  }

  #write(): void {
    const output = this.#dialogue.takeOutput();
    if (output === '') return;
    // ASCII only, so latin1 is a copy without a scan.
    this.#socket.write(output, 'latin1');
    this.#extendDeadline();
  }

  #extendDeadline(): void {
    this.#deadlineAt = performance.now() + this.#timeoutMs();
  }

  #timeoutMs(): number {
    if (this.#quitting) return quitTimeoutMs;
    const { awaiting } = this.#dialogue;
    if (awaiting === 'idle') return this.#options.idleTimeoutMs;
    return awaiting === 'end' ? this.#options.endOfDataTimeoutMs : this.#options.commandTimeoutMs;
  }

  /** The one way out. */
  #end(failure: Failure): void {
    if (this.#over) return;
    this.#over = true;
    this.#dialogue.close(failure);
    this.#socket.destroy();
    this.#settle();
    this.#owner.closed(this, failure);
  }
}
