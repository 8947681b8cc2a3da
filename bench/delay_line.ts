// The thread of delay_proxy.ts: passes bytes on when they are due, in order, however many are on their way.
import { connect, createServer, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { Place } from './receiver.ts';

/** What the thread is given. */
export interface DelayLine {
  readonly target: Place;
  readonly roundTripMs: number;
}

interface Piece {
  readonly dueAt: number;
  /** undefined: the sender has ended. */
  readonly bytes: Buffer | undefined;
}

/** On the line in one direction; far more than any sender here has unanswered. */
const maxOnTheWayBytes = 16_777_216;

/** One direction of a connection. Pieces are as they were read; each has its own time, so the order stays. */
class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delayMs: number;
  #pieces: Piece[] = [];
  #onTheWayBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, delayMs: number) {
    this.#from = from;
    this.#to = to;
    this.#delayMs = delayMs;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#take(undefined));
  }

  #take(bytes: Buffer | undefined): void {
    this.#pieces.push({ dueAt: performance.now() + this.#delayMs, bytes });
    this.#onTheWayBytes += bytes?.length ?? 0;
    if (this.#onTheWayBytes > maxOnTheWayBytes) this.#from.pause();
    if (this.#timer === undefined) this.#wait();
  }

  #wait(): void {
    const [first] = this.#pieces;
    if (first === undefined) return;
    this.#timer = setTimeout(() => this.#release(), Math.max(1, first.dueAt - performance.now()));
  }

  /** A timer may come a little early; what is not due yet waits for the next one. */
  #release(): void {
    this.#timer = undefined;
    const now = performance.now();
    const later = this.#pieces.findIndex((piece) => piece.dueAt > now);
    for (const { bytes } of this.#pieces.splice(0, later === -1 ? this.#pieces.length : later)) {
      if (bytes === undefined) this.#to.end();
      else this.#to.write(bytes);
      this.#onTheWayBytes -= bytes?.length ?? 0;
    }
    if (this.#onTheWayBytes <= maxOnTheWayBytes) this.#from.resume();
    this.#wait();
  }
}

function join(client: Socket, { target, roundTripMs }: DelayLine): void {
  const server = connect({ ...target, noDelay: true, allowHalfOpen: true });
  for (const [one, other] of [
    [client, server],
    [server, client],
  ] as const) {
    one.on('error', () => other.destroy());
    // oxlint-disable-next-line no-new -- it lives by its socket's events
    new Direction(one, other, roundTripMs / 2);
  }
  client.resume();
}

const line: DelayLine = workerData;
const proxy = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
  // SYN there, SYN-ACK back, ACK there: then a server has its connection and speaks.
  setTimeout(() => join(client, line), line.roundTripMs * 1.5);
});
proxy.listen(0, line.target.host, () => {
  const address = proxy.address();
  // oxlint-disable-next-line require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(address === null || typeof address === 'string' ? undefined : address.port);
});
