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

/** off: one command at a time. standard: RFC 2920 within a message and across messages. */
export type SendingMode = 'off' | 'standard';

/*
 * An exchange is one transaction on the wire. `awaiting` is the command whose reply comes next for it:
 *
 *   reset ──2yz──▶ mail ──▶ rcpt ──▶ data ──3yz──▶ end ──▶ settled
 *   (only when      │ refused │ refused │ refused            2yz accepted · 4yz deferred · 5yz rejected
 *    the last       ▼         ▼         ▼
 *    one was     off: settled at once
 *    left open)  standard: the replies to the rest of the group are read and thrown away;
 *                          a 354 among them is answered with a lone dot (RFC 2920 §3.1), then settled
 *
 * Sending and receiving are apart: `#output` is what is to be written, `#exchanges` what is to be answered.
 *
 *   standard, the steady state: one write = content(n) "." MAIL(n+1) RCPT(n+1) DATA       (RFC 2920 §3.1 allows
 *   content as the first of a group), so #exchanges = [n awaiting end, n+1 awaiting mail]: never more than two,
 *   and only the last may be before its content.
 *
 * Replies answer exchanges in order, by count alone (RFC 2920 §3.1). Once `closing` is set nothing more is
 * begun; whatever is unanswered is settled by `close`.
 */
interface Exchange<T extends Transaction> {
  readonly transaction: T;
  awaiting: 'reset' | 'mail' | 'rcpt' | 'data' | 'end';
  /** Set by the first refusal; later replies of the group do not change it. */
  refusal: Settled<T> | undefined;
  /** MAIL was taken, so the server holds an open transaction until end of data or RSET. */
  open: boolean;
}

export class Dialogue<T extends Transaction> {
  readonly #mode: SendingMode;
  #exchanges: Exchange<T>[] = [];
  #output = '';
  #settled: Settled<T>[] = [];
  #mustReset = false;
  #quitting = false;
  #closing: Failure | undefined;

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

  /** The stage whose reply comes next, for timeouts. */
  get awaiting(): Exchange<T>['awaiting'] | 'idle' {
    return this.#exchanges[0]?.awaiting ?? 'idle';
  }

  /** True when a transaction may be begun now. */
  get hasRoom(): boolean {
    if (this.#closing !== undefined || this.#quitting) return false;
    if (this.#mode === 'off') return this.#exchanges.length === 0;
    return (
      this.#exchanges.length === 0 || (this.#exchanges.length === 1 && this.#exchanges[0]?.awaiting === 'end')
    );
  }

  /** Begins a transaction. Only while `hasRoom`. */
  begin(transaction: T): void {
    const reset = this.#mustReset;
    this.#mustReset = false;
    this.#exchanges.push({
      transaction,
      awaiting: reset ? 'reset' : 'mail',
      refusal: undefined,
      open: false,
    });
    if (reset) this.#output += 'RSET\r\n';
    if (this.#mode === 'standard') this.#output += `${transaction.mail}${transaction.rcpt}DATA\r\n`;
    else if (!reset) this.#output += transaction.mail;
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

  /** Takes what has been settled since the last call. */
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
    this.#advance(exchange, reply);
    // RFC 5321 §3.8: the server is about to close, whatever it answered.
    if (reply.replyCode === 421)
      this.#closing ??= { kind: 'closed', text: `the relay said ${reply.replyCode} ${reply.text}` };
  }

  /** The session is over: settles everything that is unanswered, each by how far it had come. */
  close(failure: Failure): void {
    this.#closing ??= failure;
    this.#output = '';
    for (const [position, exchange] of this.#exchanges.entries()) {
      this.#settled.push(exchange.refusal ?? this.#judgeUnanswered(exchange, position, failure));
    }
    this.#exchanges = [];
  }

  #receiveUnasked(reply: Reply): void {
    if (this.#quitting || reply.replyCode === 421) {
      this.#closing = {
        kind: 'closed',
        text: `the relay closed an idle session: ${reply.replyCode} ${reply.text}`,
      };
    } else {
      this.#closing = {
        kind: 'garbled',
        text: `a reply that nothing asked for: ${reply.replyCode} ${reply.text}`,
      };
    }
  }

  /** The one place where an exchange moves on. */
  #advance(exchange: Exchange<T>, reply: Reply): void {
    const positive = reply.replyCode < 300;
    switch (exchange.awaiting) {
      case 'reset':
        if (!positive) return this.#poison(reply);
        exchange.awaiting = 'mail';
        if (this.#mode === 'off') this.#output += exchange.transaction.mail;
        return;
      case 'mail':
        if (positive) exchange.open = true;
        else if (!this.#refuse(exchange, 'mail', reply)) return;
        exchange.awaiting = 'rcpt';
        if (this.#mode === 'off') this.#output += exchange.transaction.rcpt;
        return;
      case 'rcpt':
        if (!positive && !this.#refuse(exchange, 'rcpt', reply)) return;
        exchange.awaiting = 'data';
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

  #receiveData(exchange: Exchange<T>, reply: Reply): void {
    if (reply.replyCode < 300) return this.#poison(reply);
    if (reply.replyCode >= 400) {
      if (this.#refuse(exchange, 'data', reply)) this.#finish(exchange);
      return;
    }
    exchange.awaiting = 'end';
    // RFC 2920 §3.1: DATA behind a refused RCPT may still get 354; a lone dot ends it.
    this.#output += exchange.refusal === undefined ? `${exchange.transaction.content}.\r\n` : '.\r\n';
  }

  #receiveEnd(exchange: Exchange<T>, reply: Reply): void {
    // RFC 5321 §4.2: neither 2yz, 4yz nor 5yz tells nothing of the message's fate.
    if (reply.replyCode >= 300 && reply.replyCode < 400 && exchange.refusal === undefined)
      return this.#poison(reply);
    exchange.open = false;
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
    if (this.#mode === 'standard') return true;
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
    // A refused RCPT or DATA leaves MAIL in force; without RSET the next MAIL is a nested one (503).
    if (exchange.open) this.#mustReset = true;
  }

  #poison(reply: Reply): void {
    this.#closing = {
      kind: 'garbled',
      text: `an answer to ${this.awaiting} that fits no rule: ${reply.replyCode} ${reply.text}`,
    };
  }

  #judgeUnanswered(exchange: Exchange<T>, position: number, failure: Failure): Settled<T> {
    const stage = exchange.awaiting;
    const verdict = judgeFailure(stage, failure);
    const { transaction } = exchange;
    // RFC 1047: the end of data is out and its reply was not seen; nobody can know.
    if (stage === 'end') return { transaction, kind: 'inDoubt', verdict };
    // RFC 5321 §3.8: as if 451 had come, for the one whose turn it was; what was pipelined behind it never began.
    const charged = position === 0 && failure.kind !== 'stopped' && stage !== 'reset' && stage !== 'mail';
    return { transaction, kind: charged ? 'deferred' : 'unsent', verdict };
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
