// A fault: what the sandbox does wrong, where in a session, and to whom.
import type { Rate } from '../base/quantity.ts';

/** Where a fault can strike. `end` is the reply to the end of data or to BDAT LAST; `data` those to DATA and other BDATs. */
export const faultStages = [
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'auth',
  'mail',
  'rcpt',
  'data',
  'end',
  'quit',
] as const;

export type FaultStage = (typeof faultStages)[number];

export type FaultAction =
  /**
   * This reply, "450 4.2.1 try later", without the final CRLF. 4yz and 5yz: the command has no effect, and 421
   * closes the session (RFC 5321 §3.8). 2yz and 3yz: the command takes effect, only the words are other ones.
   */
  | { readonly kind: 'reply'; readonly reply: string }
  /** Answers this much later; nothing of the session is read meanwhile. Faults further down the list still apply. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Closes the connection; the command has no effect. */
  | { readonly kind: 'drop' }
  /** The command takes effect (at `end`: the message counts as taken), then the connection closes without its reply. */
  | { readonly kind: 'drop-after-taken' }
  /** Never says anything again on this session, and keeps it open. The command has no effect. */
  | { readonly kind: 'silence' }
  /** These bytes in place of a reply, and on with the session. The command has no effect. */
  | { readonly kind: 'garbage'; readonly bytes: Uint8Array }
  /** The reply comes in pieces of so many octets, each for itself. Faults further down the list still apply. */
  | { readonly kind: 'split'; readonly pieceBytes: number }
  /** After the positive reply another one that nothing asked for, so much later. 421 closes the session then. */
  | { readonly kind: 'extra'; readonly reply: string; readonly waitMs: number }
  /** The command takes effect, and its positive reply is never sent. */
  | { readonly kind: 'skip' }
  /** The positive reply comes after the next reply. */
  | { readonly kind: 'swap' }
  /** Answers, and then reads nothing more of this session and keeps it open: the client's window closes. */
  | { readonly kind: 'stop-reading' }
  /** Answers, and loses what has come behind the command by then: pipelining that is offered and broken (RFC 2920 §2). */
  | { readonly kind: 'lose-rest' };

/**
 * All conditions that are given must hold. What they speak of is an address: the recipient at `rcpt`, the reverse-path
 * at `mail`, the first recipient (the first that matches `match`) at `data` and `end`; elsewhere the session.
 */
export interface Fault {
  readonly at: FaultStage;
  /** Part of an address, or a pattern with `*` for the whole of it; case does not matter. Not for session stages. */
  readonly match?: string | undefined;
  /** 0 to 1 of all addresses (or sessions), by a hash: the same address always has the same luck. */
  readonly share?: number | undefined;
  /** Every n-th time that the conditions above hold. */
  readonly every?: number | undefined;
  /** More than this many that got through in the time of the rate (exact sliding window). */
  readonly over?: Rate | undefined;
  /** More than this many connections are open, this one included. */
  readonly overSessions?: number | undefined;
  /** `overSessions` counts only connections from the same IP address. */
  readonly perClient?: boolean | undefined;
  /** The session has had this many messages taken. */
  readonly afterMessages?: number | undefined;
  /** Only the first n times for the same address (greylisting); at session stages, the first n in all. */
  readonly times?: number | undefined;
  /** `times` counts each address with each reverse-path on its own, as greylisting does (RFC 6647 §2.2). */
  readonly perReversePath?: boolean | undefined;
  readonly action: FaultAction;
}

/** Whether the conditions of a fault at this stage speak of an address. */
export function hasAddress(stage: FaultStage): boolean {
  return stage === 'mail' || stage === 'rcpt' || stage === 'data' || stage === 'end';
}
