// A campaign: one mailing as it was written down, with every file it names already read.
import type { Cell } from './recipient.ts';

/** A named template source, so that errors can say `file:line:column`. */
export interface TemplateSource {
  /** The path for messages to people: the template's own file, or the campaign file it stands in. */
  readonly file: string;
  /** 1-based line of `file` at which `source` starts; 1 for a file of its own. */
  readonly line: number;
  readonly source: string;
}

export interface Attachment {
  readonly filename: string;
  readonly content: Uint8Array;
  /** Guessed from the name where absent. */
  readonly contentType?: string | undefined;
  /** Content-ID of an inline image, without angle brackets. */
  readonly cid?: string | undefined;
}

/** A mailbox of a header: display name and address. */
export interface Mailbox {
  readonly name: string;
  readonly address: string;
}

export interface Campaign {
  /** Unique among the campaigns of a state directory. */
  readonly name: string;
  readonly from: Mailbox;
  readonly replyTo?: Mailbox | undefined;
  /** RFC 5321 reverse-path; the address of `from` where the campaign names none. */
  readonly reversePath: string;
  readonly subject: TemplateSource;
  /** At least one of `text` and `html` is there. */
  readonly text?: TemplateSource | undefined;
  readonly html?: TemplateSource | undefined;
  readonly attachments: readonly Attachment[];
  /** Further header fields, in order; values are literal text. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** One line that inboxes show after the subject; hidden in the HTML part, and only there. */
  readonly preheader?: TemplateSource | undefined;
  /** Values that all recipients share; templates use the names like columns. */
  readonly data?: Readonly<Record<string, Cell>> | undefined;
  /** BCP 47, for filters; "en" where absent. */
  readonly locale?: string | undefined;
  /** IANA name, for filters; "UTC" where absent. */
  readonly timezone?: string | undefined;
  /** Columns whose values are HTML that `raw` may print as it is. */
  readonly trusted?: readonly string[] | undefined;
  /** Every template that another one names, by that name: rendering reads no files. */
  readonly partials?: Readonly<Record<string, TemplateSource>> | undefined;
  /** At least one where there are any. */
  readonly variants?: readonly Variant[] | undefined;
}

/** One of several wordings; what it does not say is the campaign's. */
export interface Variant {
  readonly name: string;
  /** Its weight among the shares of all; more than 0. */
  readonly share: number;
  readonly subject?: TemplateSource | undefined;
  readonly text?: TemplateSource | undefined;
  readonly html?: TemplateSource | undefined;
  readonly preheader?: TemplateSource | undefined;
}

/**
 * A campaign as it goes to the threads that compose it. `columns` are the list's, in the order of the
 * recipients' cells.
 */
export interface CampaignPlan {
  readonly id: number;
  readonly campaign: Campaign;
  readonly columns: readonly string[];
}
