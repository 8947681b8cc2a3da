// Replies as providers write them, each with what the verdict table must make of it.
import type { Stage } from '../../src/mail/verdict.ts';

/** `verdict` is code, scope, kind and category. */
export type Expectation = readonly [stage: Stage, reply: string, verdict: string];

/** The limits of the relay, and what sounds like them: no recipient pays for the first. */
const limits: readonly Expectation[] = [
  // Amazon SES
  [
    'end',
    '454 Throttling failure: Maximum sending rate exceeded.',
    'relay-throttled relay unsent rate-limited',
  ],
  [
    'mail',
    '454 4.7.0 Throttling failure: Daily message quota exceeded',
    'relay-quota relay unsent relay-quota',
  ],
  ['greeting', '421 Too many concurrent SMTP connections', 'relay-connections relay unsent rate-limited'],
  ['end', '554 Message rejected: Sending paused for this account.', 'relay-account relay unsent relay-auth'],
  ['end', '451 Timeout waiting for data from client.', 'message-unclassified message deferred unclassified'],
  // Gmail
  [
    'end',
    '421 4.7.28 Gmail has detected an unusual rate of unsolicited email originating from your SPF domain',
    'relay-throttled relay unsent rate-limited',
  ],
  ['end', '550 5.7.28 There is an unusual rate of mail', 'relay-throttled relay unsent rate-limited'],
  [
    'end',
    '421 4.7.0 To protect our users from spam, email sent from your IP has been temporarily rate limited',
    'relay-throttled relay unsent rate-limited',
  ],
  ['end', '550 5.4.5 Daily user sending limit exceeded.', 'relay-quota relay unsent relay-quota'],
  ['rcpt', '550 5.4.5 See your administrator', 'relay-quota-status relay unsent relay-quota'],
  [
    'rcpt',
    '450 4.2.1 Peak SMTP relay limit exceeded for customer.',
    'relay-throttled relay unsent rate-limited',
  ],
  [
    'rcpt',
    '550 5.7.1 Daily SMTP relay sending limit exceeded for this customer.',
    'relay-quota relay unsent relay-quota',
  ],
  ['rcpt', '550 5.5.3 Too many recipients for this sender.', 'relay-quota relay unsent relay-quota'],
  [
    'rcpt',
    '450 4.2.1 The user you are trying to contact is receiving mail too quickly.',
    'rcpt-rate-limited recipient deferred rate-limited',
  ],
  ['rcpt', '452 4.5.3 Your message has too many recipients.', 'rcpt-too-many session unsent rate-limited'],
  ['mail', '421 4.7.0 Connection expired, try reconnecting.', 'session-limit session unsent rate-limited'],
  ['mail', '421 4.4.5 Server busy, try again later.', 'relay-throttled relay unsent rate-limited'],
  // Yahoo
  [
    'mail',
    '421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints',
    'relay-throttled relay unsent rate-limited',
  ],
  [
    'mail',
    '421 Max message per connection reached, closing transmission channel',
    'session-limit session unsent rate-limited',
  ],
  // Exchange Online
  [
    'mail',
    '451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77712344)',
    'relay-throttled relay unsent rate-limited',
  ],
  [
    'rcpt',
    '451 4.7.650 Access denied, please try again later',
    'relay-throttled-status relay unsent rate-limited',
  ],
  ['end', '550 5.7.233 Your tenant has exceeded its allowance', 'relay-quota relay unsent relay-quota'],
  [
    'end',
    "554 5.2.2 The message can't be submitted because the sender's submission quota was exceeded",
    'relay-quota relay unsent relay-quota',
  ],
  [
    'rcpt',
    '432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded',
    'rcpt-rate-limited recipient deferred rate-limited',
  ],
  [
    'greeting',
    '421 4.3.2 The maximum number of concurrent connections has exceeded a limit',
    'relay-connections relay unsent rate-limited',
  ],
  [
    'end',
    '550 5.7.1 RESOLVER.RST.AuthRequired; authentication required',
    'rcpt-members-only recipient rejected policy',
  ],
  [
    'mail',
    '530 5.7.57 Client was not authenticated to send anonymous mail during MAIL FROM',
    'relay-auth relay unsent relay-auth',
  ],
  // SendGrid, cPanel, Postfix, Sendmail
  ['auth', '451 Authentication failed: Maximum credits exceeded', 'relay-quota relay unsent relay-quota'],
  ['rcpt', '452 Too many recipients received this hour', 'relay-quota relay unsent relay-quota'],
  [
    'end',
    '550 Domain example.com has exceeded the max emails per hour (100/100) allowed.',
    'relay-quota relay unsent relay-quota',
  ],
  ['mail', '450 4.7.1 Error: too much mail from 192.0.2.1', 'relay-throttled relay unsent rate-limited'],
  [
    'greeting',
    '421 4.7.0 mx.example Error: too many connections from 192.0.2.1',
    'relay-connections relay unsent rate-limited',
  ],
  ['rcpt', '421 4.7.0 mx.example Error: too many errors', 'session-limit session unsent rate-limited'],
  ['mail', '421 4.4.2 mx.example Error: timeout exceeded', 'session-timeout session unsent network'],
  ['mail', '452 4.3.2 Connection rate limit exceeded.', 'relay-connections relay unsent rate-limited'],
];

/** The relay, the account at it, and the session. */
const relay: readonly Expectation[] = [
  ['greeting', '554 No SMTP service here', 'relay-refused-session relay unsent relay-down'],
  ['greeting', '521 mx.example does not accept mail', 'relay-refused-session relay unsent relay-down'],
  ['ehlo', '421 4.3.2 All server ports are busy', 'relay-closing relay unsent relay-down'],
  ['starttls', '454 4.7.0 TLS not available due to temporary reason', 'relay-tls relay unsent relay-down'],
  ['auth', '535 5.7.8 Authentication credentials invalid', 'relay-auth relay unsent relay-auth'],
  ['auth', '534 5.7.9 Application-specific password required', 'relay-auth relay unsent relay-auth'],
  ['auth', '454 4.7.0 Temporary authentication failure', 'relay-auth-temporary relay unsent relay-auth'],
  ['auth', '504 5.7.4 Unrecognized authentication type', 'relay-auth-refused relay unsent relay-auth'],
  ['mail', '530 5.7.0 Authentication required', 'relay-auth relay unsent relay-auth'],
  [
    'mail',
    '538 5.7.11 Encryption required for requested authentication mechanism',
    'relay-auth relay unsent relay-auth',
  ],
  ['mail', '502 5.7.0 Please authenticate first', 'relay-denied relay unsent relay-auth'],
  ['rcpt', '554 5.7.1 <ada@example.com>: Relay access denied', 'relay-denied relay unsent relay-auth'],
  ['rcpt', '454 4.7.1 <ada@example.com>: Relay access denied', 'relay-denied relay unsent relay-auth'],
  ['mail', '454 4.7.0 Not at the moment', 'relay-busy relay unsent relay-down'],
  ['mail', '452 4.3.1 Insufficient system storage', 'relay-overloaded relay unsent relay-down'],
  ['mail', '452 Requested action not taken', 'relay-storage relay unsent relay-down'],
  ['rcpt', '421 4.3.2 Service shutting down', 'relay-overloaded relay unsent relay-down'],
  [
    'mail',
    '421 mx.example Service not available, closing transmission channel',
    'relay-closing relay unsent relay-down',
  ],
  [
    'rcpt',
    '421 mx.example Service not available, closing transmission channel',
    'session-closing session deferred relay-down',
  ],
  ['end', '421 5.7.32 try later', 'session-closing session deferred relay-down'],
  [
    'mail',
    '554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org',
    'relay-reputation relay unsent reputation',
  ],
  ['mail', '503 5.5.1 Error: nested MAIL command', 'session-disorder-unnamed session unsent protocol'],
  ['rcpt', '503 5.5.1 Error: need MAIL command', 'session-disorder session deferred protocol'],
  ['reset', '502 5.5.1 Error: command not implemented', 'session-reset-refused session unsent protocol'],
  ['idle', '421 4.4.2 Too long without a command', 'session-ended session unsent relay-down'],
];

/** Recipients. */
const recipients: readonly Expectation[] = [
  [
    'rcpt',
    '550 5.1.1 The email account that you tried to reach does not exist.',
    'rcpt-unknown recipient rejected no-such-recipient',
  ],
  [
    'rcpt',
    "554 delivery error: dd This user doesn't have a yahoo.com account (ada@yahoo.com) [-5]",
    'rcpt-unknown recipient rejected no-such-recipient',
  ],
  [
    'rcpt',
    '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup',
    'rcpt-unknown recipient rejected no-such-recipient',
  ],
  [
    'rcpt',
    '550 5.4.1 Recipient address rejected: Access denied.',
    'rcpt-domain-unknown recipient rejected no-such-recipient',
  ],
  ['rcpt', '550 #5.1.0 Address rejected.', 'rcpt-unknown-code recipient rejected no-such-recipient'],
  [
    'rcpt',
    '550 5.5.0 Requested action not taken: mailbox unavailable',
    'rcpt-unknown-code recipient rejected no-such-recipient',
  ],
  ['rcpt', '550 5.3.5 no', 'rcpt-unclassified recipient rejected unclassified'],
  ['rcpt', '550 5.7.999 no', 'rcpt-policy recipient rejected policy'],
  ['rcpt', '501 Syntax error', 'rcpt-syntax recipient rejected no-such-recipient'],
  ['rcpt', '501 5.5.4 Unsupported option', 'rcpt-unclassified recipient rejected unclassified'],
  ['rcpt', '550 who is that', 'rcpt-unknown-code recipient rejected no-such-recipient'],
  [
    'rcpt',
    '450 4.1.1 <ada@example.com>: Recipient address rejected: unverified address',
    'rcpt-unknown recipient deferred no-such-recipient',
  ],
  ['rcpt', '556 5.1.10 Recipient address has null MX', 'rcpt-unknown recipient rejected no-such-recipient'],
  ['rcpt', '556 no mail here', 'rcpt-domain-refuses-mail recipient rejected no-such-recipient'],
  ['rcpt', '552 5.2.2 The mailbox has no room', 'rcpt-mailbox-full recipient rejected mailbox-full'],
  [
    'rcpt',
    '452 4.2.2 The email account that you tried to reach is over quota.',
    'rcpt-mailbox-full recipient deferred mailbox-full',
  ],
  ['rcpt', '552 mailbox full', 'rcpt-mailbox-full recipient rejected mailbox-full'],
  ['rcpt', '552 no', 'rcpt-storage recipient rejected mailbox-full'],
  ['rcpt', '552 Too many recipients', 'rcpt-too-many session unsent rate-limited'],
  ['rcpt', '552 5.5.3 no', 'rcpt-too-many session unsent rate-limited'],
  [
    'rcpt',
    '550 5.2.1 The email account that you tried to reach is disabled.',
    'rcpt-inactive recipient rejected inactive',
  ],
  [
    'rcpt',
    '451 4.7.1 Greylisting in action, please come back later',
    'greylisted recipient deferred greylisted',
  ],
  ['rcpt', '451 4.7.1 Come back in five minutes', 'rcpt-not-now recipient deferred greylisted'],
  ['rcpt', '450 try again later', 'rcpt-busy recipient deferred greylisted'],
  ['rcpt', '554 5.7.1 no', 'rcpt-policy recipient rejected policy'],
  ['rcpt', '451 4.4.1 no answer from mx.example', 'network recipient deferred network'],
  ['rcpt', '554 no', 'rcpt-unclassified recipient rejected unclassified'],
  // Codes that nobody knows, by their first digit.
  ['rcpt', '499 no', 'rcpt-unclassified recipient deferred unclassified'],
  ['rcpt', '599 no', 'rcpt-unclassified recipient rejected unclassified'],
];

/** Messages and their senders. */
const messages: readonly Expectation[] = [
  [
    'mail',
    '553 5.1.8 <a@b.example>... Domain of sender address a@b.example does not exist',
    'sender-refused message rejected sender-refused',
  ],
  [
    'end',
    '554 Message rejected: Email address is not verified. The following identities failed the check',
    'sender-refused message rejected sender-refused',
  ],
  [
    'end',
    '550 The from address does not match a verified Sender Identity.',
    'sender-refused message rejected sender-refused',
  ],
  [
    'end',
    '403 You are not authorized to send from that email address',
    'sender-refused message deferred sender-refused',
  ],
  ['mail', '550 no', 'sender-refused-code message rejected sender-refused'],
  [
    'end',
    '550 5.7.515 Access denied, sending domain EXAMPLE.COM does not meet the required authentication level.',
    'sender-authentication message rejected authentication',
  ],
  [
    'end',
    '550 5.7.26 This email has been blocked because the sender is unauthenticated.',
    'sender-authentication message rejected authentication',
  ],
  [
    'end',
    '421 4.7.26 This email has been rate limited because it is unauthenticated.',
    'sender-authentication message deferred authentication',
  ],
  [
    'end',
    "421 5.7.32 Your email was blocked because the From: header isn't aligned with either the SPF or DKIM domain",
    'sender-dmarc message deferred authentication',
  ],
  [
    'end',
    "554 5.7.1 Your message was rejected due to example.org's DMARC policy.",
    'sender-dmarc message rejected authentication',
  ],
  [
    'end',
    "550 5.7.30 This message was blocked because it didn't pass DKIM authentication.",
    'sender-dkim message rejected authentication',
  ],
  [
    'rcpt',
    '550 5.7.23 The message was rejected because of Sender Policy Framework violation',
    'sender-spf message rejected authentication',
  ],
  ['end', '552 5.3.4 Message size exceeds fixed limit', 'message-too-big message rejected message-too-big'],
  ['end', '500 Line limit exceeded', 'message-too-big message rejected message-too-big'],
  ['mail', '552 no', 'message-too-big-code message rejected message-too-big'],
  [
    'rcpt',
    '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org',
    'reputation message rejected reputation',
  ],
  [
    'end',
    '421 4.7.0 This message is suspicious due to the very low reputation of the sending domain.',
    'reputation message deferred reputation',
  ],
  [
    'end',
    '550 5.7.606 Access denied, banned sending IP [192.0.2.1].',
    'reputation message rejected reputation',
  ],
  ['rcpt', '554 5.7.1 Rejected as spam', 'rcpt-spam message rejected reputation'],
  ['end', '554 5.7.1 spam', 'message-content message rejected content'],
  [
    'end',
    '552 5.7.0 This message was blocked because its content presents a potential security issue.',
    'message-content message rejected content',
  ],
  ['rcpt', '553 5.6.7 Non-ASCII address', 'message-format message rejected content'],
  ['end', '554 5.7.9 Message not accepted for policy reasons.', 'message-policy message rejected policy'],
  ['end', '550 5.7.1 no', 'message-suspicious message rejected content'],
  ['end', '451 no idea', 'message-unclassified message deferred unclassified'],
  ['mail', '451 no idea', 'message-unclassified message deferred unclassified'],
  ['end', '250 2.0.0 Ok: queued', 'accepted message accepted'],
  ['data', '354 End data with <CR><LF>.<CR><LF>', 'accepted message accepted'],
  // RFC 5321 §4.2: what fits no rule; after the end of data nobody can know.
  ['end', '354 go on', 'reply-unexpected session inDoubt protocol'],
  ['data', '250 what', 'reply-unexpected session deferred protocol'],
  ['mail', '354 what', 'reply-unexpected session unsent protocol'],
];

export const expectations: readonly Expectation[] = [...limits, ...relay, ...recipients, ...messages];
