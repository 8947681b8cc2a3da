// The verdict: from stage and reply, or failure, to whose fault it is, what now, and what becomes of the session.
import { unreachable } from '../base/invariant.ts';
import type { OutcomeKind } from './outcome.ts';
import { formatReply, type Reply } from './reply.ts';
import { opening, type Ruling } from './verdict_rule.ts';
import { findRule, incidents, type Incident } from './verdict_table.ts';

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

/** Why a row ended or was deferred, in one word. */
export const categories = [
  'no-such-recipient',
  'mailbox-full',
  'inactive',
  'policy',
  'content',
  'reputation',
  'authentication',
  'rate-limited',
  'relay-quota',
  'sender-refused',
  'message-too-big',
  'greylisted',
  'relay-auth',
  'relay-down',
  'protocol',
  'network',
  'unclassified',
] as const;

/** Empty for what was accepted. */
export type Category = '' | (typeof categories)[number];

/** What becomes of the attempt; whether a message can be made at all is decided before a relay is asked. */
export type VerdictKind = Exclude<OutcomeKind, 'invalid'>;

/**
 * The classification that users read. Plain data. Always true: relay trouble and our own is never charged (`kind` is
 * unsent, or inDoubt), nobody is rejected but for the recipient's or the message's sake, and only a positive reply is accepted.
 */
export interface Verdict {
  readonly scope: Scope;
  readonly stage: Stage;
  /** What this makes of the attempt whose turn it was; what was pipelined behind a broken session is unsent. */
  readonly kind: VerdictKind;
  /** The row of the verdict table that matched, such as `rcpt-unknown`; docs/reference.md lists them all. */
  readonly code: string;
  /** What becomes of the session. */
  readonly session: 'keep' | 'close';
  /** 0 where no reply was seen. */
  readonly replyCode: number;
  readonly enhancedStatus: string;
  readonly category: Category;
  /** Whether the same may go better later without anybody's doing. */
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

/**
 * Classifies the reply to a command. What the stage wants (3yz to DATA, 2yz elsewhere, either to AUTH) is accepted and
 * has no category. Everything else is judged by the table: the first digit of the reply code decides between deferred
 * and rejected, the text does no more than name the reason and who is to blame.
 */
export function judgeReply(stage: Stage, reply: Reply): Verdict {
  if (isPositive(stage, reply.replyCode)) return judge(stage, incidents.accepted, reply);
  const rule = findRule(stage, reply);
  return rule === undefined ? judge(stage, atStage(stage, 'unexpected'), reply) : judge(stage, rule, reply);
}

/** Classifies trouble that came without a reply, for the transaction whose turn it was. */
export function judgeFailure(stage: Stage, failure: Failure): Verdict {
  return judge(stage, atStage(stage, failure.kind), failure.text);
}

/** Classifies what no reply tells: a row that gave no message, what the relay does not offer, our own stop. */
export function judgeLocally(
  incident: 'unmakeable' | 'oversize' | 'overlimit' | 'uncarried' | 'lacking' | 'stopped',
  text: string,
): Verdict {
  return judge('idle', incidents[incident], text);
}

/** Messages of a campaign are mostly of one size. */
const overLimitCode = incidents.overlimit.code;

/** True where every other message of the campaign is likely to meet the same: who pauses it spares its sender. */
export function concernsCampaign(verdict: Verdict): boolean {
  return verdict.code.startsWith('sender-') || verdict.code === overLimitCode;
}

function isPositive(stage: Stage, replyCode: number): boolean {
  const digit = Math.floor(replyCode / 100);
  // RFC 5321 §4.3.2; RFC 4954 §4: 334 asks for more.
  if (stage === 'data') return digit === 3;
  return digit === 2 || (digit === 3 && stage === 'auth');
}

/** A row of the table or an incident. */
interface Finding {
  readonly code: string;
  readonly ruling: Ruling;
}

function judge(stage: Stage, finding: Finding, said: Reply | string): Verdict {
  const { scope, category, kind, session, retryable } = finding.ruling;
  const reply = typeof said === 'string' ? undefined : said;
  const replyCode = reply?.replyCode ?? 0;
  const temporary = replyCode < 500;
  // RFC 5321 §3.8: after 421 the relay closes, whatever it answered. A session that did not open is of no use.
  const closes = replyCode === 421 || (replyCode >= 400 && opening.includes(stage));
  return {
    scope,
    stage,
    kind: kind !== 'byDigit' ? kind : temporary ? 'deferred' : 'rejected',
    code: finding.code,
    session: closes ? 'close' : session,
    replyCode,
    enhancedStatus: reply?.enhancedStatus ?? '',
    category,
    retryable: retryable === 'byDigit' ? temporary : retryable,
    text: typeof said === 'string' ? said : formatReply(said),
  };
}

/** An incident at a stage: how far the message had come decides what is known of it. */
function atStage(stage: Stage, incident: Incident): Finding {
  const { code, ruling } = incidents[incident];
  switch (stage) {
    case 'connect':
    case 'greeting':
    case 'ehlo':
    case 'starttls':
    case 'auth':
      return { code, ruling: { ...ruling, kind: 'unsent', scope: ruling.scope === 'us' ? 'us' : 'relay' } };
    case 'reset':
    case 'mail':
    case 'idle':
      return { code, ruling: { ...ruling, kind: 'unsent' } };
    case 'rcpt':
    case 'data':
      return { code, ruling };
    case 'end':
      // RFC 1047: the end of data is out and its reply was not seen, or says nothing; nobody can know.
      return { code, ruling: { ...ruling, kind: 'inDoubt' } };
    default:
      return unreachable(stage);
  }
}
