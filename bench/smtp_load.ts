// A pool with work that costs nothing to make: one prepared transaction over and over, so that only SMTP is measured.
import { Pool, type Work } from '../src/smtp/pool.ts';
import type { Settled, Transaction } from '../src/smtp/dialogue.ts';
import type { HandshakeFailure } from '../src/smtp/handshake.ts';
import type { RelayOptions } from '../src/smtp/relay.ts';
import type { Place } from './receiver.ts';

export const connections = 5;
export const inFlight = 16;
export const messageBytes = 2000;

export type Mode = 'off' | 'standard' | 'deep';
export const modes: readonly Mode[] = ['off', 'standard', 'deep'];

const line = `${'x'.repeat(70)}\r\n`;
const head = 'From: a@example.com\r\nTo: b@example.net\r\nSubject: measured\r\n\r\n';
const text = (head + line.repeat(Math.ceil(messageBytes / line.length))).slice(0, messageBytes - 2);
const transaction: Transaction = {
  mail: `MAIL FROM:<a@example.com> SIZE=${messageBytes}\r\n`,
  rcpt: 'RCPT TO:<b@example.net>\r\n',
  content: `${text}\r\n`,
};

/** Sends as many of the transaction as it is told to. A message that is not accepted is an error. */
export class SmtpLoad implements Work<Transaction> {
  readonly #pool: Pool<Transaction>;
  #waiting = 0;
  #unsettled = 0;
  #sent = Promise.withResolvers<void>();

  constructor(place: Place, mode: Mode) {
    this.#pool = new Pool(describeRelay(place, mode), connections, this, Math.random);
  }

  /** Resolves when so many more have been accepted. */
  async send(messages: number): Promise<void> {
    this.#sent = Promise.withResolvers();
    this.#waiting = messages;
    this.#unsettled = messages;
    this.#pool.wake();
    await this.#sent.promise;
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  get backlog(): number {
    return this.#waiting;
  }

  take(): Transaction | undefined {
    if (this.#waiting === 0) return undefined;
    this.#waiting -= 1;
    return transaction;
  }

  settle({ kind, verdict }: Settled<Transaction>): void {
    if (kind !== 'accepted') this.#sent.reject(new Error(`a message was ${kind}: ${verdict.text}`));
    this.#unsettled -= 1;
    if (this.#unsettled === 0) this.#sent.resolve();
  }

  relayFailed({ verdict }: HandshakeFailure): void {
    this.#sent.reject(new Error(`no session: ${verdict.text}`));
  }
}

function describeRelay({ host, port }: Place, mode: Mode): RelayOptions {
  return {
    name: 'bench',
    host,
    port,
    security: 'plain',
    maxConnections: connections,
    maxMessages: Infinity,
    pipelining: mode,
    inFlight,
    tls: { rejectUnauthorized: true },
    connectionTimeoutMs: 10_000,
    greetingTimeoutMs: 10_000,
    commandTimeoutMs: 30_000,
    endOfDataTimeoutMs: 30_000,
  };
}
