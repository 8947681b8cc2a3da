// The server's side of one SMTP session (RFC 5321): octets in, replies out, no socket.
import { unreachable } from '../base/invariant.ts';
import { Answers, type Step } from './answers.ts';
import { AuthExchange, type AuthStep } from './auth.ts';
import { Body } from './body.ts';
import { formatEhloReply } from './extensions.ts';
import type { FaultPlan } from './fault_plan.ts';
import { GroupWatch } from './group_watch.ts';
import type { KeptMessage } from './kept_message.ts';
import type { SessionSettings } from './options.ts';
import { bareLf, Reader, tooLong } from './reader.ts';
import type { SandboxStats } from './stats.ts';
import { dotLineBytes, type TakenMessage, Transaction } from './transaction.ts';
import { ContentInspector, inspectCommand, type Violations } from './violations.ts';

/** Characters of a command line, AUTH apart; RFC 5321 §4.5.3.1.4 wants 512 and extensions add to it. */
const maxCommandLength = 2048;

/** What a session shares with its sandbox. */
export interface SessionHome {
  readonly settings: SessionSettings;
  readonly plan: FaultPlan;
  readonly stats: SandboxStats;
  /** Called for each message taken where something is to be kept. */
  keep(message: KeptMessage): void;
}

/**
 * What the next octets of the client are:
 * - command: a command line.
 * - auth: a response line of an AUTH exchange (`#exchange` is there).
 * - data: content up to CRLF.CRLF.
 * - octets: the rest of a BDAT, good or refused: it is counted off in either case (RFC 3030 §2).
 * - nothing: discarded, before the greeting.
 *
 * nothing → command by the greeting; command → auth, data, octets by their commands, and back when those are over. While
 * `#answers` is halted input is discarded whatever is expected: after the end, in silence, and between STARTTLS and TLS
 * (RFC 3207 §6).
 */
type Expectation = 'command' | 'auth' | 'data' | 'octets' | 'nothing';

/** The same input gives the same replies however it is cut into chunks. */
export class Session {
  readonly #home: SessionHome;
  readonly #settings: SessionSettings;
  readonly #number: number;
  readonly #violations: Violations;
  readonly #watch: GroupWatch;
  readonly #reader = new Reader();
  readonly #body: Body;
  readonly #answers: Answers;
  readonly #transaction: Transaction;
  #expects: Expectation = 'nothing';
  #isWaiting = false;
  #isSecure = false;
  #hello: 'none' | 'helo' | 'ehlo' | 'refused' = 'none';
  #user: string | undefined;
  #exchange: AuthExchange | undefined;

  /** `countFromClient` tells how many connections the client's IP address has open, this one included. */
  constructor(home: SessionHome, sessionNumber: number, countFromClient: () => number = () => 1) {
    this.#home = home;
    this.#settings = home.settings;
    this.#number = sessionNumber;
    const keepsContent = home.settings.keep === 'messages';
    this.#violations = home.stats.violations;
    this.#watch = new GroupWatch(this.#violations);
    const inspector = home.settings.inspect ? new ContentInspector(this.#violations) : undefined;
    this.#body = new Body(keepsContent ? home.settings.sizeLimitBytes + dotLineBytes : 0, inspector);
    this.#answers = new Answers(home.plan, home.stats, sessionNumber, countFromClient);
    this.#transaction = new Transaction(home.settings, this.#answers, this.#body);
  }

  /** Begins the session; to be called once, first. */
  open(): Step {
    if (this.#answers.ask('connect', []) === 'refused') this.#answers.ending = 'close';
    else if (this.#answers.ending === 'open' && !this.#answers.isMute()) {
      if (this.#settings.tls === 'implicit') this.#answers.ending = 'upgrade';
      else this.#greet();
    }
    return this.#takeStep();
  }

  /** TLS begins: whatever was known before it is forgotten (RFC 3207 §4.2). Nobody authenticates before it: 538. */
  secure(): Step {
    this.#isSecure = true;
    this.#answers.ending = 'open';
    this.#answers.isEnhanced = false;
    this.#hello = 'none';
    this.#transaction.reset();
    this.#reader.clear();
    if (this.#settings.tls === 'implicit') this.#greet();
    return this.#takeStep();
  }

  /** Takes octets from the client. During a wait they are only stored. */
  receive(chunk: Buffer): Step {
    this.#home.stats.receivedBytes += chunk.length;
    if (this.#expects === 'nothing' || this.#answers.isOver()) return nothingToDo;
    if (!this.#isWaiting && !this.#reader.hasInput()) this.#watch.catchUp();
    this.#reader.push(chunk);
    return this.#isWaiting ? nothingToDo : this.#run();
  }

  /** Goes on after a wait. */
  resume(): Step {
    this.#isWaiting = false;
    return this.#run();
  }

  /** The client has been quiet for too long (RFC 5321 §4.5.3.2.7). A session that a fault silenced stays as it is. */
  expire(): Step {
    if (this.#answers.isOver()) return nothingToDo;
    this.#answers.reply('421 4.4.2 Idle for too long\r\n');
    this.#answers.ending = 'close';
    return this.#takeStep();
  }

  #run(): Step {
    while (!this.#answers.isHalted() && this.#advance()) {
      if (this.#answers.takesLoss()) this.#reader.clear();
    }
    return this.#takeStep();
  }

  #takeStep(): Step {
    const step = this.#answers.takeStep();
    this.#isWaiting = step.waitMs > 0;
    return step;
  }

  /** Reads one unit of input; false where it is not all there. */
  #advance(): boolean {
    switch (this.#expects) {
      case 'nothing':
        return false;
      case 'data':
        if (this.#reader.hasInput()) this.#watch.noteContent();
        if (!this.#reader.readData(this.#body)) return false;
        this.#watch.noteEndOfData();
        this.#expects = 'command';
        this.#keep(this.#transaction.endData());
        return true;
      case 'octets':
        if (!this.#reader.readOctets(this.#body)) return false;
        this.#expects = 'command';
        this.#keep(this.#transaction.endBdat());
        return true;
      case 'command':
      case 'auth':
        return this.#advanceLine();
      default:
        return unreachable(this.#expects);
    }
  }

  #advanceLine(): boolean {
    const line = this.#reader.readLine();
    if (line === undefined) return false;
    if (line === bareLf) {
      this.#violations.bareLf += 1;
      this.#answers.reply('500 5.5.2 Lines end in CRLF, not in LF\r\n');
    } else if (line === tooLong) {
      this.#violations.longLine += 1;
      this.#answers.reply('500 5.5.2 Line too long\r\n');
    } else if (this.#expects === 'auth') this.#followAuth(this.#exchange?.respond(line));
    else this.#obey(line);
    return true;
  }

  #obey(line: string): void {
    this.#home.stats.commands += 1;
    const blank = line.indexOf(' ');
    const verb = (blank < 0 ? line : line.slice(0, blank)).toUpperCase();
    const argument = blank < 0 ? '' : line.slice(blank + 1).trimEnd();
    const { extensions } = this.#settings;
    this.#watch.noteCommand(verb, this.#hello === 'ehlo' && extensions.has('PIPELINING'));
    inspectCommand(line, extensions.has('SMTPUTF8'), this.#violations);
    if (line.length > maxCommandLength && verb !== 'AUTH') this.#answers.reply('500 5.5.2 Line too long\r\n');
    // RFC 5321 §3.1: after a greeting that refused, only QUIT is served.
    else if (this.#hello === 'refused' && verb !== 'QUIT')
      this.#answers.reply('503 Service refused, QUIT\r\n');
    else this.#dispatch(verb, argument);
  }

  #dispatch(verb: string, argument: string): void {
    switch (verb) {
      case 'MAIL':
        return this.#mail(argument);
      case 'RCPT':
        return this.#transaction.addRcpt(argument);
      case 'DATA':
        return this.#data(argument);
      case 'BDAT':
        return this.#bdat(argument);
      case 'RSET':
        this.#transaction.reset();
        return this.#answers.reply('250 2.0.0 Ok\r\n');
      case 'EHLO':
      case 'HELO':
        return this.#greetClient(verb, argument);
      case 'STARTTLS':
        return this.#startTls(argument);
      case 'AUTH':
        return this.#auth(argument);
      case 'QUIT':
        return this.#quit();
      case 'NOOP':
        return this.#answers.reply('250 2.0.0 Ok\r\n');
      case 'VRFY':
        return this.#answers.reply('252 2.0.0 Send a message, it will be taken or not\r\n');
      case 'HELP':
        return this.#answers.reply('214 2.0.0 RFC 5321 says it all\r\n');
      case 'EXPN':
        return this.#answers.reply('502 5.5.1 Not implemented\r\n');
      default:
        this.#violations.notOffered += 1;
        return this.#answers.reply('500 5.5.2 Command not recognized\r\n');
    }
  }

  #greet(): void {
    this.#expects = 'command';
    const leave = this.#answers.ask('greeting', []);
    if (leave === 'granted') this.#answers.accept('220 sandbox.localhost ESMTP Posthaste sandbox\r\n');
    else if (leave === 'refused') this.#hello = 'refused';
  }

  #greetClient(verb: 'EHLO' | 'HELO', argument: string): void {
    if (argument === '') return this.#answers.refuse('ehlo', `501 5.5.4 ${verb} needs a name\r\n`);
    if (verb === 'EHLO' && !this.#answers.mayGoOn('ehlo', [])) return;
    const { extensions, sizeLimitBytes, authMethods } = this.#settings;
    this.#hello = verb === 'EHLO' ? 'ehlo' : 'helo';
    this.#answers.isEnhanced = verb === 'EHLO' && extensions.has('ENHANCEDSTATUSCODES');
    this.#transaction.reset();
    if (verb === 'HELO') return this.#answers.reply('250 sandbox.localhost\r\n');
    const startTls = this.#mayStartTls();
    const offered = this.#mayAuthenticate() ? authMethods : [];
    const isSecure = this.#isSecure;
    this.#answers.accept(
      formatEhloReply({ extensions, sizeLimitBytes, startTls, isSecure, authMethods: offered }),
    );
  }

  #mayStartTls(): boolean {
    return this.#settings.tls === 'starttls' && !this.#isSecure;
  }

  #mayAuthenticate(): boolean {
    return this.#isSecure || this.#settings.tls === 'none';
  }

  #startTls(argument: string): void {
    if (!this.#mayStartTls())
      return this.#answers.refuseUnoffered('starttls', '502 5.5.1 STARTTLS not offered\r\n');
    if (argument !== '') return this.#answers.refuse('starttls', '501 5.5.4 STARTTLS takes no argument\r\n');
    if (!this.#answers.mayGoOn('starttls', [])) return;
    this.#answers.accept('220 2.0.0 Go ahead\r\n');
    // Unless it was dropped in place of the reply.
    if (this.#answers.ending === 'open') this.#answers.ending = 'upgrade';
  }

  #quit(): void {
    if (!this.#answers.mayGoOn('quit', [])) return;
    this.#answers.accept('221 2.0.0 Bye\r\n');
    if (this.#answers.ending === 'open') this.#answers.ending = 'close';
  }

  #auth(argument: string): void {
    const [method = '', initial, ...rest] = argument.split(' ');
    const { account, authMethods } = this.#settings;
    const known = authMethods.find((one) => one === method.toUpperCase());
    if (account === undefined) return this.#answers.refuseUnoffered('auth', '502 5.5.1 AUTH not offered\r\n');
    const disorder = this.#judgeOrderOfAuth();
    if (disorder !== undefined) return this.#answers.refuse('auth', disorder);
    if (known === undefined) return this.#answers.refuse('auth', '504 5.5.4 Mechanism not offered\r\n');
    if (rest.length > 0) return this.#answers.refuse('auth', '501 5.5.4 One initial response at most\r\n');
    if (!this.#answers.mayGoOn('auth', [])) return;
    this.#exchange = new AuthExchange(account, known);
    this.#followAuth(this.#exchange.begin(initial));
  }

  /** RFC 4954 §4: after EHLO, once only, and not inside a transaction. */
  #judgeOrderOfAuth(): string | undefined {
    if (!this.#mayAuthenticate()) return '538 5.7.11 Encryption required\r\n';
    if (this.#hello !== 'ehlo') return '503 5.5.1 EHLO first\r\n';
    if (this.#user !== undefined) return '503 5.5.1 Already authenticated\r\n';
    return this.#transaction.isOpen() ? '503 5.5.1 Not in a transaction\r\n' : undefined;
  }

  #followAuth(step: AuthStep | undefined): void {
    this.#expects = step?.kind === 'challenge' ? 'auth' : 'command';
    if (step?.kind === 'challenge') return this.#answers.reply(step.reply);
    this.#exchange = undefined;
    if (step?.kind === 'refused') this.#answers.refuse('auth', step.reply);
    if (step?.kind !== 'accepted') return;
    this.#user = step.user;
    this.#answers.accept('235 2.7.0 Authentication successful\r\n');
  }

  #mail(argument: string): void {
    if (this.#hello === 'none') return this.#answers.refuse('mail', '503 5.5.1 EHLO first\r\n');
    if (this.#settings.authRequired && this.#user === undefined) {
      return this.#answers.refuse('mail', '530 5.7.0 Authentication required\r\n');
    }
    this.#transaction.startMail(argument, this.#isSecure);
  }

  #data(argument: string): void {
    if (!this.#transaction.startData(argument)) return;
    this.#reader.beginData();
    this.#expects = 'data';
  }

  #bdat(argument: string): void {
    const sizeBytes = this.#transaction.startBdat(argument);
    if (sizeBytes === undefined) return;
    this.#reader.beginOctets(sizeBytes);
    this.#expects = 'octets';
  }

  #keep(taken: TakenMessage | undefined): void {
    if (taken === undefined || this.#settings.keep === 'none') return;
    const { mail, recipients, rcptParameters, chunked, acknowledged } = taken;
    this.#home.keep({
      session: this.#number,
      receivedAt: Date.now(),
      tls: this.#isSecure,
      user: this.#user,
      reversePath: mail.path,
      mailParameters: mail.parameters,
      recipients,
      rcptParameters,
      chunked,
      acknowledged,
      data: chunked ? this.#body.takeOctets() : this.#body.takeText(),
    });
  }
}

const nothingToDo: Step = { output: '', waitMs: 0, ending: 'open' };
