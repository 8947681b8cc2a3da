// The parts of a message that templates make: how people are told of them, and what becomes of what is printed there.

/**
 * Where the output goes. In html Liquid escapes what `{{ }}` prints, in calendar it marks it (calendar.ts); column pieces
 * are left to the caller. textOfHtml is plain text whose template was HTML.
 */
export type Place = 'plain' | 'html' | 'textOfHtml' | 'calendar';

/** `header X-Order` is the header field of that name. */
export type Part = keyof typeof parts | `header ${string}`;

export interface PartRules {
  /** "the text part". */
  readonly name: string;
  readonly place: Place;
  /** A missing value is no error of its row. */
  readonly takesMissing: boolean;
  /** The caller encodes every value, also those that are the same for all. */
  readonly keepsValues: boolean;
}

const parts = {
  to: rules('the display name of To', { takesMissing: true }),
  replyTo: rules('replyTo'),
  unsubscribeUrl: rules('the unsubscribe URL', { keepsValues: true }),
  unsubscribeMailto: rules('the unsubscribe address', { keepsValues: true }),
  subject: rules('the subject'),
  text: rules('the text part'),
  textOfHtml: rules('the text part', { place: 'textOfHtml' }),
  html: rules('the HTML part', { place: 'html' }),
  calendar: rules('the invitation', { place: 'calendar' }),
  filename: rules('the name of an attachment'),
} as const;

export function rulesOf(part: Part): PartRules {
  return isNamed(part) ? parts[part] : rules(`the ${part}`);
}

function isNamed(part: Part): part is keyof typeof parts {
  return Object.hasOwn(parts, part);
}

function rules(name: string, other: Partial<PartRules> = {}): PartRules {
  return { name, place: 'plain', takesMissing: false, keepsValues: false, ...other };
}
