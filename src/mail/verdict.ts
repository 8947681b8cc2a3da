// The verdict: one table from stage and reply, or failure, to whose fault it is and what happens next.
import { unreachable } from '../base/invariant.ts';
import { formatReply, type Reply } from './reply.ts';

/** Where in a session something happened (RFC 5321 §3, §4.5.3.2). `end` is the reply to the end of data. */
export type Stage =
  | 'connect'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'reset'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'end'
  | 'idle';

/** Who is to blame. Relay and session trouble never counts against a recipient. */
export type Scope = 'recipient' | 'message' | 'session' | 'relay' | 'us';

export type Category =
  | ''
  | 'no-such-recipient'
  | 'mailbox-full'
  | 'inactive'
  | 'policy'
  | 'content'
  | 'reputation'
  | 'authentication'
  | 'rate-limited'
  | 'relay-quota'
  | 'sender-refused'
  | 'message-too-big'
  | 'greylisted'
  | 'relay-auth'
  | 'relay-down'
  | 'protocol'
  | 'network'
  | 'unclassified';

/** The classification that users read. Plain data. */
export interface Verdict {
  readonly scope: Scope;
  readonly stage: Stage;
  /** 0 where no reply was seen. */
  readonly replyCode: number;
  readonly enhancedStatus: string;
  readonly category: Category;
  readonly retryable: boolean;
  /** The reply in one line, or what happened in words. */
  readonly text: string;
}

/** What can go wrong without a reply. */
export type Failure =
  /** The socket closed or broke. */
  | { kind: 'closed'; text: string }
  /** No reply within the stage's time. */
  | { kind: 'timeout'; text: string }
  /** Something that is no SMTP, or a reply nobody asked for. */
  | { kind: 'garbled'; text: string }
  /** We ended it. */
  | { kind: 'stopped'; text: string };

/** Classifies a reply that a stage of a transaction got. Positive replies have no category. */
export function judgeReply(stage: Stage, reply: Reply): Verdict {
  const category = reply.replyCode < 400 ? '' : categoryOf(stage, reply);
  return {
    scope: scopeOf(stage, category, reply.replyCode),
    stage,
    replyCode: reply.replyCode,
    enhancedStatus: reply.enhancedStatus ?? '',
    category,
    retryable: reply.replyCode >= 400 && reply.replyCode < 500,
    text: formatReply(reply),
  };
}

/** Classifies trouble that came without a reply. */
export function judgeFailure(stage: Stage, failure: Failure): Verdict {
  return {
    scope: failure.kind === 'stopped' ? 'us' : 'session',
    stage,
    replyCode: 0,
    enhancedStatus: '',
    category: failureCategory(failure),
    retryable: true,
    text: failure.text,
  };
}

function failureCategory(failure: Failure): Category {
  switch (failure.kind) {
    case 'closed':
    case 'timeout':
      return 'network';
    case 'garbled':
      return 'protocol';
    case 'stopped':
      return '';
    default:
      return unreachable(failure);
  }
}

/** By X.Y.Z of RFC 3463 and the IANA registry; the class digit is the reply code's business. */
const categoryByStatus: Record<string, Category> = {
  '1.1': 'no-such-recipient',
  '1.2': 'no-such-recipient',
  '1.3': 'no-such-recipient',
  '1.6': 'no-such-recipient',
  '1.7': 'sender-refused',
  '1.8': 'sender-refused',
  '1.10': 'no-such-recipient',
  '2.1': 'inactive',
  '2.2': 'mailbox-full',
  '2.3': 'message-too-big',
  '3.4': 'message-too-big',
  '4.1': 'network',
  '4.4': 'network',
  '4.7': 'network',
  '5.3': 'rate-limited',
  '6.1': 'content',
  '7.8': 'relay-auth',
  '7.20': 'authentication',
  '7.21': 'authentication',
  '7.22': 'authentication',
  '7.23': 'authentication',
  '7.24': 'authentication',
  '7.25': 'reputation',
  '7.26': 'authentication',
};

function categoryOf(stage: Stage, reply: Reply): Category {
  if (reply.replyCode === 530 || reply.replyCode === 535) return 'relay-auth';
  if (reply.replyCode === 421) return 'relay-down';
  const detail = reply.enhancedStatus?.slice(2) ?? '';
  if (detail === '7.1' && stage === 'rcpt' && /gr[ae]y.?list/i.test(reply.text)) return 'greylisted';
  const known = Object.hasOwn(categoryByStatus, detail) ? categoryByStatus[detail] : undefined;
  return known ?? categoryByCode(stage, reply.replyCode, detail);
}

/** RFC 5321 §4.2.2, §4.2.3: what the bare code says, where the enhanced status says nothing. */
function categoryByCode(stage: Stage, replyCode: number, detail: string): Category {
  if (replyCode === 552) return stage === 'rcpt' ? 'mailbox-full' : 'message-too-big';
  if (replyCode === 452) return 'mailbox-full';
  if (stage === 'mail' && replyCode >= 500 && replyCode !== 503) return 'sender-refused';
  if (replyCode >= 500 && replyCode <= 504) return 'protocol';
  if (detail.startsWith('7.')) return stage === 'end' || stage === 'data' ? 'content' : 'policy';
  if (stage === 'rcpt' && (replyCode === 550 || replyCode === 551 || replyCode === 553))
    return 'no-such-recipient';
  if (stage === 'rcpt' && replyCode === 450) return 'greylisted';
  return 'unclassified';
}

function scopeOf(stage: Stage, category: Category, replyCode: number): Scope {
  if (category === 'relay-auth' || category === 'relay-down') return 'relay';
  if (category === 'protocol' || replyCode === 503) return 'session';
  if (stage === 'rcpt') return 'recipient';
  if (stage === 'mail' || stage === 'data' || stage === 'end') return 'message';
  return 'relay';
}
