// The verdict table: all rules in their order, how one is found, and the table that users read.
import { messageCodeRules, relayCodeRules } from './code_rules.ts';
import { authenticationRules, messageRules } from './message_rules.ts';
import { relayRules } from './relay_rules.ts';
import { plainText, type Reply } from './reply.ts';
import type { Failure, Stage } from './verdict.ts';
import { blameMessage, blameRelay, blameSession, type Rule, type Ruling } from './verdict_rule.ts';

/** The first that takes a reply wins. */
export const rules: readonly Rule[] = [
  ...authenticationRules,
  ...relayRules,
  ...messageRules,
  ...relayCodeRules,
  ...messageCodeRules,
];

/** What happened without a refusal, or without a reply. `accepted` is a positive reply of the kind its stage wants. */
export type Incident =
  | Failure['kind']
  | 'accepted'
  | 'unexpected'
  | 'unmakeable'
  | 'oversize'
  | 'overlimit'
  | 'uncarried'
  | 'lacking';

interface IncidentRow {
  readonly code: string;
  /** For the printed table. */
  readonly replies: string;
  readonly ruling: Ruling;
  readonly meaning: string;
}

/** Their kinds are those at RCPT and DATA; `atStage` of verdict.ts knows the other stages. */
export const incidents: Readonly<Record<Incident, IncidentRow>> = {
  accepted: {
    code: 'accepted',
    replies: '2yz, 3yz',
    ruling: { scope: 'message', category: '', kind: 'accepted', session: 'keep', retryable: false },
    meaning: 'A positive reply; at the end of data the relay has taken the message.',
  },
  unexpected: {
    code: 'reply-unexpected',
    replies: '2yz, 3yz out of place',
    ruling: blameSession('protocol', 'deferred'),
    meaning: 'A reply that RFC 5321 does not allow at this stage.',
  },
  garbled: {
    code: 'reply-garbled',
    replies: 'none',
    ruling: blameSession('protocol', 'deferred'),
    meaning: 'Something that is no reply, or a reply that nothing asked for.',
  },
  closed: {
    code: 'connection-closed',
    replies: 'none',
    ruling: blameSession('network', 'deferred'),
    meaning: 'The connection closed or broke, or could not be opened.',
  },
  timeout: {
    code: 'connection-timeout',
    replies: 'none',
    ruling: blameSession('network', 'deferred'),
    meaning: 'No reply in time.',
  },
  stopped: {
    code: 'stopped',
    replies: 'none',
    ruling: { scope: 'us', category: '', kind: 'unsent', session: 'close', retryable: true },
    meaning: 'We stopped before this attempt could count.',
  },
  unmakeable: {
    code: 'message-unmakeable',
    replies: 'none',
    ruling: { ...blameMessage(''), kind: 'unsent', retryable: false },
    meaning: 'No message can be made of this row; nothing was sent.',
  },
  oversize: {
    code: 'message-oversize',
    replies: 'none',
    ruling: { ...blameMessage('message-too-big'), kind: 'rejected', retryable: false },
    meaning: 'The message is bigger than the relay has said it takes; nothing was sent.',
  },
  overlimit: {
    code: 'message-over-limit',
    replies: 'none',
    ruling: { ...blameMessage('message-too-big'), kind: 'rejected', retryable: false },
    meaning: 'The message has more bytes than one of our own limits ever lets go at once; nothing was sent.',
  },
  uncarried: {
    code: 'message-needs-smtputf8',
    replies: 'none',
    ruling: { ...blameMessage('protocol'), kind: 'rejected', retryable: false },
    meaning:
      'An address of this message needs SMTPUTF8 (RFC 6531), which the relay does not offer; nothing was sent.',
  },
  lacking: {
    code: 'relay-lacks-extension',
    replies: 'none',
    ruling: blameRelay('protocol', false),
    meaning:
      'The relay does not offer what every message of the campaign needs: REQUIRETLS or SMTPUTF8; nothing was sent.',
  },
};

interface ReadyRule {
  readonly rule: Rule;
  readonly explicit: boolean;
  readonly replies: ReadonlySet<number>;
  readonly statuses: ReadonlySet<string>;
  readonly phrases: RegExp | undefined;
}

/** By stage, then by first digit (4 or 5), so that a reply meets only rules that may take it. */
const readyRules = makeReadyRules();

/** The first rule that takes this refusal (4yz or 5yz), or undefined for any other code. */
export function findRule(stage: Stage, reply: Reply): Rule | undefined {
  const keys = statusKeysOf(reply.enhancedStatus);
  let text: string | undefined;
  for (const ready of readyRules.get(stage)?.[Math.floor(reply.replyCode / 100)] ?? []) {
    if (ready.explicit && !ready.replies.has(reply.replyCode)) continue;
    if (ready.statuses.size === 0 && ready.phrases === undefined) return ready.rule;
    if (keys.some((key) => ready.statuses.has(key))) return ready.rule;
    text ??= plainText(reply);
    if (ready.phrases?.test(text) === true) return ready.rule;
  }
  return undefined;
}

/** What a rule may call "5.7.606": "7.606", "7.6xx" and "7"; "" where there is no status. */
function statusKeysOf(enhancedStatus: string | undefined): readonly string[] {
  if (enhancedStatus === undefined) return [''];
  const status = enhancedStatus.slice(2);
  const dot = status.indexOf('.');
  const keys = [status, status.slice(0, dot)];
  if (status.length - dot === 4) keys.push(`${status.slice(0, -2)}xx`);
  return keys;
}

function makeReadyRules(): ReadonlyMap<Stage, readonly (readonly ReadyRule[])[]> {
  const byStage = new Map<Stage, ReadyRule[][]>();
  for (const rule of rules) {
    const ready = makeReady(rule);
    for (const stage of rule.stages) {
      const byDigit = byStage.get(stage) ?? [[], [], [], [], [], []];
      byStage.set(stage, byDigit);
      for (const digit of [4, 5]) {
        if (rule.replies.some((reply) => reply === digit || Math.floor(reply / 100) === digit))
          byDigit[digit]?.push(ready);
      }
    }
  }
  return byStage;
}

/** Phrases become alternatives of literals: no repetition, so a match takes time in proportion to the text. */
function makeReady(rule: Rule): ReadyRule {
  const literals = rule.phrases.map((phrase) => phrase.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return {
    rule,
    explicit: !rule.replies.some((reply) => reply < 10),
    replies: new Set(rule.replies),
    statuses: new Set(rule.statuses),
    phrases: literals.length === 0 ? undefined : new RegExp(literals.join('|')),
  };
}

/** The table for docs/reference.md: one line a rule, in the order in which they are tried. */
export function verdictTable(): string {
  const head =
    '| code | stage | reply | blames | category | attempt | session | meaning |\n|---|---|---|---|---|---|---|---|\n';
  const refusals = rules.map((rule) =>
    printRow(rule.code, rule.stages.join(', '), describeReplies(rule), rule.ruling, rule.meaning),
  );
  const others = Object.values(incidents).map((row) =>
    printRow(row.code, 'any', row.replies, row.ruling, row.meaning),
  );
  return head + [...refusals, ...others].join('');
}

function printRow(code: string, stage: string, reply: string, ruling: Ruling, meaning: string): string {
  const attempt = ruling.kind === 'byDigit' ? '4yz deferred, 5yz rejected' : ruling.kind;
  const category = ruling.category === '' ? '' : `\`${ruling.category}\``;
  return `| \`${code}\` | ${stage} | ${reply} | ${ruling.scope} | ${category} | ${attempt} | ${ruling.session} | ${meaning} |\n`;
}

function describeReplies(rule: Rule): string {
  const codes = rule.replies.map((reply) => (reply < 10 ? `${reply}yz` : String(reply))).join(', ');
  const evidence = [
    ...rule.statuses.map(describeStatus),
    ...rule.phrases.slice(0, 2).map((phrase) => `“${phrase.trim()}”`),
    ...(rule.phrases.length > 2 ? ['and the like'] : []),
  ];
  return evidence.length === 0 ? codes : `${codes} with ${evidence.join(', ')}`;
}

function describeStatus(status: string): string {
  if (status === '') return 'no status';
  return status.includes('.') ? `x.${status}` : `x.${status}.*`;
}
