// The unanswered: what a session's end makes of a transaction whose reply had not come, by how far it had come. Pure.
import type { OutcomeKind } from '../mail/outcome.ts';
import { judgeFailure, type Failure, type Verdict } from '../mail/verdict.ts';

/** How far a transaction had come when its session ended. */
export interface Unanswered {
  /** The command whose reply would have come next. */
  readonly awaiting: 'reset' | 'mail' | 'rcpt' | 'data' | 'end';
  /** The octet may have been sent without which the relay cannot have the whole message. */
  readonly hasEnded: boolean;
  /** It was its turn: everything before it was answered. */
  readonly isHead: boolean;
  /** One command at a time: no silence can come of lost commands. */
  readonly isLockStep: boolean;
  /** The relay has said 421: it works on nothing more (RFC 5321 §3.8). */
  readonly dismissed: boolean;
}

/** Nobody is charged who was not reached, and nobody is called unsent whose message may have been taken (RFC 1047). */
export function judgeUnanswered(
  one: Unanswered,
  failure: Failure,
): { readonly kind: OutcomeKind; readonly verdict: Verdict } {
  const { awaiting, hasEnded, dismissed } = one;
  if (hasEnded && !dismissed) return { kind: 'inDoubt', verdict: judgeFailure('end', failure) };
  // What broke while the content was on its way is known not to be in doubt.
  const verdict = judgeFailure(awaiting === 'end' ? 'data' : awaiting, failure);
  return { kind: isCharged(one, failure) ? 'deferred' : 'unsent', verdict };
}

/** RFC 5321 §3.8: as if 451 had come, for the one whose turn it was; what was pipelined behind it never began. */
function isCharged({ awaiting, isHead, isLockStep, dismissed }: Unanswered, failure: Failure): boolean {
  const reached = awaiting === 'rcpt' || awaiting === 'data' || awaiting === 'end';
  if (!isHead || !reached || dismissed) return false;
  // Silence in the middle of a group is what a relay with broken pipelining does (RFC 2920 §2), to anybody.
  if (failure.kind === 'timeout') return isLockStep || awaiting === 'end';
  return failure.kind !== 'stopped';
}
