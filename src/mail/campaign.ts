// A campaign: one mailing as it was written down, with every file it names already read.
import type { Cell } from './recipient.ts';

/** A named template source, so that errors can say `file:line:column`. */
export interface TemplateSource {
  /** The path for messages to people: the template's own file, or the campaign file it stands in. */
  readonly file: string;
  /** 1-based line of `file` at which `source` starts; 1 for a file of its own. */
  readonly line: number;
  readonly source: string;
  /** It is text that was made of HTML: filters that are about markup do for it what is right for text. */
  readonly isTextOfHtml?: boolean | undefined;
}

export interface Attachment {
  readonly filename: string;
  /** Per recipient, instead of `filename`. */
  readonly filenameTemplate?: TemplateSource | undefined;
  readonly content: Uint8Array;
  /** Guessed from the name where absent. */
  readonly contentType?: string | undefined;
  /** Content-ID of an inline image, without angle brackets. */
  readonly cid?: string | undefined;
}

/** Files that one recipient gets: a column names them. */
export interface RowAttachments {
  readonly column: string;
  /** Absolute path of the folder that the names are relative to and that they cannot leave; symbolic links resolved. */
  readonly root: string;
  /** Between the names of several files. */
  readonly separator: string;
  /** Whether a blank cell means a message without such a file instead of an invalid recipient. */
  readonly isOptional: boolean;
  /** Of one file. */
  readonly mostBytes: number;
  /** Name that the recipient sees; the file's own where absent. */
  readonly filenameTemplate?: TemplateSource | undefined;
  /** Guessed from the name where absent. */
  readonly contentType?: string | undefined;
  /** `file:line:column` of the column's name in the campaign file. */
  readonly where: string;
}

/** A calendar invitation (RFC 5545): text/calendar beside text and html (RFC 6047 §2.4). */
export interface Calendar {
  readonly source: TemplateSource;
  /** RFC 5546 §1.4: REQUEST, CANCEL, …; the METHOD of the source. */
  readonly method: string;
  /** Name of the same invitation as an attachment; undefined for none. */
  readonly filename: string | undefined;
}

/** What the bodies still need before they are templates for recipients; `prepareCampaign` does it. */
export interface BodyWork {
  /** The text part is made of the HTML part. */
  readonly makesText: boolean;
  /** Style sheets of the HTML part become style attributes. */
  readonly inlinesCss: boolean;
  /** Where `html` is MJML. */
  readonly mjml?: MjmlFiles | undefined;
}

/** MJML with all that it includes, already read. Paths are relative to the campaign's folder. */
export interface MjmlFiles {
  readonly path: string;
  readonly includes: readonly { readonly path: string; readonly source: string }[];
}

/** A mailbox of a header: display name and address. */
export interface Mailbox {
  readonly name: string;
  readonly address: string;
}

/** What List-Unsubscribe offers (RFC 2369 §3.2); at least one of `url` and `mailto` is there. */
export interface Unsubscribe {
  /** An https URL. */
  readonly url?: TemplateSource | undefined;
  /** An address, and perhaps `?subject=…` behind it. */
  readonly mailto?: TemplateSource | undefined;
  /** List-Unsubscribe-Post (RFC 8058), where there is a URL. */
  readonly oneClick: boolean;
}

/** What is asked of a relay that offers DSN (RFC 3461); absent: the relay's own way. */
export interface DsnRequest {
  readonly ret?: 'hdrs' | 'full' | undefined;
  readonly notify?: 'never' | readonly ('success' | 'failure' | 'delay')[] | undefined;
  readonly envid: boolean;
  readonly orcpt: boolean;
}

export interface Campaign {
  /** Unique among the campaigns of a state directory. */
  readonly name: string;
  readonly from: Mailbox;
  /** Template of the display name beside a recipient's address; the address alone where absent. */
  readonly to?: TemplateSource | undefined;
  /** Template that must give a mailbox for every recipient. */
  readonly replyTo?: TemplateSource | undefined;
  readonly sender?: Mailbox | undefined;
  /** RFC 5321 reverse-path; the address of `from` where the campaign names none. */
  readonly reversePath: string;
  readonly subject: TemplateSource;
  /** At least one of `text` and `html` is there. */
  readonly text?: TemplateSource | undefined;
  readonly html?: TemplateSource | undefined;
  readonly attachments: readonly Attachment[];
  readonly rowAttachments?: readonly RowAttachments[] | undefined;
  readonly calendar?: Calendar | undefined;
  /** Absent once it is done. */
  readonly bodyWork?: BodyWork | undefined;
  /** What bodies were made of: checked first, for that is where people look for their mistakes. */
  readonly originals?: readonly TemplateSource[] | undefined;
  /** Further header fields, in order; a value with `{{` is a template, any other is literal text. */
  readonly headers: readonly (readonly [name: string, value: TemplateSource])[];
  /** RFC 2919 §2: `label.example.com`, with or without a phrase: `News <news.example.com>`. */
  readonly listId?: string | undefined;
  readonly unsubscribe?: Unsubscribe | undefined;
  readonly feedbackId?: TemplateSource | undefined;
  readonly precedence?: 'bulk' | 'list' | 'junk' | undefined;
  /** RFC 3834 §5. */
  readonly autoSubmitted?: 'no' | 'auto-generated' | 'auto-replied' | undefined;
  /** Makes a reverse-path of its own for every row. A secret: never logged. */
  readonly verp?: { readonly secret: string } | undefined;
  readonly dsn?: DsnRequest | undefined;
  /** RFC 8689: sent with REQUIRETLS or not at all. */
  readonly requireTls?: boolean | undefined;
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
  /** The same as text, for text parts that are made of HTML; `prepareCampaign` makes them. */
  readonly textPartials?: Readonly<Record<string, TemplateSource>> | undefined;
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
  /** It has no text part, although the campaign may have one. */
  readonly leavesOutText?: boolean | undefined;
  readonly html?: TemplateSource | undefined;
  readonly preheader?: TemplateSource | undefined;
  /** As the campaign's, for an `html` of its own. */
  readonly bodyWork?: BodyWork | undefined;
  readonly originals?: readonly TemplateSource[] | undefined;
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
