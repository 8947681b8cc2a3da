// The rules that blame the recipient, the message or its sender.
import {
  any,
  blameMessage,
  blameRecipient,
  blameSession,
  body,
  named,
  sending,
  type Rule,
} from './verdict_rule.ts';
import * as wording from './message_wording.ts';

/**
 * Authentication of the sender (RFC 7372, and what Gmail and Exchange Online made of it). Before everything else:
 * providers call it a rate limit. Codes that begin with "sender-" are for what every message of a campaign meets.
 */
export const authenticationRules: readonly Rule[] = [
  {
    code: 'sender-spf',
    stages: sending,
    replies: any,
    statuses: ['7.23', '7.24', '7.27'],
    phrases: wording.spf,
    ruling: blameMessage('authentication'),
    meaning: 'SPF of the sending domain fails.',
  },
  {
    code: 'sender-dkim',
    stages: sending,
    replies: any,
    statuses: ['7.20', '7.21', '7.22', '7.30'],
    phrases: wording.dkim,
    ruling: blameMessage('authentication'),
    meaning: 'DKIM of the sending domain fails.',
  },
  {
    code: 'sender-dmarc',
    stages: sending,
    replies: any,
    statuses: ['7.32', '7.40', '7.509'],
    phrases: wording.dmarc,
    ruling: blameMessage('authentication'),
    meaning: 'DMARC of the domain of From fails or is missing, or From is not aligned.',
  },
  {
    code: 'sender-authentication',
    stages: sending,
    replies: any,
    statuses: ['7.26', '7.515'],
    phrases: wording.unauthenticated,
    ruling: blameMessage('authentication'),
    meaning: 'The sending domain is not authenticated as the receiver demands.',
  },
];

/** In the order in which their words are trusted. */
export const messageRules: readonly Rule[] = [
  {
    code: 'rcpt-too-many',
    stages: named,
    replies: any,
    // RFC 5321 §4.5.3.1.10: 452, and 552 of older servers. One is never too many for its own sake.
    statuses: ['5.3'],
    phrases: wording.tooManyRecipients,
    ruling: { ...blameSession('rate-limited', 'unsent'), session: 'keep' },
    meaning: 'More recipients than one transaction may have; the next one takes this one.',
  },
  {
    code: 'rcpt-mailbox-full',
    stages: named,
    replies: any,
    statuses: ['2.2'],
    phrases: wording.mailboxFull,
    ruling: blameRecipient('mailbox-full'),
    meaning: 'The mailbox is full.',
  },
  {
    code: 'sender-refused',
    stages: sending,
    replies: any,
    statuses: ['1.7', '1.8', '7.60', '7.750'],
    phrases: wording.senderRefused,
    ruling: blameMessage('sender-refused'),
    meaning: 'The reverse-path or the From address is not accepted.',
  },
  {
    code: 'rcpt-unknown',
    stages: named,
    replies: any,
    // RFC 3463 §3.2, RFC 7293, Exchange Online's own.
    statuses: ['1.1', '1.2', '1.3', '1.4', '1.6', '1.10', '1.310', '1.351', '7.17', '7.18', '7.504', '7.505'],
    phrases: wording.noSuchRecipient,
    ruling: blameRecipient('no-such-recipient'),
    meaning: 'There is no such mailbox.',
  },
  {
    code: 'rcpt-inactive',
    stages: named,
    replies: any,
    statuses: ['2.1', '7.13'],
    phrases: wording.inactive,
    ruling: blameRecipient('inactive'),
    meaning: 'The mailbox is disabled, suspended or closed.',
  },
  {
    code: 'rcpt-domain-unknown',
    stages: named,
    replies: [5],
    statuses: ['4.1', '4.4'],
    phrases: wording.noSuchDomain,
    ruling: blameRecipient('no-such-recipient'),
    meaning: 'The domain does not exist or takes no mail.',
  },
  {
    code: 'rcpt-domain-refuses-mail',
    stages: named,
    // RFC 7504 §4.
    replies: [556],
    statuses: [],
    phrases: [],
    ruling: blameRecipient('no-such-recipient'),
    meaning: 'The domain takes no mail at all.',
  },
  {
    code: 'message-too-big',
    stages: sending,
    replies: any,
    statuses: ['2.3', '3.4', '7.16'],
    phrases: wording.tooBig,
    ruling: blameMessage('message-too-big'),
    meaning: 'The message, or a part of it, is too big.',
  },
  {
    code: 'reputation',
    stages: named,
    replies: any,
    // RFC 7372 §3.3; Exchange Online's banned addresses, ranges and senders.
    statuses: [
      '7.25',
      '7.501',
      '7.502',
      '7.503',
      '7.507',
      '7.508',
      '7.511',
      '7.513',
      '7.6xx',
      '7.708',
      '7.8xx',
    ],
    phrases: wording.reputation,
    ruling: blameMessage('reputation'),
    meaning: 'The sending address, its name or the sender has a bad reputation with this receiver.',
  },
  {
    code: 'message-content',
    stages: body,
    replies: any,
    // Exchange Online's missing From.
    statuses: ['7.512'],
    phrases: wording.content,
    ruling: blameMessage('content'),
    meaning: 'The content is taken for spam, malware or a malformed message.',
  },
  {
    // Nobody has seen the content yet: they mean whoever sends it.
    code: 'rcpt-spam',
    stages: ['rcpt'],
    replies: any,
    statuses: [],
    phrases: wording.content,
    ruling: blameMessage('reputation'),
    meaning: 'Taken for a sender of spam, before the message was seen.',
  },
  {
    code: 'message-format',
    stages: sending,
    replies: any,
    // RFC 3463 §3.7, RFC 6531 §3.5.
    statuses: ['6'],
    phrases: [],
    ruling: blameMessage('content'),
    meaning:
      'The message or an address has a form that is not supported, such as an address that is not ASCII.',
  },
  {
    code: 'message-policy',
    stages: body,
    replies: any,
    statuses: [],
    phrases: wording.policy,
    ruling: blameMessage('policy'),
    meaning: 'A rule of the receiver forbids this message.',
  },
  {
    code: 'message-suspicious',
    stages: body,
    replies: any,
    // RFC 3463 §3.8, without a word about whom or what: nothing but the content is new at this stage.
    statuses: ['7'],
    phrases: [],
    ruling: blameMessage('content'),
    meaning: 'The receiver refuses this message for a reason of security that it does not give.',
  },
];
