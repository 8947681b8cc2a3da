// A campaign: one mailing as it was written down, with every file it names already read.

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
