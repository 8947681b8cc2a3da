// One connection of the sandbox: does with its socket what the session says, at the time it should be done.
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { unreachable } from '../base/invariant.ts';
import type { Step } from './answers.ts';
import type { Session } from './session.ts';

/** RFC 5321 §4.5.3.2.7. */
const idleTimeoutMs = 300_000;
/** Steps that wait for their latency; beyond it the connection is not read. */
const maxDelayedSteps = 4096;

export interface ConnectionOptions {
  /** Delays every step, and keeps their order. */
  readonly latencyMs: number;
  readonly secureContext: SecureContext | undefined;
  /** Called once, when the socket is gone. */
  onClosed(): void;
}

/**
 * Reads while it is open, not deaf, no wait is going on, the client reads what it is sent, and not too much is delayed.
 * A step that ends the connection is the last one that is done.
 */
export class Connection {
  #socket: Socket;
  readonly #session: Session;
  readonly #options: ConnectionOptions;
  readonly #timers = new Set<NodeJS.Timeout>();
  #delayedSteps = 0;
  #isWaiting = false;
  #isCongested = false;
  #isDeaf = false;
  #isPaused = false;
  #isEnding = false;
  #isClosed = false;

  constructor(socket: Socket, session: Session, options: ConnectionOptions) {
    this.#socket = socket;
    this.#session = session;
    this.#options = options;
    this.#listen(socket);
    this.#schedule(session.open());
  }

  /** Cuts the connection and ends its timers. */
  destroy(): void {
    this.#isEnding = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.setTimeout(idleTimeoutMs, () => this.#schedule(this.#session.expire()));
    socket.on('data', (chunk: Buffer) => this.#schedule(this.#session.receive(chunk)));
    socket.on('drain', () => {
      this.#isCongested = false;
      this.#regulate();
    });
    // A reset or a failed handshake is the client's affair; 'close' follows and does the rest.
    socket.on('error', () => {});
    socket.on('close', () => this.#close());
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.destroy();
    this.#options.onClosed();
  }

  /** Does a step now, or after the latency: timers of one duration end in the order in which they began. */
  #schedule(step: Step): void {
    const isNothing = step.output === '' && step.waitMs === 0 && step.ending === 'open';
    if (isNothing || this.#isEnding) return;
    if (step.waitMs > 0) this.#wait(step.waitMs);
    if (this.#options.latencyMs === 0) return this.#do(step);
    this.#delayedSteps += 1;
    this.#startTimer(this.#options.latencyMs, () => {
      this.#delayedSteps -= 1;
      this.#do(step);
    });
    this.#regulate();
  }

  #wait(waitMs: number): void {
    this.#isWaiting = true;
    this.#regulate();
    this.#startTimer(waitMs, () => {
      this.#isWaiting = false;
      this.#schedule(this.#session.resume());
      this.#regulate();
    });
  }

  #startTimer(ms: number, callback: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      callback();
    }, ms);
    this.#timers.add(timer);
  }

  #do(step: Step): void {
    if (this.#isEnding) return;
    switch (step.ending) {
      case 'open':
        this.#write(step.output);
        return this.#regulate();
      case 'upgrade':
        this.#write(step.output);
        return this.#upgrade();
      case 'close':
        this.#isEnding = true;
        this.#socket.end(step.output, 'latin1');
        // What the client still says is thrown away, so that its FIN is seen.
        this.#socket.resume();
        return undefined;
      case 'deaf':
        this.#write(step.output);
        this.#isDeaf = true;
        return this.#regulate();
      case 'drop':
        this.#isEnding = true;
        this.#socket.write(step.output, 'latin1', () => this.#socket.destroy());
        return undefined;
      default:
        return unreachable(step.ending);
    }
  }

  #write(output: string): void {
    if (output !== '' && !this.#socket.write(output, 'latin1')) this.#isCongested = true;
  }

  #regulate(): void {
    const isBusy = this.#isWaiting || this.#isDeaf;
    const isFull = isBusy || this.#isCongested || this.#delayedSteps > maxDelayedSteps;
    if (isFull === this.#isPaused) return;
    this.#isPaused = isFull;
    if (isFull) this.#socket.pause();
    else this.#socket.resume();
  }

  /** In the same turn as the write of the 220: the next octet that is read is TLS (RFC 3207 §4). */
  #upgrade(): void {
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('drain');
    plain.setTimeout(0);
    this.#isCongested = false;
    this.#isPaused = false;
    const secured = new TLSSocket(plain, { isServer: true, secureContext: this.#options.secureContext });
    this.#socket = secured;
    this.#listen(secured);
    this.#schedule(this.#session.secure());
  }
}
