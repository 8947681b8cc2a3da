// The dialogue: the order of SMTP commands on one session, and which reply answers which. It touches no socket.
import { unreachable } from '../base/invariant.ts';
import type { OutcomeKind } from '../mail/outcome.ts';
import { formatReply, type Reply } from '../mail/reply.ts';
import { judgeFailure, judgeReply, type Failure, type Verdict } from '../mail/verdict.ts';
import { Outbox } from './outbox.ts';
import { ReplyMarks } from './reply_marks.ts';
import { judgeUnanswered } from './unanswered.ts';

/** One message to one recipient. Strings are octets (mail/octets.ts) and end in CRLF. */
export interface Transaction {
  /** "MAIL FROM:<…> SIZE=…\r\n" */
  readonly mail: string;
  /** "RCPT TO:<…>\r\n" */
  readonly rcpt: string;
  /** The message; no line begins with a dot, so it needs no dot-stuffing (RFC 5321 §4.5.2). */
  readonly content: string;
}

export interface Settled<T extends Transaction> {
  readonly transaction: T;
  readonly kind: OutcomeKind;
  readonly verdict: Verdict;
}

/**
 * off: one command at a time. standard: RFC 2920 within a message and across messages, one round trip a message.
 * deep: whole transactions with BDAT (RFC 3030), as many at once as `window` says.
 */
export type SendingMode = 'off' | 'standard' | 'deep';

/*
 * An exchange is one transaction on the wire. `awaiting` is the command whose reply comes next for it:
 *
 *   reset ──2yz──▶ mail ──▶ rcpt ──▶ data ──3yz──▶ end ──▶ settled
 *                   │         │        │             2yz accepted · 4yz deferred · 5yz rejected
 *                   ▼ refused ▼        ▼
 *
 *   off        refused: settled at once; the next command is written when a reply has come
 *   standard   refused: the replies to the rest of the group are read and thrown away; a 354 among them is answered
 *              with a lone dot (RFC 2920 §3.1), then settled
 *   deep       there is no data stage: after rcpt comes end, the reply to BDAT LAST; refused as in standard
 *
 * Sending and receiving are apart: `#outbox` is what is to be written, `#exchanges` what is to be answered, oldest
 * first. What they may look like:
 *
 *   off        [ any ]
 *   standard   [ any ]  or  [ n awaiting end, n+1 before its content ]: one write = content(n) "." MAIL(n+1)
 *              RCPT(n+1) DATA, for RFC 2920 §3.1 allows content as the first of a group
 *   deep       up to `window`; all content is written
 *
 * RSET is written where MAIL may still be in force: after a refused RCPT or DATA, and in deep before every
 * transaction but the first of an idle session. RFC 3030 §2: after a failed BDAT the state is indeterminate until
 * RSET; a relay that kept the failed MAIL would take the next RCPT and BDAT under the wrong reverse-path.
 *
 * Replies answer exchanges in order, by count alone (RFC 2920 §3.1). Where a reply fits no rule, or answers what was not
 * asked yet, somebody has lost count: the session is poisoned, and neither what was said of the exchange at hand is believed,
 * nor what was said of those before it that are not confirmed. What confirms is a reply that only one command can have, or
 * that nothing is left that could answer for another:
 *
 *   standard   the 354 of the next one, or nothing on the wire behind it
 *   deep       the next one's own reply to MAIL, or nothing on the wire behind it
 *
 * Once `closing` is set nothing more is begun; whatever is unanswered is settled by `close`.
 *
 * Octets are counted from the beginning of the session. What is still in `#outbox` was never sent:
 *
 *   MAIL…RCPT…DATA | content . | MAIL…
 *   ^ askedAt        ^ askedAt ^ endsAt      all that was taken is the socket's
 */
interface Exchange<T extends Transaction> {
  readonly transaction: T;
  awaiting: 'reset' | 'mail' | 'rcpt' | 'data' | 'end';
  /** Set by the first refusal; later replies of the group do not change it. */
  refusal: Settled<T> | undefined;
  /** MAIL was taken, so the relay holds an open transaction until end of data or RSET. */
  open: boolean;
  /** In deep: only RSET is written so far, to see whether the relay is still there; the rest follows its reply. */
  held: boolean;
  /** Begun while another was on the wire: it stands behind that one's commands in a group. */
  readonly follows: boolean;
  readonly beganWith: 'reset' | 'mail';
  /** Where the group, or the single command, stands that is awaited. */
  askedAt: number;
  /** Where the octet stands without which the relay cannot have the whole message. */
  endsAt: number;
}

export class Dialogue<T extends Transaction> {
  readonly #mode: SendingMode;
  #exchanges: Exchange<T>[] = [];
  readonly #outbox = new Outbox();
  #settled: Settled<T>[] = [];
  /** Settled, and told once it is confirmed. */
  #unconfirmed: Settled<T>[] = [];
  #mustReset = false;
  #quitting = false;
  #closing: Failure | undefined;
  /** The relay has said 421: it works on nothing more (RFC 5321 §3.8). */
  #dismissed = false;
  #errorsInARow = 0;
  /** In deep no 354 shows in time that replies and commands have come apart. */
  readonly #marks = new ReplyMarks();
  #window = 1;
  #followerAnswered = false;

  constructor(mode: SendingMode) {
    this.#mode = mode;
  }

  /** Why this session must be closed now, if it must. */
  get closing(): Failure | undefined {
    return this.#closing;
  }

  /** True when no reply to a transaction is outstanding. */
  get idle(): boolean {
    return this.#exchanges.length === 0;
  }

  /** Transactions on the wire. */
  get inFlight(): number {
    return this.#exchanges.length;
  }

  /** The stage whose reply comes next, for timeouts. */
  get awaiting(): Exchange<T>['awaiting'] | 'idle' {
    return this.#exchanges[0]?.awaiting ?? 'idle';
  }

  /** True while the content of the message whose turn it is has not all been taken. */
  get transferring(): boolean {
    const head = this.#exchanges[0];
    return head !== undefined && head.awaiting === 'end' && !this.#hasEnded(head);
  }

  /** True while something that the next reply waits for has not been taken. */
  get asking(): boolean {
    const head = this.#exchanges[0];
    return head === undefined || this.transferring || !this.#wasAsked(head);
  }

  /** True when the next reply is to a command behind another one in its group, whose reply has come. */
  get insideGroup(): boolean {
    const head = this.#exchanges[0];
    if (head === undefined || this.#mode === 'off') return false;
    if (head.awaiting === 'end') return this.#mode === 'deep';
    return head.follows || head.awaiting !== head.beganWith;
  }

  /**
   * True while a transaction is on the wire behind another one and none such has been answered on this session. A relay
   * that loses what stands behind an end of data (RFC 2920 §2) would answer for it with the next one's replies.
   */
  get tryingGroup(): boolean {
    return !this.#followerAnswered && this.#exchanges.some((exchange) => exchange.follows);
  }

  /** In deep: the relay's positive replies show which stage they are of, so that a lost count would be noticed in a window. */
  get tellsStagesApart(): boolean {
    return this.#marks.discern;
  }

  /** Octets that wait to be taken. */
  get outputLength(): number {
    return this.#outbox.length;
  }

  /** 4yz and 5yz replies since a message was last accepted: servers count them, too, and lose patience. */
  get errorsInARow(): number {
    return this.#errorsInARow;
  }

  /** In deep: how many transactions may be on the wire at once; 1 at first. */
  setWindow(transactions: number): void {
    this.#window = transactions;
  }

  /** True when a transaction may be begun now. */
  get hasRoom(): boolean {
    if (this.#closing !== undefined || this.#quitting) return false;
    const waiting = this.#exchanges.length;
    switch (this.#mode) {
      case 'off':
        return waiting === 0;
      case 'standard':
        return waiting === 0 || (waiting === 1 && this.#exchanges[0]?.awaiting === 'end');
      case 'deep':
        return waiting < this.#window && this.#exchanges[0]?.held !== true;
      default:
        return unreachable(this.#mode);
    }
  }

  /**
   * Begins a transaction. Only while `hasRoom`. `afterSilence`: nothing was heard of the relay for a while, and it may have closed
   * the session: then deep sends no content before it has answered, lest a message that nobody took is in doubt.
   */
  begin(transaction: T, afterSilence = false): void {
    const deep = this.#mode === 'deep';
    const follows = this.#exchanges.length > 0;
    const held = deep && afterSilence && !follows;
    const reset = this.#mustReset || (deep && follows) || held;
    this.#mustReset = false;
    const awaiting = reset ? 'reset' : 'mail';
    const exchange: Exchange<T> = {
      transaction,
      awaiting,
      refusal: undefined,
      open: false,
      held,
      follows,
      beganWith: awaiting,
      askedAt: this.#outbox.end,
      endsAt: Infinity,
    };
    this.#exchanges.push(exchange);
    if (reset) this.#outbox.put('RSET\r\n');
    const { mail, rcpt } = transaction;
    if (deep && !held) this.#putWhole(exchange);
    else if (this.#mode === 'standard') this.#outbox.put(`${mail}${rcpt}DATA\r\n`);
    else if (!reset) this.#outbox.put(mail);
  }

  /** RFC 3030 §4.2: the content stands in the group, for its length is known. */
  #putWhole(exchange: Exchange<T>): void {
    const { mail, rcpt, content } = exchange.transaction;
    this.#outbox.put(`${mail}${rcpt}BDAT ${content.length} LAST\r\n${content}`);
    exchange.endsAt = this.#outbox.end - 1;
  }

  /** Says goodbye; nothing is begun afterwards. Only while `idle`. */
  quit(): void {
    this.#quitting = true;
    this.#outbox.put('QUIT\r\n');
  }

  /** The transactions whose end of data is among the next `mostOctets` to be taken: from then on they may be in doubt. */
  endingWithin(mostOctets: number): T[] {
    const ending: T[] = [];
    for (const { refusal, endsAt, transaction } of this.#exchanges) {
      // The lone dot of a refused one ends nothing.
      if (refusal === undefined && this.#outbox.takesNext(endsAt, mostOctets)) ending.push(transaction);
    }
    return ending;
  }

  /** Takes what is to be written, at most so many octets, one a character. What is taken counts as sent. */
  takeOutput(mostOctets = Infinity): string {
    return this.#outbox.take(mostOctets);
  }

  /** Takes what has been settled since the last call, in the order of `begin`. */
  takeSettled(): Settled<T>[] {
    const settled = this.#settled;
    if (settled.length > 0) this.#settled = [];
    return settled;
  }

  /** Takes the next reply. After a 421 or a reply that fits nothing, `closing` is set. */
  receive(reply: Reply): void {
    if (this.#closing !== undefined) return;
    const exchange = this.#exchanges[0];
    if (exchange === undefined || !this.#wasAsked(exchange)) return this.#receiveUnasked(reply);
    if (reply.replyCode >= 400) this.#errorsInARow += 1;
    if (this.#isOutOfStep(exchange, reply)) return this.#poison(reply);
    this.#advance(exchange, reply);
    // RFC 5321 §3.8: the server is about to close, whatever it answered.
    if (reply.replyCode === 421) this.#sayClosed(`the relay said ${formatReply(reply)}`);
  }

  /** The session is over: settles everything that is unanswered, each by how far it had come. */
  close(failure: Failure): void {
    this.#closing ??= failure;
    this.#outbox.clear();
    if (failure.kind === 'timeout') this.#doubtBeforeSilence();
    this.#confirm();
    for (const [position, exchange] of this.#exchanges.entries())
      this.#settled.push(exchange.refusal ?? this.#settleUnanswered(exchange, position === 0, this.#closing));
    this.#exchanges = [];
  }

  /**
   * In standard, silence within a group may mean that one was settled with the next one's reply. Where the next one has had no
   * reply at all, a relay has rather lost what stood behind the end of data (RFC 2920 §2), and its 2yz is believed: who has
   * the message should not get it twice.
   */
  #doubtBeforeSilence(): void {
    const next = this.#exchanges[0];
    if (this.#mode !== 'standard' || next === undefined) return;
    const isUntouched = next.awaiting === next.beganWith;
    this.#unconfirmed = this.#unconfirmed.map((one) =>
      isUntouched && one.kind === 'accepted' ? one : this.#doubt(one),
    );
  }

  #settleUnanswered(exchange: Exchange<T>, isHead: boolean, failure: Failure): Settled<T> {
    const howFar = {
      awaiting: exchange.awaiting,
      hasEnded: this.#hasEnded(exchange),
      isHead,
      isLockStep: this.#mode === 'off',
      dismissed: this.#dismissed,
    };
    return { transaction: exchange.transaction, ...judgeUnanswered(howFar, failure) };
  }

  #isOutOfStep({ awaiting }: Exchange<T>, reply: Reply): boolean {
    if (this.#mode !== 'deep' || reply.replyCode >= 300 || awaiting === 'data') return false;
    return !this.#marks.fits(awaiting, reply);
  }

  #receiveUnasked(reply: Reply): void {
    const said = formatReply(reply);
    if (this.#quitting || reply.replyCode === 421)
      this.#sayClosed(`the relay closed an idle session: ${said}`);
    else {
      this.#distrust(`a reply that nothing asked for: ${said}`);
      // It may be the very one that the last of them was settled without; one that also says yes changes nothing.
      const confirms = this.#mode !== 'deep' && reply.replyCode < 300;
      this.#settled = this.#settled.map((one) =>
        confirms && one.kind === 'accepted' ? one : this.#doubt(one),
      );
    }
  }

  #distrust(text: string): void {
    this.#closing = { kind: 'garbled', text };
    // What was settled just before may have been so by another's reply.
    this.#unconfirmed = this.#unconfirmed.map((one) => this.#doubt(one));
  }

  #confirm(): void {
    if (this.#unconfirmed.length === 0) return;
    this.#settled.push(...this.#unconfirmed);
    this.#unconfirmed = [];
  }

  #doubt(settled: Settled<T>): Settled<T> {
    const { transaction, verdict } = settled;
    if (verdict.stage !== 'end' || this.#closing === undefined) return settled;
    return { transaction, kind: 'inDoubt', verdict: judgeFailure('end', this.#closing) };
  }

  #wasAsked(exchange: Exchange<T>): boolean {
    return this.#outbox.hasTaken(exchange.askedAt);
  }

  /** The end of data may have been sent: without its reply nobody can know (RFC 1047). */
  #hasEnded(exchange: Exchange<T>): boolean {
    return this.#outbox.hasTaken(exchange.endsAt);
  }

  #ask(exchange: Exchange<T>, command: string): void {
    exchange.askedAt = this.#outbox.end;
    this.#outbox.put(command);
  }

  #sayClosed(text: string): void {
    this.#dismissed = true;
    this.#confirm();
    this.#closing ??= { kind: 'closed', text };
  }

  /** The one place where an exchange moves on. */
  #advance(exchange: Exchange<T>, reply: Reply): void {
    switch (exchange.awaiting) {
      case 'reset':
        if (reply.replyCode >= 300) return reply.replyCode === 421 ? undefined : this.#poison(reply);
        exchange.awaiting = 'mail';
        if (this.#mode === 'off') this.#ask(exchange, exchange.transaction.mail);
        else if (exchange.held) this.#release(exchange);
        return;
      case 'mail':
        return this.#receiveMail(exchange, reply);
      case 'rcpt':
        if (this.#mode === 'standard' && exchange.follows && contradictsMail(exchange.open, reply))
          return this.#poison(reply);
        if (reply.replyCode >= 300 && !this.#refuse(exchange, 'rcpt', reply)) return;
        exchange.awaiting = this.#mode === 'deep' ? 'end' : 'data';
        if (this.#mode === 'off') this.#ask(exchange, 'DATA\r\n');
        return;
      case 'data':
        return this.#receiveData(exchange, reply);
      case 'end':
        return this.#receiveEnd(exchange, reply);
      default:
        unreachable(exchange.awaiting);
    }
  }

  #release(exchange: Exchange<T>): void {
    exchange.held = false;
    exchange.askedAt = this.#outbox.end;
    this.#putWhole(exchange);
  }

  #receiveMail(exchange: Exchange<T>, reply: Reply): void {
    if (this.#mode === 'deep') this.#confirm();
    // A nested MAIL: the relay holds another one, and what follows may have gone out under its reverse-path.
    const followsOther = exchange.follows || exchange.beganWith === 'reset';
    if (this.#mode !== 'off' && followsOther && reply.replyCode === 503) return this.#poison(reply);
    if (reply.replyCode < 300) exchange.open = true;
    else if (!this.#refuse(exchange, 'mail', reply)) return;
    exchange.awaiting = 'rcpt';
    if (this.#mode === 'off') this.#ask(exchange, exchange.transaction.rcpt);
  }

  #receiveData(exchange: Exchange<T>, reply: Reply): void {
    if (reply.replyCode < 300) return this.#poison(reply);
    if (reply.replyCode < 400) this.#confirm();
    if (reply.replyCode >= 400) {
      if (this.#refuse(exchange, 'data', reply)) this.#finish(exchange);
      return;
    }
    exchange.awaiting = 'end';
    // RFC 2920 §3.1: DATA behind a refused RCPT may still get 354; a lone dot ends it.
    const content = exchange.refusal === undefined ? exchange.transaction.content : '';
    this.#ask(exchange, `${content}.\r\n`);
    exchange.endsAt = exchange.askedAt + content.length;
  }

  #receiveEnd(exchange: Exchange<T>, reply: Reply): void {
    if (this.#fitsNoEnd(exchange, reply)) return this.#poison(reply);
    if (exchange.refusal === undefined && this.transferring)
      this.#closing = { kind: 'closed', text: `the relay refused a message midway: ${formatReply(reply)}` };
    if (exchange.refusal === undefined && reply.replyCode < 300) this.#errorsInARow = 0;
    // DATA is over with any reply; a BDAT that failed leaves MAIL in force (RFC 3030 §2).
    exchange.open = this.#mode === 'deep' && reply.replyCode >= 400;
    exchange.refusal ??= this.#settlementOf(exchange, 'end', reply);
    this.#finish(exchange);
  }

  #fitsNoEnd(exchange: Exchange<T>, reply: Reply): boolean {
    // BDAT taken for nobody; a lone dot may well be.
    if (exchange.refusal !== undefined) return this.#mode === 'deep' && reply.replyCode < 300;
    // RFC 5321 §4.2: neither 2yz, 4yz nor 5yz tells nothing of the message's fate.
    if (reply.replyCode >= 300) return reply.replyCode < 400;
    return this.transferring;
  }

  /** Notes a refusal. Returns whether the exchange goes on, to read the rest of its group. */
  #refuse(exchange: Exchange<T>, stage: 'mail' | 'rcpt' | 'data', reply: Reply): boolean {
    if (reply.replyCode < 400) {
      this.#poison(reply);
      return false;
    }
    exchange.refusal ??= this.#settlementOf(exchange, stage, reply);
    if (this.#mode !== 'off') return true;
    this.#finish(exchange);
    return false;
  }

  #settlementOf(exchange: Exchange<T>, stage: 'mail' | 'rcpt' | 'data' | 'end', reply: Reply): Settled<T> {
    const verdict = judgeReply(stage, reply);
    // Such as too many errors, or messages, for one session: the next one may do better.
    if (verdict.session === 'close')
      this.#closing ??= { kind: 'closed', text: `the relay said ${verdict.text}` };
    return { transaction: exchange.transaction, kind: verdict.kind, verdict };
  }

  #finish(exchange: Exchange<T>): void {
    this.#exchanges.shift();
    this.#followerAnswered ||= exchange.follows;
    if (exchange.refusal !== undefined) this.#unconfirmed.push(exchange.refusal);
    if (this.#mode === 'off' || this.#exchanges.length === 0) this.#confirm();
    // Without RSET the next MAIL would be a nested one (503). In deep the next one brings its own.
    if (exchange.open && this.#exchanges.length === 0) this.#mustReset = true;
  }

  #poison(reply: Reply): void {
    this.#distrust(`an answer to ${this.awaiting} that fits no rule: ${formatReply(reply)}`);
    const exchange = this.#exchanges[0];
    if (exchange !== undefined) exchange.refusal = undefined;
  }
}

/** Whoever wants MAIL first though it was taken, or takes RCPT though it was not (RFC 5321 §4.1.4), answers another command. */
function contradictsMail(mailTaken: boolean, { replyCode }: Reply): boolean {
  return mailTaken ? replyCode === 503 : replyCode < 300;
}
