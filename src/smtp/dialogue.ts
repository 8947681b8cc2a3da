// The dialogue: the order of SMTP commands on one session, and which reply answers which. It touches no socket.
import { unreachable } from '../base/invariant.ts';
import type { OutcomeKind } from '../mail/outcome.ts';
import type { Reply } from '../mail/reply.ts';
import { judgeFailure, judgeReply, type Failure, type Verdict } from '../mail/verdict.ts';

/** One message to one recipient. Strings are ASCII and end in CRLF. */
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
 * Sending and receiving are apart: `#output` is what is to be written, `#exchanges` what is to be answered, oldest
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
 * Replies answer exchanges in order, by count alone (RFC 2920 §3.1). Once `closing` is set nothing more is
 * begun; whatever is unanswered is settled by `close`.
 */
interface Exchange<T extends Transaction> {
  readonly transaction: T;
  awaiting: 'reset' | 'mail' | 'rcpt' | 'data' | 'end';
  /** Set by the first refusal; later replies of the group do not change it. */
  refusal: Settled<T> | undefined;
  /** MAIL was taken, so the relay holds an open transaction until end of data or RSET. */
  open: boolean;
  /** The end of data has been written: without its reply nobody can know (RFC 1047). */
  ended: boolean;
}

export class Dialogue<T extends Transaction> {
  readonly #mode: SendingMode;
  #exchanges: Exchange<T>[] = [];
  #output = '';
  #settled: Settled<T>[] = [];
  #mustReset = false;
  #quitting = false;
  #closing: Failure | undefined;
  /** The relay has said 421: it works on nothing more (RFC 5321 §3.8). */
  #dismissed = false;
  #errorsInARow = 0;
  #window = 1;

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
        return waiting < this.#window;
      default:
        return unreachable(this.#mode);
    }
  }

  /** Begins a transaction. Only while `hasRoom`. */
  begin(transaction: T): void {
    const deep = this.#mode === 'deep';
    const reset = this.#mustReset || (deep && this.#exchanges.length > 0);
    this.#mustReset = false;
    const awaiting = reset ? 'reset' : 'mail';
    this.#exchanges.push({ transaction, awaiting, refusal: undefined, open: false, ended: deep });
    if (reset) this.#output += 'RSET\r\n';
    const { mail, rcpt, content } = transaction;
    if (deep) this.#output += `${mail}${rcpt}BDAT ${content.length} LAST\r\n${content}`;
    else if (this.#mode === 'standard') this.#output += `${mail}${rcpt}DATA\r\n`;
    else if (!reset) this.#output += mail;
  }

  /** Says goodbye; nothing is begun afterwards. Only while `idle`. */
  quit(): void {
    this.#quitting = true;
    this.#output += 'QUIT\r\n';
  }

  /** Takes what is to be written; all ASCII. */
  takeOutput(): string {
    const output = this.#output;
    this.#output = '';
    return output;
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
    if (exchange === undefined) return this.#receiveUnasked(reply);
    if (reply.replyCode >= 400) this.#errorsInARow += 1;
    this.#advance(exchange, reply);
    // RFC 5321 §3.8: the server is about to close, whatever it answered.
    if (reply.replyCode === 421) this.#sayClosed(`the relay said ${reply.replyCode} ${reply.text}`);
  }

  /** The session is over: settles everything that is unanswered, each by how far it had come. */
  close(failure: Failure): void {
    this.#closing ??= failure;
    this.#output = '';
    for (const [position, exchange] of this.#exchanges.entries()) {
      this.#settled.push(exchange.refusal ?? this.#judgeUnanswered(exchange, position, this.#closing));
    }
    this.#exchanges = [];
  }

  #receiveUnasked(reply: Reply): void {
    const said = `${reply.replyCode} ${reply.text}`;
    if (this.#quitting || reply.replyCode === 421)
      this.#sayClosed(`the relay closed an idle session: ${said}`);
    else this.#closing = { kind: 'garbled', text: `a reply that nothing asked for: ${said}` };
  }

  #sayClosed(text: string): void {
    this.#dismissed = true;
    this.#closing ??= { kind: 'closed', text };
  }

  /** The one place where an exchange moves on. */
  #advance(exchange: Exchange<T>, reply: Reply): void {
    switch (exchange.awaiting) {
      case 'reset':
        if (reply.replyCode >= 300) return reply.replyCode === 421 ? undefined : this.#poison(reply);
        exchange.awaiting = 'mail';
        if (this.#mode === 'off') this.#output += exchange.transaction.mail;
        return;
      case 'mail':
        return this.#receiveMail(exchange, reply);
      case 'rcpt':
        if (reply.replyCode >= 300 && !this.#refuse(exchange, 'rcpt', reply)) return;
        exchange.awaiting = this.#mode === 'deep' ? 'end' : 'data';
        if (this.#mode === 'off') this.#output += 'DATA\r\n';
        return;
      case 'data':
        return this.#receiveData(exchange, reply);
      case 'end':
        return this.#receiveEnd(exchange, reply);
      default:
        unreachable(exchange.awaiting);
    }
  }

  #receiveMail(exchange: Exchange<T>, reply: Reply): void {
    // A nested MAIL: the relay holds another one, and what follows may have gone out under its reverse-path.
    if (this.#mode === 'deep' && reply.replyCode === 503) return this.#poison(reply);
    if (reply.replyCode < 300) exchange.open = true;
    else if (!this.#refuse(exchange, 'mail', reply)) return;
    exchange.awaiting = 'rcpt';
    if (this.#mode === 'off') this.#output += exchange.transaction.rcpt;
  }

  #receiveData(exchange: Exchange<T>, reply: Reply): void {
    if (reply.replyCode < 300) return this.#poison(reply);
    if (reply.replyCode >= 400) {
      if (this.#refuse(exchange, 'data', reply)) this.#finish(exchange);
      return;
    }
    exchange.awaiting = 'end';
    exchange.ended = exchange.refusal === undefined;
    // RFC 2920 §3.1: DATA behind a refused RCPT may still get 354; a lone dot ends it.
    this.#output += exchange.ended ? `${exchange.transaction.content}.\r\n` : '.\r\n';
  }

  #receiveEnd(exchange: Exchange<T>, reply: Reply): void {
    // RFC 5321 §4.2: neither 2yz, 4yz nor 5yz tells nothing of the message's fate.
    if (reply.replyCode >= 300 && reply.replyCode < 400 && exchange.refusal === undefined)
      return this.#poison(reply);
    if (exchange.refusal === undefined && reply.replyCode < 300) this.#errorsInARow = 0;
    // DATA is over with any reply; a BDAT that failed leaves MAIL in force (RFC 3030 §2).
    exchange.open = this.#mode === 'deep' && reply.replyCode >= 400;
    exchange.refusal ??= this.#settlementOf(exchange, 'end', reply);
    this.#finish(exchange);
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
    return { transaction: exchange.transaction, kind: outcomeKindOf(verdict), verdict };
  }

  #finish(exchange: Exchange<T>): void {
    this.#exchanges.shift();
    if (exchange.refusal !== undefined) this.#settled.push(exchange.refusal);
    // Without RSET the next MAIL would be a nested one (503). In deep the next one brings its own.
    if (exchange.open && this.#exchanges.length === 0) this.#mustReset = true;
  }

  #poison(reply: Reply): void {
    this.#closing = {
      kind: 'garbled',
      text: `an answer to ${this.awaiting} that fits no rule: ${reply.replyCode} ${reply.text}`,
    };
  }

  #judgeUnanswered(exchange: Exchange<T>, position: number, failure: Failure): Settled<T> {
    const { transaction, awaiting, ended } = exchange;
    if (ended && !this.#dismissed)
      return { transaction, kind: 'inDoubt', verdict: judgeFailure('end', failure) };
    const verdict = judgeFailure(awaiting, failure);
    // RFC 5321 §3.8: as if 451 had come, for the one whose turn it was; what was pipelined behind it never began.
    const reached = awaiting === 'rcpt' || awaiting === 'data';
    const charged = position === 0 && reached && !this.#dismissed && this.#isCharged(failure);
    return { transaction, kind: charged ? 'deferred' : 'unsent', verdict };
  }

  /** Silence in the middle of a group is what a relay with broken pipelining does (RFC 2920 §2), to anybody. */
  #isCharged(failure: Failure): boolean {
    if (failure.kind === 'timeout') return this.#mode === 'off';
    return failure.kind !== 'stopped';
  }
}

/** What a reply at a stage of a transaction makes of the attempt. */
function outcomeKindOf(verdict: Verdict): OutcomeKind {
  if (verdict.replyCode < 400) return 'accepted';
  const relayTrouble =
    verdict.scope === 'relay' && (verdict.stage === 'mail' || verdict.category === 'relay-auth');
  if (relayTrouble) return 'unsent';
  return verdict.retryable ? 'deferred' : 'rejected';
}
