// Work for a pool in which each message has a reverse-path, a recipient and a content of its own number.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { KeptMessage } from '../../src/sandbox/kept_message.ts';
import type { Settled, Transaction } from '../../src/smtp/dialogue.ts';
import type { HandshakeFailure } from '../../src/smtp/handshake.ts';
import { Pool, type Work } from '../../src/smtp/pool.ts';
import type { RelayOptions } from '../../src/smtp/relay.ts';
import { account, bannedPrefix, unknownPrefix } from './policy.ts';

/** What the relay is to say of a message, and where. */
export type Fate = 'accepted' | 'refused at MAIL' | 'refused at RCPT';

export interface Numbered extends Transaction {
  readonly number: number;
  readonly fate: Fate;
}

/** Message `number` of a domain; its addresses are such as the relay's policy has that fate for. */
export function makeNumbered(domain: string, number: number, fate: Fate): Numbered {
  const from = `${fate === 'refused at MAIL' ? bannedPrefix : 'from'}-${number}@mail.example.com`;
  const to = `${fate === 'refused at RCPT' ? unknownPrefix : 'to'}-${number}@${domain}`;
  const lines = [`From: ${from}`, `To: ${to}`, `Subject: number ${number}`, '', `This is number ${number}.`];
  return {
    number,
    fate,
    mail: `MAIL FROM:<${from}>\r\n`,
    rcpt: `RCPT TO:<${to}>\r\n`,
    content: `${lines.join('\r\n')}\r\n`,
  };
}

export interface Worked {
  readonly settled: readonly Settled<Numbered>[];
  /** The most that had been begun and not settled at one time. */
  readonly mostInFlight: number;
}

/** Sends all over one session, in the order of the array; a relay that cannot be reached is an error. */
export async function sendNumbered(relay: RelayOptions, numbered: readonly Numbered[]): Promise<Worked> {
  const work = new NumberedWork(numbered);
  const pool = new Pool(relay, 1, work, Math.random);
  try {
    pool.wake();
    await work.done;
  } finally {
    await pool.close();
  }
  return work;
}

/** A relay that wants STARTTLS and our account, as Postfix and Exim do here. */
export function describeRelay(port: number, caFile: string): RelayOptions {
  return {
    name: 'peer',
    host: '127.0.0.1',
    port,
    security: 'starttls',
    auth: account,
    maxConnections: 1,
    maxMessages: 1_000_000,
    pipelining: 'deep',
    inFlight: 16,
    tls: { ca: readFileSync(caFile, 'utf8'), rejectUnauthorized: true },
    connectionTimeoutMs: 10_000,
    greetingTimeoutMs: 10_000,
    commandTimeoutMs: 30_000,
    endOfDataTimeoutMs: 30_000,
  };
}

/** What was to be accepted has arrived, once, under its own reverse-path; of the rest nothing has. */
export function assertOwnPaths(arrived: readonly KeptMessage[], numbered: readonly Numbered[]): void {
  const wanted = numbered
    .filter(({ fate }) => fate === 'accepted')
    .map(({ mail, rcpt, number }) => [pathIn(mail), pathIn(rcpt), `number ${number}.`]);
  const found = arrived.map(({ reversePath, recipients, data }) => [
    reversePath,
    recipients.join(),
    /This is (number \d+\.)\r\n$/.exec(data.toString())?.[1],
  ]);
  assert.deepEqual(found.map(String).toSorted(), wanted.map(String).toSorted());
}

function pathIn(command: string): string {
  return /<(.*)>/.exec(command)?.[1] ?? '';
}

class NumberedWork implements Work<Numbered> {
  readonly settled: Settled<Numbered>[] = [];
  mostInFlight = 0;
  readonly #numbered: readonly Numbered[];
  readonly #done = Promise.withResolvers<void>();
  #taken = 0;

  constructor(numbered: readonly Numbered[]) {
    this.#numbered = numbered;
  }

  /** Resolves when all are settled. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  get backlog(): number {
    return this.#numbered.length - this.#taken;
  }

  take(): Numbered | undefined {
    const taken = this.#numbered[this.#taken];
    if (taken === undefined) return undefined;
    this.#taken += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.#taken - this.settled.length);
    return taken;
  }

  settle(settled: Settled<Numbered>): void {
    this.settled.push(settled);
    if (this.settled.length === this.#numbered.length) this.#done.resolve();
  }

  relayFailed({ verdict }: HandshakeFailure): void {
    this.#done.reject(new Error(`no session: ${verdict.text}`));
  }
}
