// A duel: our dialogue against the sandbox's session, without a socket or a clock; the sandbox is the independent model.
import { FaultPlan } from '../../../src/sandbox/fault_plan.ts';
import type { KeptMessage } from '../../../src/sandbox/kept_message.ts';
import { type SandboxOptions, settleSession } from '../../../src/sandbox/options.ts';
import { Session } from '../../../src/sandbox/session.ts';
import { emptyStats, type SandboxStats } from '../../../src/sandbox/stats.ts';
import type { Ending, Step } from '../../../src/sandbox/answers.ts';
import type { Reply } from '../../../src/mail/reply.ts';
import type { Failure } from '../../../src/mail/verdict.ts';
import { Dialogue, type SendingMode, type Settled, type Transaction } from '../../../src/smtp/dialogue.ts';
import { ReplyParser } from '../../../src/smtp/reply_parser.ts';

export interface Numbered extends Transaction {
  readonly number: number;
}

export function numbered(number: number, content = `Subject: ${number}\r\n\r\nhello\r\n`): Numbered {
  return {
    number,
    mail: `MAIL FROM:<from@a.example> SIZE=${content.length}\r\n`,
    rcpt: `RCPT TO:<r${number}@b.example>\r\n`,
    content,
  };
}

/** Cuts what one side has sent into the pieces in which the other one reads it. */
export type Cut = (octets: Buffer) => readonly Buffer[];

export const whole: Cut = (octets) => [octets];
export const octetByOctet: Cut = (octets) => Array.from(octets, (octet) => Buffer.from([octet]));

export interface DuelOptions {
  readonly mode: SendingMode;
  readonly transactions: readonly Numbered[];
  readonly sandbox?: SandboxOptions;
  /** In deep. */
  readonly window?: number;
  /** How replies are cut; whole where absent. */
  readonly cut?: Cut;
  /** How what we write is cut; whole where absent. */
  readonly cutOutput?: Cut;
}

export interface Duelled {
  readonly settled: readonly Settled<Numbered>[];
  /** What the sandbox took, in its order. */
  readonly messages: readonly KeptMessage[];
  readonly stats: SandboxStats;
  /** All that we have written. */
  readonly wire: string;
  readonly failure: Failure | undefined;
}

/** Sends transactions over one session until they are settled, or it is over. */
export function duel(options: DuelOptions): Duelled {
  return new Duel(options).run();
}

class Duel {
  readonly #cut: Cut;
  readonly #cutOutput: Cut;
  readonly #waiting: Numbered[];
  readonly #dialogue: Dialogue<Numbered>;
  readonly #parser = new ReplyParser();
  readonly #server: Session;
  readonly #messages: KeptMessage[] = [];
  readonly #stats = { ...emptyStats(), openConnections: 1 };
  readonly #settled: Settled<Numbered>[] = [];
  readonly #isDeep: boolean;
  readonly #window: number;
  #toClient = '';
  #toServer = '';
  #wire = '';
  #ending: Ending = 'open';
  #failure: Failure | undefined;

  constructor(options: DuelOptions) {
    this.#cut = options.cut ?? whole;
    this.#cutOutput = options.cutOutput ?? whole;
    this.#isDeep = options.mode === 'deep';
    this.#waiting = [...options.transactions];
    this.#dialogue = new Dialogue(options.mode);
    this.#window = options.window ?? 4;
    const sandbox = { keep: 'messages', inspect: true, ...options.sandbox } as const;
    const plan = new FaultPlan(sandbox.faults ?? [], 1, () => 0);
    const keep = (message: KeptMessage): void => void this.#messages.push(message);
    this.#server = new Session({ settings: settleSession(sandbox), plan, stats: this.#stats, keep }, 1);
    this.#follow(this.#server.open());
    this.#follow(this.#server.receive(Buffer.from('EHLO client.example\r\n')));
    this.#toClient = '';
  }

  run(): Duelled {
    this.#pump();
    while (this.#failure === undefined && !this.#dialogue.idle) {
      this.#serve();
      if (this.#toClient !== '') this.#read();
      else if (this.#toServer === '') this.#close(this.#describeEnd());
    }
    // What comes unasked is read, too: an idle session listens.
    if (this.#failure === undefined && this.#toClient !== '') this.#read();
    return {
      settled: this.#settled,
      messages: this.#messages,
      stats: this.#stats,
      wire: this.#wire,
      failure: this.#failure,
    };
  }

  #describeEnd(): Failure {
    const closed = this.#ending === 'close' || this.#ending === 'drop';
    return closed ? { kind: 'closed', text: 'closed' } : { kind: 'timeout', text: 'silence' };
  }

  #serve(): void {
    const octets = Buffer.from(this.#toServer, 'latin1');
    this.#toServer = '';
    if (octets.length === 0) return;
    for (const piece of this.#cutOutput(octets))
      if (this.#ending === 'open') this.#follow(this.#server.receive(piece));
  }

  #follow(first: Step): void {
    for (let step = first; ; step = this.#server.resume()) {
      this.#toClient += step.output;
      if (step.ending !== 'open') this.#ending = step.ending;
      if (step.waitMs === 0) return;
    }
  }

  #read(): void {
    const octets = Buffer.from(this.#toClient, 'latin1');
    this.#toClient = '';
    for (const piece of this.#cut(octets)) {
      if (this.#failure !== undefined) return;
      const replies: Reply[] = [];
      const problem = this.#parser.feed(piece, replies);
      for (const reply of replies) this.#dialogue.receive(reply);
      if (problem === undefined) this.#pump();
      else this.#close(this.#dialogue.closing ?? { kind: 'garbled', text: problem });
    }
  }

  #pump(): void {
    this.#settled.push(...this.#dialogue.takeSettled());
    // As on a real session, the first transaction goes alone.
    if (this.#settled.length > 0) this.#dialogue.setWindow(this.#window);
    if (this.#dialogue.closing !== undefined) return this.#close(this.#dialogue.closing);
    while (this.#dialogue.hasRoom && !(this.#isDeep && this.#dialogue.tryingGroup)) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#dialogue.begin(next);
    }
    const output = this.#dialogue.takeOutput();
    this.#toServer += output;
    this.#wire += output;
  }

  #close(failure: Failure): void {
    this.#failure = failure;
    this.#dialogue.close(failure);
    this.#settled.push(...this.#dialogue.takeSettled());
  }
}
