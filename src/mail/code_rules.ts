// The rules for what neither a status of its own nor wording explains: by stage, reply code and subject of the status.
import { reputation, policy } from './message_wording.ts';
import { relayStorage } from './relay_wording.ts';
import {
  any,
  blameMessage,
  blameRecipient,
  blameRelay,
  blameRelayAndClose,
  blameSession,
  named,
  opening,
  sending,
  type Rule,
} from './verdict_rule.ts';

/** Before the recipient is named, and whatever the relay itself is known for. */
export const relayCodeRules: readonly Rule[] = [
  {
    code: 'relay-overloaded',
    stages: sending,
    replies: [4],
    // RFC 3463 §3.4: mail system full; system not accepting network messages.
    statuses: ['3.1', '3.2'],
    phrases: relayStorage,
    ruling: blameRelay('relay-down'),
    meaning: 'The relay is out of storage, overloaded or shutting down.',
  },
  {
    code: 'relay-storage',
    // RFC 5321 §4.2.3; nobody has been named yet.
    stages: ['mail'],
    replies: [452],
    statuses: [],
    phrases: [],
    ruling: blameRelay('relay-down'),
    meaning: 'The relay is out of storage.',
  },
  {
    code: 'relay-closing',
    // RFC 5321 §3.8.
    stages: [...opening, 'mail'],
    replies: [421],
    statuses: [],
    phrases: [],
    ruling: blameRelayAndClose('relay-down'),
    meaning: 'The relay is closing the connection; nobody has been named yet.',
  },
  {
    code: 'session-closing',
    stages: named,
    replies: [421],
    statuses: [],
    phrases: [],
    // Charged: it may be this recipient or message that makes the relay hang up.
    ruling: blameSession('relay-down', 'deferred'),
    meaning: 'The relay is closing the connection in the middle of this message.',
  },
  {
    code: 'relay-auth-temporary',
    // RFC 4954 §6: 454, 432.
    stages: ['auth'],
    replies: [4],
    statuses: [],
    phrases: [],
    ruling: blameRelayAndClose('relay-auth'),
    meaning: 'The relay cannot check our credentials for the time being.',
  },
  {
    code: 'relay-auth-refused',
    stages: ['auth'],
    replies: [5],
    statuses: [],
    phrases: [],
    ruling: blameRelayAndClose('relay-auth', false),
    meaning: 'The relay refuses AUTH.',
  },
  {
    code: 'relay-tls',
    // RFC 3207 §4.
    stages: ['starttls'],
    replies: any,
    statuses: [],
    phrases: [],
    ruling: blameRelayAndClose('relay-down', 'byDigit'),
    meaning: 'The relay refuses STARTTLS.',
  },
  {
    code: 'relay-refused-session',
    // RFC 5321 §3.1: 554; RFC 7504: 521.
    stages: opening,
    replies: any,
    statuses: [],
    phrases: [],
    ruling: blameRelayAndClose('relay-down', 'byDigit'),
    meaning: 'The relay refuses the session.',
  },
  {
    code: 'relay-reputation',
    stages: ['mail'],
    replies: any,
    statuses: ['7.25'],
    phrases: reputation,
    ruling: blameRelayAndClose('reputation', 'byDigit'),
    meaning: 'The relay refuses our address, before anybody has been named.',
  },
  {
    code: 'session-disorder-unnamed',
    // RFC 5321 §4.1.4: a nested MAIL; a relay that does not know RSET or MAIL has lost the thread.
    stages: ['mail'],
    replies: [500, 502, 503, 504],
    statuses: [],
    phrases: [],
    ruling: blameSession('protocol', 'unsent'),
    meaning: 'The relay and we are out of step, before anybody has been named.',
  },
  {
    code: 'session-disorder',
    stages: named,
    replies: [500, 502, 503, 504],
    statuses: [],
    phrases: [],
    ruling: blameSession('protocol', 'deferred'),
    meaning: 'The relay and we are out of step, or it does not know a command.',
  },
  {
    code: 'session-reset-refused',
    stages: ['reset'],
    replies: any,
    statuses: [],
    phrases: [],
    ruling: blameSession('protocol', 'unsent'),
    meaning: 'The relay refuses RSET.',
  },
  {
    code: 'session-ended',
    // RFC 5321 §3.8: 421 may come without having been asked for.
    stages: ['idle'],
    replies: any,
    statuses: [],
    phrases: [],
    ruling: blameSession('relay-down', 'unsent'),
    meaning: 'The relay has ended an idle session.',
  },
];

/** After `relayCodeRules`. The last two take everything. */
export const messageCodeRules: readonly Rule[] = [
  {
    code: 'rcpt-not-now',
    stages: ['rcpt'],
    // RFC 6647 §2.7: 450 or 451, often without another word.
    replies: [450, 451],
    statuses: ['7.0', '7.1'],
    phrases: [],
    ruling: blameRecipient('greylisted'),
    meaning: 'Turned away for now without a reason, most likely greylisting.',
  },
  {
    code: 'rcpt-policy',
    stages: ['rcpt'],
    replies: any,
    statuses: ['7'],
    phrases: policy,
    ruling: blameRecipient('policy'),
    meaning: 'A rule of the receiver forbids mail to this recipient.',
  },
  {
    code: 'network',
    stages: sending,
    replies: any,
    // RFC 3463 §3.5: trouble on the way from the relay to the recipient.
    statuses: ['4'],
    phrases: [],
    ruling: blameRecipient('network'),
    meaning: 'The relay does not get through to the system of the recipient.',
  },
  {
    code: 'message-too-big-code',
    stages: ['mail', 'data', 'end'],
    // RFC 5321 §4.2.3, RFC 1870 §6.1.
    replies: [552],
    statuses: [],
    phrases: [],
    ruling: blameMessage('message-too-big'),
    meaning: 'The message is too big, by its reply code alone.',
  },
  {
    code: 'rcpt-storage',
    stages: named,
    replies: [422, 452, 522, 552],
    statuses: [],
    phrases: [],
    ruling: blameRecipient('mailbox-full'),
    meaning: 'The mailbox is full, by its reply code alone.',
  },
  {
    code: 'rcpt-unknown-code',
    stages: ['rcpt'],
    // RFC 5321 §4.2.3. A status of another subject gives another reason; 5.5.0 is Outlook's.
    replies: [550, 551, 553],
    statuses: ['', '0', '1', '2', '5.0'],
    phrases: [],
    ruling: blameRecipient('no-such-recipient'),
    meaning: 'There is no such mailbox, by the reply code alone.',
  },
  {
    code: 'rcpt-syntax',
    stages: ['rcpt'],
    // RFC 5321 §4.2.2; with a status it may be about a parameter.
    replies: [501],
    statuses: ['', '1'],
    phrases: [],
    ruling: blameRecipient('no-such-recipient'),
    meaning: 'The relay takes this for no address.',
  },
  {
    code: 'rcpt-busy',
    stages: ['rcpt'],
    replies: [450],
    statuses: [],
    phrases: [],
    ruling: blameRecipient('greylisted'),
    meaning: 'Not now, by the reply code alone; most likely greylisting.',
  },
  {
    code: 'sender-refused-code',
    stages: ['mail'],
    replies: [5],
    statuses: [],
    phrases: [],
    ruling: blameMessage('sender-refused'),
    meaning: 'MAIL is refused, so the reverse-path is not accepted.',
  },
  {
    code: 'rcpt-unclassified',
    stages: ['rcpt'],
    replies: any,
    statuses: [],
    phrases: [],
    ruling: blameRecipient('unclassified'),
    meaning: 'Refused for a reason that we do not know, when the recipient was named.',
  },
  {
    code: 'message-unclassified',
    stages: ['mail', 'data', 'end'],
    replies: any,
    statuses: [],
    phrases: [],
    ruling: blameMessage('unclassified'),
    meaning: 'Refused for a reason that we do not know.',
  },
];
