// The keys of a campaign file: one row each.
import * as z from 'zod';
import { envelopeKeys, listKeys, mailboxKeys } from './header_schema.ts';
import { key, expects } from './key.ts';
import { pauseSchema } from './pause_schema.ts';
import { relayName } from './relay_schema.ts';
import { retrySchema } from './retry_schema.ts';
import { timeKeys } from './time_schema.ts';
import { lineTemplate, partSchema, templateKeys, textSchema } from './template_schema.ts';
import { burst, byteRates, choice, flag, line, rates, size, text, wholeNumber } from './value.ts';

const path = 'the path of a file';

export const calendarMethods = [
  'PUBLISH',
  'REQUEST',
  'REPLY',
  'ADD',
  'CANCEL',
  'REFRESH',
  'COUNTER',
  'DECLINECOUNTER',
] as const;

const attachmentSchema = z.strictObject({
  path: key(line(path).optional(), {
    sentence: 'The file, relative to this one and not outside of its folder. Every recipient gets it.',
    default: 'needed unless there is a `column`',
  }),
  column: key(line('the name of a column').optional(), {
    sentence:
      'Column that names the files of each recipient, relative to `root`; in NDJSON it may be a list.',
    default: 'none',
  }),
  root: key(line('the path of a folder').optional(), {
    sentence:
      'With `column`: folder that its files are in and that they cannot leave, itself inside of this file’s.',
    default: 'needed with `column`',
  }),
  separator: key(text((value) => value.length === 1, 'one character').prefault(';'), {
    sentence: 'With `column`: character between the names of several files.',
  }),
  optional: key(
    flag().prefault(false),
    'With `column`: whether a blank cell means no such file; otherwise it makes the row invalid.',
  ),
  maxSize: key(size('1B', '64MiB').prefault('10MiB'), 'With `column`: a larger file makes the row invalid.'),
  filename: key(text(isFilename, 'a file name without folders').optional(), {
    sentence: 'Liquid template of the name that recipients see.',
    default: 'the last part of the path',
  }),
  contentType: key(text(isContentType, 'a media type such as image/png').optional(), {
    sentence: 'Media type (RFC 2045 §5.1).',
    default: "by the name's ending",
  }),
  cid: key(
    text(isContentId, 'a Content-ID without angle brackets and spaces').optional(),
    'Content-ID of an inline image: `<img src="cid:logo">`.',
  ),
});

const calendarSchema = z.strictObject({
  file: key(
    line(path),
    'Liquid template of the invitation (RFC 5545); values are encoded and lines are folded.',
  ),
  method: key(choice(calendarMethods).optional(), {
    sentence: 'What calendars do with it (RFC 5546 §1.4).',
    default: "the file's METHOD",
  }),
  attach: key(flag().prefault(true), 'Whether the invitation is attached as a file, too.'),
  filename: key(text(isFilename, 'a file name without folders').prefault('invite.ics'), {
    sentence: 'Name of that file.',
  }),
});

const listSchema = z.strictObject({
  address: key(line('the name of a column').optional(), {
    sentence: 'Column with the address.',
    default: 'the only column whose name says so',
  }),
  timezone: key(line('the name of a column').optional(), {
    sentence:
      'Column with the IANA timezone of a recipient, on whose clocks `sendWindows` then are; a blank cell means `timezone`, an unknown one makes the row invalid.',
    default: 'all are in `timezone`',
  }),
  format: key(choice(['csv', 'ndjson']).optional(), {
    sentence: 'Format of the list.',
    default: 'by its content',
  }),
  delimiter: key(expects(z.enum([',', ';', '|', '\t', 'tab']), '",", ";", "|" or tab').optional(), {
    sentence: 'Delimiter of CSV.',
    default: 'by the header line',
  }),
  charset: key(text(isCharset, 'an encoding label such as windows-1252').optional(), {
    sentence: 'Encoding (a label of the WHATWG Encoding Standard).',
    default: 'utf-8',
  }),
  file: key(line(path).optional(), {
    sentence: 'The list, relative to this file and not outside of its folder.',
    default: "the command line's",
  }),
});

const relayShareSchema = z.strictObject({
  name: key(relayName(), 'Name of the relay in the configuration.'),
  weight: key(wholeNumber(1, 1000).prefault(1), 'Its share of the batches.'),
  spare: key(flag().prefault(false), 'Only while none of the others can be used.'),
  lanes: key(z.array(line('the name of a lane')).min(1).max(1000).optional(), {
    sentence: 'The lanes that it is for.',
    default: 'all',
  }),
});

export const campaignSchema = z.strictObject({
  name: key(campaignName().optional(), {
    sentence: 'Unique among the campaigns of a state directory.',
    default: "the file's name without its ending",
  }),
  from: key(line('a mailbox such as Shop <hello@example.com>'), 'Mailbox of the From field.'),
  ...mailboxKeys,
  subject: key(lineTemplate(), 'Liquid template of the subject.'),
  text: key(textSchema().optional(), {
    sentence: 'Liquid template of the plain text part; `none` leaves it out. Or `html` is needed.',
    default: 'made of `html`',
  }),
  html: key(
    partSchema().optional(),
    'Liquid template of the HTML part; values are escaped. A file that ends in .mjml is MJML.',
  ),
  css: key(choice(['inline']).optional(), {
    sentence: 'inline: style sheets of the HTML part become style attributes; media queries stay.',
    default: 'left as it is',
  }),
  ...templateKeys,
  calendar: key(calendarSchema.optional(), {
    sentence: 'A calendar invitation beside text and HTML.',
    default: 'none',
  }),
  attachments: key(z.array(attachmentSchema).max(100).prefault([]), 'Files that messages carry.'),
  headers: key(
    z
      .record(headerName(), text(isHeaderValue, 'text in one line, in quotes where YAML sees a number'))
      .prefault({}),
    'Further header fields by name. A value with `{{` is a Liquid template, any other is literal text; where it comes out blank there is no field.',
  ),
  ...listKeys,
  returnPath: key(line('an address such as bounces@example.com').optional(), {
    sentence: 'Reverse-path (RFC 5321 §4.1.1.2), where bounces go.',
    default: 'the address of `from`',
  }),
  ...envelopeKeys,
  list: key(listSchema.prefault({}), 'How to read the list.'),
  relay: key(relayName().optional(), {
    sentence: 'Name of the relay in the configuration.',
    default: 'the only one',
  }),
  relays: key(z.array(relayShareSchema).min(1).max(20).optional(), {
    sentence:
      'Several relays in place of one, by weight, lane and failover. A retry goes by the relay that it had.',
    default: 'none',
  }),
  priority: key(wholeNumber(1, 100).prefault(10), {
    sentence: 'Share among campaigns that are sent at one time: twice as much is twice the share.',
  }),
  rate: key(rates().optional(), {
    sentence: "Limit of this campaign, or several, within the relay's.",
    default: 'no limit',
  }),
  burst: key(burst().optional(), {
    sentence: 'Messages that may go at once after a silence, within `rate`.',
    default: 'an even pace',
  }),
  bytes: key(byteRates().optional(), {
    sentence:
      'Limit of the bytes of this campaign’s messages, or several; kB, MB and GB are 1000, KiB, MiB and GiB 1024 of the next smaller.',
    default: 'no limit',
  }),
  inDoubt: key(
    choice(['resend', 'hold']).prefault('resend'),
    'What happens to a message whose end was sent and whose reply was never seen: sent again, or left.',
  ),
  ...timeKeys,
  pauseAbove: key(
    pauseSchema.prefault({}),
    'When the campaign is paused, with 75, instead of burning the rest of its list.',
  ),
  retry: key(retrySchema.prefault({}), 'When deferred recipients are tried again.'),
});

export type WrittenCampaign = z.output<typeof campaignSchema>;

/** Names go into the ledger, metrics, results and commands. */
export function campaignName() {
  const schema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/);
  return expects(schema, 'at most 100 letters, digits, "-", "_" and ".", with a letter or digit first');
}

/** Fields that the message has anyway, or that would have no or a wrong effect as literal text. */
const reservedHeaders = new Set([
  'from',
  'to',
  'cc',
  'bcc',
  'reply-to',
  'sender',
  'subject',
  'date',
  'message-id',
  'mime-version',
  'return-path',
  'received',
  'dkim-signature',
]);

/** A field name of RFC 5322 §3.6.8 that is the campaign's to set; short enough for a line of 78 (§2.1.1). */
function headerName() {
  const schema = z.string().refine((name) => {
    const lower = name.toLowerCase();
    return (
      /^[\u0021-\u0039\u003b-\u007e]{1,76}$/.test(name) &&
      !reservedHeaders.has(lower) &&
      !lower.startsWith('content-')
    );
  });
  return expects(
    schema,
    'a header field name (RFC 5322 §3.6.8) other than From, To, Cc, Bcc, Reply-To, Sender, Subject, Date, Message-ID, ' +
      'MIME-Version, Content-…, Return-Path, Received and DKIM-Signature',
  );
}

/** No CR, LF or NUL can begin a field of its own; tabs are white space (RFC 5322 §2.2). */
function isHeaderValue(value: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what it looks for
  return value.trim() !== '' && !/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/.test(value);
}

function isFilename(value: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what it looks for
  return value.length <= 255 && !/^\.{0,2}$|[/\\\u0000-\u001f\u007f-\u009f]/.test(value);
}

/** RFC 2045 §5.1: type "/" subtype, with parameters. */
function isContentType(value: string): boolean {
  return /^[A-Za-z0-9!#$&^_.+-]{1,127}\/[A-Za-z0-9!#$&^_.+-]{1,127}(?: ?; ?[A-Za-z0-9-]{1,40}=[A-Za-z0-9_.+-]{1,100}){0,8}$/.test(
    value,
  );
}

function isContentId(value: string): boolean {
  return /^[\u0021-\u003b\u003d\u003f-\u007e]{1,200}$/.test(value);
}

function isCharset(value: string): boolean {
  try {
    return new TextDecoder(value).encoding !== '';
  } catch {
    return false;
  }
}
