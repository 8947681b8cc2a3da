// What an outcome tells a governor: that messages are taken, that there are too many, or that none will do.
import { parseNamedDelayMs } from '../mail/named_delay.ts';
import type { Verdict } from '../mail/verdict.ts';

export type GovernorSignal =
  /** A session was opened: the relay is there, and our credentials are right. */
  | { readonly kind: 'opened' }
  /** A message met an answer that was about it, whatever the answer was. */
  | { readonly kind: 'taken' }
  /** More sessions than are allowed. */
  | { readonly kind: 'crowded' }
  /** Too fast, or a quota is used up. */
  | { readonly kind: 'throttled'; readonly namedDelayMs: number | undefined }
  /** One session broke. */
  | { readonly kind: 'sessionLost' }
  /** It cannot be reached, or takes nothing from anybody. */
  | { readonly kind: 'down' }
  | { readonly kind: 'authFailed' };

/** What a verdict tells of the relay or lane that it came from; undefined where it tells nothing. */
export function signalOf(verdict: Verdict): GovernorSignal | undefined {
  const { scope, category, code } = verdict;
  if (scope === 'us') return undefined;
  if (scope === 'recipient' || scope === 'message')
    return verdict.replyCode === 0 ? undefined : { kind: 'taken' };
  // A session that has carried what one may carry is no trouble: the next one goes on.
  if (scope === 'session') return category === 'rate-limited' ? undefined : { kind: 'sessionLost' };
  if (code === 'relay-lacks-extension') return undefined;
  // RFC 4954 §6: 454 to AUTH means that they cannot be checked for now.
  if (category === 'relay-auth' && !verdict.retryable) return { kind: 'authFailed' };
  if (code === 'relay-connections') return { kind: 'crowded' };
  // 454 after AUTH is what SES says to who is too fast; its words are not always known.
  const isThrottled = category === 'rate-limited' || category === 'relay-quota' || verdict.replyCode === 454;
  if (!isThrottled || verdict.stage === 'auth') return { kind: 'down' };
  return { kind: 'throttled', namedDelayMs: parseNamedDelayMs(verdict.text) };
}

/**
 * Whether a refusal is of the provider behind the relay rather than of the relay: it came once the recipient was named. 454 is
 * the relay's own, whenever it comes (SES).
 */
export function isOfLane(verdict: Verdict): boolean {
  const isNamed = verdict.stage === 'rcpt' || verdict.stage === 'data' || verdict.stage === 'end';
  return isNamed && verdict.replyCode !== 454 && isThrottling(verdict);
}

/** Whether going on at once would only make it worse. */
export function isThrottling(verdict: Verdict): boolean {
  return signalOf(verdict)?.kind === 'throttled';
}
