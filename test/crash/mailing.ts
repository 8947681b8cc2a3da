// A mailing that is broken off again and again, and what relay, log and results say of it in the end.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { SandboxOptions } from '../../src/sandbox/options.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import {
  campaignYaml,
  Folder,
  makeList,
  summaryIn,
  type Ended,
  type Running,
  type StartOptions,
} from '../cli/posthaste.ts';

export interface MailingOptions {
  readonly rows: number;
  readonly inDoubt?: 'resend' | 'hold';
  /** posthaste.yaml. */
  readonly config?: string;
  /** More of the relay's URL. */
  readonly relay?: string;
  readonly sandbox?: SandboxOptions;
  /** Where the ledger is, if not in the folder. */
  readonly state?: string;
}

/** One command, one list, one relay that remembers what it took. */
export class Mailing {
  readonly sandbox: Sandbox;
  readonly folder: Folder;
  readonly rows: number;
  readonly state: string;
  /** The list's file. */
  list = 'list.csv';
  /** Rows that the log of some run named as in doubt. */
  readonly reported = new Set<number>();
  readonly #hold: boolean;
  readonly #relay: string;

  constructor(context: TestContext, sandbox: Sandbox, options: MailingOptions) {
    const { rows, inDoubt = 'resend', config = 'log: { level: info }\n' } = options;
    this.sandbox = sandbox;
    this.rows = rows;
    this.#hold = inDoubt === 'hold';
    this.#relay = options.relay ?? 'maxConnections=5&maxMessages=1000';
    this.folder = new Folder(context, {
      'campaign.yaml': `${campaignYaml}inDoubt: ${inDoubt}\n`,
      'list.csv': makeList(rows),
      'posthaste.yaml': config,
    });
    this.state = options.state ?? join(this.folder.path, 'state');
  }

  /** Starts the command; `args` come behind those that are always the same. */
  start(options: StartOptions = {}, args: readonly string[] = []): Running {
    const url = `smtp://127.0.0.1:${this.sandbox.port}?${this.#relay}`;
    const always = ['send', 'campaign.yaml', this.list, '--relay', url, '--state', this.state, '--json'];
    const running = this.folder.start([...always, '--results', 'out.csv', ...args], options);
    return { ...running, ended: running.ended.then((ended) => this.#noteReported(ended)) };
  }

  run(options: StartOptions = {}, args: readonly string[] = []): Promise<Ended> {
    return this.start(options, args).ended;
  }

  /** How often each row's message was taken. */
  taken(): Map<number, number> {
    const taken = new Map<number, number>();
    for (const { recipients } of this.sandbox.messages()) {
      const row = rowOf(recipients[0] ?? '');
      taken.set(row, (taken.get(row) ?? 0) + 1);
    }
    return taken;
  }

  sentTwice(): number[] {
    return [...this.taken()].filter(([, times]) => times > 1).map(([row]) => row);
  }

  /** Row → the cells of the results that tests ask for. */
  results(): Map<number, { readonly status: string; readonly attempts: number }> {
    const lines = this.folder.read('out.csv').trimEnd().split('\r\n').slice(1);
    return new Map(
      lines.map((line) => {
        // No field of these lists or replies holds a comma or a quote.
        const [address = '', , status = '', , , , , , attempts] = line.split(',');
        return [rowOf(address), { status, attempts: Number(attempts) }];
      }),
    );
  }

  /** 0 lost; twice only those who were named; with hold nobody twice; and the summary says what the relay knows. */
  assertTruthful(last: Ended): void {
    assert.equal(last.code, 0, last.stderr);
    const taken = this.taken();
    const all = Array.from({ length: this.rows }, (_, index) => index + 1);
    const mayLack = this.#hold ? this.reported : new Set<number>();
    assert.deepEqual(
      all.filter((row) => !taken.has(row) && !mayLack.has(row)),
      [],
      'lost',
    );
    const twice = this.sentTwice();
    assert.deepEqual(
      twice.filter((row) => this.#hold || !this.reported.has(row)),
      [],
      'sent twice, and nobody was told',
    );
    const { accepted, inDoubt } = summaryIn(last);
    assert.deepEqual([accepted + inDoubt, inDoubt], [this.rows, this.#hold ? this.reported.size : 0]);
    assert.deepEqual(this.journals(), [], 'journals go once all is settled');
  }

  /** The files of the journals. */
  journals(): string[] {
    const directory = join(this.state, 'journal');
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  /** The log has one object a line. */
  #noteReported(ended: Ended): Ended {
    for (const { row, address } of namedInDoubt(ended.stderr)) {
      assert.equal(address, `reader${row}@example.com`);
      this.reported.add(row);
    }
    return ended;
  }
}

/** A mailing with a sandbox of its own, both gone when the test ends. */
export async function openMailing(context: TestContext, options: MailingOptions): Promise<Mailing> {
  const sandbox = await startSandbox({ keep: 'envelopes', ...options.sandbox });
  context.after(() => sandbox.close());
  return new Mailing(context, sandbox, options);
}

/** The recipients that a log names as in doubt. */
export function namedInDoubt(log: string): { row: number; address: string }[] {
  return log.split('\n').flatMap((line) => {
    if (!line.includes('"in doubt: ')) return [];
    const { inDoubt }: { inDoubt: { row: number; address: string }[] } = JSON.parse(line);
    return inDoubt;
  });
}

/** What `posthaste audit` says, as far as it is asked for. */
interface Audited {
  readonly differences: readonly unknown[];
  readonly tally: Readonly<Record<string, number>>;
  /** Answered, as only the journals know. */
  readonly unsettled: number;
  readonly inDoubt: number;
}

/** What ledger and journals claim is so, and everybody who was taken is known: as accepted, or as in doubt. */
export async function assertKnown(mailing: Mailing): Promise<void> {
  const ended = await mailing.folder.run(['audit', 'spring', '--state', mailing.state, '--json']);
  const taken = mailing.taken().size;
  // There is no campaign before the first transaction.
  if (ended.code === 66) return assert.equal(taken, 0);
  const { differences, tally, unsettled, inDoubt }: Audited = JSON.parse(ended.stdout);
  assert.deepEqual(differences, [], ended.stdout);
  const known = (tally['accepted'] ?? 0) + unsettled;
  assert.ok(known <= taken, `${known} are said to be accepted, ${taken} were taken`);
  const doubts = inDoubt + mailing.reported.size;
  assert.ok(known + doubts >= taken, `${taken} were taken, ${known} are accepted and ${doubts} in doubt`);
}

/** Waits for a fact. A minute is more than any machine needs. */
export async function until(fact: () => boolean): Promise<void> {
  const deadlineAt = performance.now() + 60_000;
  while (!fact()) {
    if (performance.now() > deadlineAt) throw new Error('what the test waits for did not happen within 60 s');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export function rowOf(address: string): number {
  return Number(/^reader(\d+)@/.exec(address)?.[1]);
}
