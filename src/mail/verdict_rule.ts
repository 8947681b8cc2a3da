// A rule of the verdict table: which replies it takes, and what it says of them.
import type { Category, Scope, Stage, VerdictKind } from './verdict.ts';

/**
 * The first rule of the table that takes a reply is the verdict. It takes a reply to one of its stages with one of
 * its reply codes, and, where it names statuses or phrases, only with one of those.
 */
export interface Rule {
  /** Stable, for programs and documentation. */
  readonly code: string;
  readonly stages: readonly Stage[];
  /** Reply codes; 4 and 5 are for all that begin so. */
  readonly replies: readonly number[];
  /** Enhanced statuses without class: "1.1"; "7.5xx" is for 7.500 to 7.599, "7" for all of 7, "" for none at all. */
  readonly statuses: readonly string[];
  /** A list of relay_wording.ts or message_wording.ts. */
  readonly phrases: readonly string[];
  readonly ruling: Ruling;
  /** One sentence for users. */
  readonly meaning: string;
}

/** What a rule says. */
export interface Ruling {
  readonly scope: Scope;
  readonly category: Category;
  /** `byDigit`: 4yz is deferred, 5yz is rejected. */
  readonly kind: VerdictKind | 'byDigit';
  readonly session: 'keep' | 'close';
  /** `byDigit`: 4yz is, 5yz is not. */
  readonly retryable: boolean | 'byDigit';
}

export const opening: readonly Stage[] = ['connect', 'greeting', 'ehlo', 'starttls', 'auth'];
export const sending: readonly Stage[] = ['mail', 'rcpt', 'data', 'end'];
/** The recipient is named, so what is refused may be the recipient's doing. */
export const named: readonly Stage[] = ['rcpt', 'data', 'end'];
export const body: readonly Stage[] = ['data', 'end'];

/** Every refusal. */
export const any: readonly number[] = [4, 5];

/** The recipient's doing, or the recipient's domain's. */
export function blameRecipient(category: Category): Ruling {
  return { scope: 'recipient', category, kind: 'byDigit', session: 'keep', retryable: 'byDigit' };
}

/** The message's or its sender's doing. */
export function blameMessage(category: Category): Ruling {
  return { scope: 'message', category, kind: 'byDigit', session: 'keep', retryable: 'byDigit' };
}

/** The relay's doing or the account's: no recipient pays for it, whatever the stage and the first digit. */
export function blameRelay(category: Category, retryable: boolean | 'byDigit' = true): Ruling {
  return { scope: 'relay', category, kind: 'unsent', session: 'keep', retryable };
}

/** As `blameRelay`, on a session that is of no more use. */
export function blameRelayAndClose(category: Category, retryable: boolean | 'byDigit' = true): Ruling {
  return { ...blameRelay(category, retryable), session: 'close' };
}

/**
 * This session's doing; another one may do. `deferred` where it could be this recipient who brings it about every
 * time: a charged attempt has an end, an uncharged one may go round for ever.
 */
export function blameSession(category: Category, kind: 'unsent' | 'deferred'): Ruling {
  return { scope: 'session', category, kind, session: 'close', retryable: true };
}
