// Phrases by which providers tell of trouble with the relay, the account or the session, whatever the reply code.

/*
 * Rules for a phrase: lower case, one space between words, at least two words or a word that means only one thing,
 * taken from a provider's documentation or its real replies. Texts are compared after `plainText` of reply.ts, which
 * puts a space at both ends, so a phrase may begin or end at a word. Phrases only refine: the first digit of the
 * reply code has decided by then whether the message was taken.
 */

/** The account has used up what it may send in a day, an hour or a plan (SES, Gmail, SendGrid, Exchange, cPanel). */
export const relayQuota: readonly string[] = [
  'daily message quota',
  'sending quota',
  'submission quota',
  'quota for the current period',
  'daily limit',
  'daily smtp relay',
  'monthly limit',
  'hourly limit',
  'sending limit',
  'limit for message recipients',
  'external recipient rate limit',
  'tenant has exceeded threshold',
  'credits exceeded',
  'insufficient credit',
  'not enough credits',
  'emails per day',
  'messages per day',
  'recipients per day',
  'emails per hour',
  'messages per hour',
  'recipients per hour',
  'recipients received this hour',
  'recipients for this sender',
  'you have exceeded your',
  'smtp quota',
];

/** More connections than the relay allows at once or in a time. */
export const relayConnections: readonly string[] = [
  'too many connections',
  'too many concurrent',
  'too many simultaneous',
  'too many sessions',
  'too many active sessions',
  'concurrent connections',
  'simultaneous connections',
  'concurrency limit',
  'connection limit',
  'connection rate',
  'too frequent connects',
  'connections from your',
];

/** Faster than the relay allows (SES, Gmail 4.7.0, Yahoo TSS04, Exchange Online 4.7.500, Postfix anvil). */
export const relayRate: readonly string[] = [
  'throttled',
  'throttling',
  'sending rate',
  'message rate',
  'submission rate',
  'rate limit',
  'rate-limit',
  'ratelimit',
  'peak smtp relay limit',
  'unusual rate of',
  'unusual amount of',
  'unexpected volume',
  'user complaints',
  'messages per second',
  'messages per minute',
  'too many messages',
  'too many emails',
  'too many mails',
  'too much mail',
  'too many recipients from',
  'sending too fast',
  'slow down',
  'server busy',
  'server is busy',
  'server too busy',
  'temporarily deferred',
  '[tss0',
  '[ts0',
];

/** This session has had its share; the next one may go on. */
export const sessionLimit: readonly string[] = [
  'per connection',
  'per session',
  'in this connection',
  'on this connection',
  'in this session',
  'in one session',
  'in a single session',
  'connection expired',
  'try reconnecting',
  'too many errors',
];

export const sessionTimeout: readonly string[] = [
  'timeout exceeded',
  'timeout waiting',
  'timeout - closing',
  'timed out waiting',
  'idle timeout',
  'idle for too long',
  'idle too long',
];

/** The relay does not let this account, or nobody who is not logged in, send to others. */
export const relayDenied: readonly string[] = [
  'relay access denied',
  'relaying denied',
  'relaying is denied',
  'relaying disallowed',
  'relaying not allowed',
  'relay not permitted',
  'relay denied',
  'permitted to relay',
  'allowed to relay',
  'configured to relay',
  'unable to relay',
  'do not relay',
  'credentials for relay',
  'authentication required',
  'authentication is required',
  'requires authentication',
  'must authenticate',
  'please authenticate',
  'authenticate first',
  'was not authenticated to send',
  'must issue a starttls',
];

/** The account at the relay is closed or was never opened (SES, Gmail, Exchange Online, Brevo). */
export const relayAccount: readonly string[] = [
  'sending paused',
  'sending is paused',
  'your account has been',
  'your account is',
  'smtp account is not',
  'not enabled for this account',
  'email account has been temporarily suspended due to abuse',
  'is not allowed to send',
  'bad outbound sender',
];

export const relayStorage: readonly string[] = [
  'insufficient system storage',
  'insufficient system resources',
  'out of memory',
];
