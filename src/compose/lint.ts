// The linter: what Gmail, Yahoo and Microsoft refuse of bulk mail, found in the header of one composed message.
import { domainToASCII } from 'node:url';
import { parseMailbox } from '../mail/address.ts';

export interface Finding {
  /** refused: providers turn such a campaign away. advised: they take it, and like it less. */
  readonly severity: 'refused' | 'advised';
  /** Stable, for programs. */
  readonly code: string;
  /** One sentence: what is wrong, and what to do. */
  readonly text: string;
}

/** What a header does not tell. */
export interface CampaignFacts {
  /** Domains (d=) that sign the campaign; empty where nobody knows, or nobody signs. */
  readonly signingDomains: readonly string[];
  /** The campaign says itself that it does without RFC 8058. */
  readonly declinesOneClick: boolean;
}

type Header = ReadonlyMap<string, readonly string[]>;

/** Fields that occur at most once: RFC 5322 §3.6, RFC 2045 §3, RFC 2369 §2, RFC 2919 §3, RFC 8058 §3.1, RFC 3834 §5. */
const singleFields = [
  'date',
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'message-id',
  'in-reply-to',
  'references',
  'subject',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'auto-submitted',
  'precedence',
  'feedback-id',
];

/** Looks at a message as the composer made it; the body is not read. */
export function lintMessage(message: string, facts: CampaignFacts): readonly Finding[] {
  const header = readHeader(message);
  return [
    ...lintFields(header),
    ...lintUnsubscribe(header, facts),
    ...lintAlignment(header, facts),
    ...lintFeedbackId(header),
  ];
}

function readHeader(message: string): Header {
  const end = message.indexOf('\r\n\r\n');
  const fields = new Map<string, string[]>();
  for (const field of message.slice(0, end < 0 ? message.length : end).split(/\r\n(?![ \t])/)) {
    const colon = field.indexOf(':');
    const name = field.slice(0, Math.max(0, colon)).toLowerCase();
    const value = field
      .slice(colon + 1)
      .replaceAll('\r\n', '')
      .trim();
    fields.set(name, [...(fields.get(name) ?? []), value]);
  }
  return fields;
}

function lintFields(header: Header): Finding[] {
  const findings: Finding[] = [];
  for (const name of singleFields) {
    const { length } = header.get(name) ?? [];
    if (length > 1)
      findings.push(
        refused(
          'duplicate-field',
          `${showName(name)} occurs ${length} times, at most once is allowed; take it out of headers`,
        ),
      );
  }
  for (const name of ['date', 'from', 'message-id']) {
    if ((header.get(name)?.[0] ?? '') === '')
      findings.push(refused('missing-field', `${showName(name)} is missing, and every message needs it`));
  }
  return findings;
}

function lintUnsubscribe(header: Header, { declinesOneClick }: CampaignFacts): Finding[] {
  const [value] = header.get('list-unsubscribe') ?? [];
  const [post] = header.get('list-unsubscribe-post') ?? [];
  if (value === undefined) {
    if (post !== undefined)
      return [
        refused(
          'post-without-list',
          'List-Unsubscribe-Post stands without List-Unsubscribe; set unsubscribe.url',
        ),
      ];
    return [
      advised(
        'no-unsubscribe',
        'There is no List-Unsubscribe, which Gmail and Yahoo require of bulk mail; set unsubscribe.url, unless these messages are transactional',
      ),
    ];
  }
  const urls = [...value.matchAll(/<([^<>]*)>/g)].map((match) => (match[1] ?? '').trim());
  const findings: Finding[] = [];
  if (urls.some((url) => /^http:/i.test(url)))
    findings.push(
      refused('unsubscribe-not-https', 'List-Unsubscribe has an http URL; RFC 8058 and Gmail want https'),
    );
  else if (!urls.some((url) => /^https:/i.test(url)))
    findings.push(
      judgeOneClick(
        declinesOneClick,
        'unsubscribe-not-https',
        'List-Unsubscribe has no https URL, which Gmail and Yahoo require of bulk mail; set unsubscribe.url',
      ),
    );
  else if (post === undefined)
    findings.push(
      judgeOneClick(
        declinesOneClick,
        'unsubscribe-without-post',
        'List-Unsubscribe has no List-Unsubscribe-Post beside it, which Gmail and Yahoo require of bulk mail; use unsubscribe with oneClick instead of headers',
      ),
    );
  // RFC 8058 §3.1: this very text.
  if (post !== undefined && post !== 'List-Unsubscribe=One-Click')
    findings.push(
      refused(
        'unsubscribe-post-wrong',
        'List-Unsubscribe-Post must be "List-Unsubscribe=One-Click"; use unsubscribe with oneClick instead of headers',
      ),
    );
  return findings;
}

/** `oneClick: false` is a campaign's own word for being no bulk mail. */
function judgeOneClick(declines: boolean, code: string, text: string): Finding {
  return declines
    ? advised(code, text)
    : refused(code, `${text} (unsubscribe.oneClick: false where this is no bulk mail)`);
}

/** DMARC's relaxed alignment (RFC 7489 §3.1.1): From and some signature share the organisational domain. */
function lintAlignment(header: Header, { signingDomains }: CampaignFacts): Finding[] {
  const mailbox = parseMailbox(header.get('from')?.[0] ?? '');
  if (signingDomains.length === 0 || mailbox.kind === 'invalid') return [];
  const domain = mailbox.address.slice(mailbox.address.lastIndexOf('@') + 1);
  if (signingDomains.some((signing) => mayAlign(domain, signing))) return [];
  const signers = [...new Set(signingDomains)].join(', ');
  return [
    refused(
      'from-not-aligned',
      `From is at ${domain}, and no signature can align with it (${signers}); sign with a key of that domain, or write from another address`,
    ),
  ];
}

/** Second labels under which countries register, as in "co.uk". */
const registryLabels =
  /^(?:ac|asn|co|com|edu|gob|gov|go|gouv|gv|id|ltd|me|mil|ne|net|nom|nhs|or|org|plc|sch|web)$/;

/**
 * Whether two domains may have one organisational domain. Without the public suffix list, which would have to be kept fresh,
 * this is a guess that errs towards "may": two common labels at the end are enough, three where the two look like a country's
 * registry. So it misses misalignment under suffixes such as "github.io" and never refuses what DMARC takes, but for an
 * organisation that owns a name like "co.xy" itself.
 */
export function mayAlign(one: string, other: string): boolean {
  const [a, b] = [one, other].map((domain) => (domainToASCII(domain) || domain).toLowerCase());
  if (a === undefined || b === undefined || a === b) return true;
  const [labels, others] = [a.split('.').toReversed(), b.split('.').toReversed()];
  const differsAt = labels.findIndex((label, index) => label !== others[index]);
  const common = differsAt < 0 ? labels.length : differsAt;
  const isRegistry = labels[0]?.length === 2 && registryLabels.test(labels[1] ?? '');
  return common >= (isRegistry ? 3 : 2);
}

/** Gmail reads four parts, the last of them a sender's mark of 5 to 15 characters. */
function lintFeedbackId(header: Header): Finding[] {
  const [value] = header.get('feedback-id') ?? [];
  if (value === undefined || /^[^:]*:[^:]*:[^:]*:[^:]{5,15}$/.test(value)) return [];
  return [
    advised(
      'feedback-id-form',
      'Feedback-ID is not a:b:c:SENDER with a SENDER of 5 to 15 characters, so Gmail ignores it',
    ),
  ];
}

function showName(name: string): string {
  return name
    .split('-')
    .map((word) =>
      word === 'id' || word === 'mime' ? word.toUpperCase() : word.charAt(0).toUpperCase() + word.slice(1),
    )
    .join('-');
}

function refused(code: string, text: string): Finding {
  return { severity: 'refused', code, text };
}

function advised(code: string, text: string): Finding {
  return { severity: 'advised', code, text };
}
