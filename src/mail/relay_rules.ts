// The rules that blame the relay, the account at it or the session: none of them counts against a recipient.
import {
  any,
  blameRecipient,
  blameRelay,
  blameRelayAndClose,
  blameSession,
  named,
  opening,
  sending,
  type Rule,
} from './verdict_rule.ts';
import { greylisted, recipientRate } from './message_wording.ts';
import * as wording from './relay_wording.ts';

/** They come before the rules for recipients: providers tell of their limits with any reply code at any stage. */
export const relayRules: readonly Rule[] = [
  // The first three are not the relay's affair, but told in much the same words.
  {
    code: 'greylisted',
    stages: sending,
    replies: [4],
    statuses: [],
    phrases: greylisted,
    ruling: blameRecipient('greylisted'),
    meaning: 'The first attempt is turned away on purpose (RFC 6647); a later one is taken.',
  },
  {
    code: 'rcpt-rate-limited',
    stages: named,
    replies: any,
    statuses: ['2.121', '2.122'],
    phrases: recipientRate,
    ruling: blameRecipient('rate-limited'),
    meaning: 'This mailbox gets too many messages at the moment.',
  },
  {
    // Exchange says "authentication required" and means whoever writes to this recipient.
    code: 'rcpt-members-only',
    stages: named,
    replies: any,
    statuses: ['7.12', '7.124', '7.133', '7.134', '7.135', '7.136'],
    phrases: ['resolver.rst'],
    ruling: blameRecipient('policy'),
    meaning: 'This recipient takes mail only from the own organisation or from members.',
  },
  {
    code: 'relay-quota',
    stages: [...opening, ...sending],
    replies: any,
    // Exchange Online's limits of senders and tenants.
    statuses: ['1.90', '7.232', '7.233', '7.236', '7.705'],
    phrases: wording.relayQuota,
    ruling: blameRelay('relay-quota'),
    meaning: 'The account has used up what it may send for now.',
  },
  {
    code: 'relay-quota-status',
    stages: sending,
    replies: [5],
    // Gmail's 550 5.4.5.
    statuses: ['4.5'],
    phrases: [],
    ruling: blameRelay('relay-quota'),
    meaning: 'The account has used up what it may send for now, by its status alone.',
  },
  {
    code: 'relay-connections',
    stages: [...opening, ...sending, 'idle'],
    replies: any,
    statuses: [],
    phrases: wording.relayConnections,
    ruling: blameRelayAndClose('rate-limited'),
    meaning: 'More connections than the relay allows.',
  },
  {
    code: 'session-limit',
    stages: [...sending, 'idle'],
    replies: any,
    statuses: [],
    phrases: wording.sessionLimit,
    ruling: blameSession('rate-limited', 'unsent'),
    meaning: 'This session has carried as much as the relay allows one to carry.',
  },
  {
    code: 'session-timeout',
    // Not of data and end: a message that takes too long each time must not go round for ever.
    stages: ['mail', 'rcpt', 'idle'],
    replies: [421, 451],
    statuses: [],
    phrases: wording.sessionTimeout,
    ruling: blameSession('network', 'unsent'),
    meaning: 'The relay has waited too long for us.',
  },
  {
    code: 'relay-account',
    stages: [...opening, ...sending],
    replies: any,
    statuses: [],
    phrases: wording.relayAccount,
    ruling: blameRelay('relay-auth', false),
    meaning: 'The account at the relay is suspended, closed or not open yet.',
  },
  {
    code: 'relay-throttled',
    stages: [...opening, ...sending],
    replies: any,
    // The registry's mail flood, as Gmail uses it; Exchange Online's throttled senders.
    statuses: ['7.28', '2.251', '2.252', '2.253', '2.254', '2.255'],
    phrases: wording.relayRate,
    ruling: blameRelay('rate-limited'),
    meaning: 'Faster than the relay, or a system behind it, allows.',
  },
  {
    code: 'relay-throttled-status',
    stages: sending,
    replies: [4],
    // RFC 3463 §3.5: system congestion; Exchange Online's 4.7.500–699 and 4.7.850–899.
    statuses: ['4.5', '7.5xx', '7.6xx', '7.8xx'],
    phrases: [],
    ruling: blameRelay('rate-limited'),
    meaning: 'Faster than the relay, or a system behind it, allows, by its status alone.',
  },
  {
    code: 'relay-auth',
    // RFC 4954 §6: 530 before MAIL, 534, 535 and 538 to AUTH; 523 and 524 are Gmail's and older.
    stages: ['auth', ...sending],
    replies: [523, 524, 530, 534, 535, 538],
    statuses: [],
    phrases: [],
    ruling: blameRelayAndClose('relay-auth', false),
    meaning: 'The relay does not accept our credentials, or wants credentials or TLS first.',
  },
  {
    code: 'relay-denied',
    stages: ['mail', 'rcpt'],
    replies: any,
    // Exchange Online's "client was not authenticated" and "tenant attribution".
    statuses: ['7.57', '7.64'],
    phrases: wording.relayDenied,
    ruling: blameRelayAndClose('relay-auth', false),
    meaning: 'The relay does not let us send to others.',
  },
  {
    code: 'relay-busy',
    // RFC 4954 §6, RFC 3207 §4: 454 is about authentication or TLS, never about a recipient.
    stages: sending,
    replies: [454],
    statuses: [],
    phrases: [],
    ruling: blameRelay('relay-down'),
    meaning: 'The relay cannot do something for the time being that has nothing to do with recipients.',
  },
];
