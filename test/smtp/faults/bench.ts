// A pool with work that a test hands out, against the sandbox or a relay that a test scripts.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { parseFault } from '../../../src/sandbox/fault_text.ts';
import type { SandboxOptions } from '../../../src/sandbox/options.ts';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.ts';
import type { SendingMode, Settled } from '../../../src/smtp/dialogue.ts';
import type { HandshakeFailure } from '../../../src/smtp/handshake.ts';
import { Pool, type Work } from '../../../src/smtp/pool.ts';
import type { RelayOptions } from '../../../src/smtp/relay.ts';
import { numbered, type Numbered } from './duel.ts';

export const modes: readonly SendingMode[] = ['off', 'standard', 'deep'];

const patienceMs = 15_000;

export class Bench implements Work<Numbered> {
  readonly settled: Settled<Numbered>[] = [];
  readonly failures: HandshakeFailure[] = [];
  readonly #waiting: Numbered[] = [];

  get backlog(): number {
    return this.#waiting.length;
  }

  add(transactions: readonly Numbered[]): void {
    this.#waiting.push(...transactions);
  }

  take(): Numbered | undefined {
    return this.#waiting.shift();
  }

  settle(settled: Settled<Numbered>): void {
    this.settled.push(settled);
  }

  relayFailed(failure: HandshakeFailure): void {
    this.failures.push(failure);
    this.#waiting.length = 0;
  }

  /** "1 accepted, 2 rejected", by number. */
  outcomes(): string {
    const sorted = this.settled.toSorted((a, b) => a.transaction.number - b.transaction.number);
    return sorted.map((one) => `${one.transaction.number} ${one.kind}`).join(', ');
  }
}

export interface Bed {
  readonly work: Bench;
  readonly pool: Pool<Numbered>;
  /** Hands out transactions with these numbers, and waits until as many more are settled. */
  readonly send: (...numbers: readonly number[]) => Promise<void>;
  readonly sendAll: (transactions: readonly Numbered[]) => Promise<void>;
}

/** A pool of one session unless `share` says otherwise, to whatever listens on `port`. */
export function openBed(
  context: TestContext,
  port: number,
  more: Partial<RelayOptions> = {},
  share = 1,
): Bed {
  const work = new Bench();
  const pool = new Pool(relayAt(port, more), share, work, () => 0.5);
  context.after(async () => {
    // Scripts end without an answer to QUIT; nobody has to wait for that.
    pool.abort();
    await pool.close();
  });
  const sendAll = async (transactions: readonly Numbered[]): Promise<void> => {
    const expected = work.settled.length + transactions.length;
    work.add(transactions);
    pool.wake();
    await until(
      () => work.settled.length >= expected,
      () => work.outcomes(),
    );
  };
  const send = (...numbers: readonly number[]): Promise<void> =>
    sendAll(numbers.map((number) => numbered(number)));
  return { work, pool, send, sendAll };
}

/** Against a sandbox with these faults, that inspects everything; the test fails if we violated anything. */
export async function openSandbox(
  context: TestContext,
  mode: SendingMode,
  faults: readonly string[],
  options: SandboxOptions = {},
  more: Partial<RelayOptions> = {},
  share = 1,
): Promise<Bed & { readonly sandbox: Sandbox }> {
  const sandbox = await startSandbox({
    keep: 'messages',
    inspect: true,
    faults: faults.map(parseFault),
    ...options,
  });
  // Hooks run in the order in which they were added: the pool's goes first.
  const bed = openBed(context, sandbox.port, { pipelining: mode, ...more }, share);
  context.after(async () => {
    const broken = Object.entries(sandbox.stats().violations).filter(([, count]) => count > 0);
    await sandbox.close();
    assert.deepEqual(broken, []);
  });
  return { ...bed, sandbox };
}

function relayAt(port: number, more: Partial<RelayOptions>): RelayOptions {
  return {
    name: 'test',
    host: '127.0.0.1',
    port,
    security: 'plain',
    maxConnections: 5,
    maxMessages: 100,
    pipelining: 'auto',
    inFlight: 8,
    tls: { rejectUnauthorized: true },
    connectionTimeoutMs: 5000,
    greetingTimeoutMs: 5000,
    commandTimeoutMs: 5000,
    endOfDataTimeoutMs: 5000,
    ...more,
  };
}

/** Waits for what must happen; `describe` says what was there instead. */
export async function until(condition: () => boolean, describe = (): string => ''): Promise<void> {
  const deadlineAt = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > deadlineAt)
      throw new Error(`what the test waits for did not happen within ${patienceMs} ms: ${describe()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
