// One campaign with a merge field at every place that takes one, and what must be read there of a value.
import type { Campaign } from '../../src/mail/campaign.ts';
import { normaliseHeader, normaliseText, templateOf } from './campaigns.ts';

/** A place with a merge field; its column has its name. */
export interface MergePlace {
  readonly column: string;
  /** What readers must find where they find the mark in a message with harmless values. */
  readonly encode: (value: string) => string;
  /** Why rows may be invalid. A blank value always may be. */
  readonly refusal?: RegExp;
}

/** How a column is printed: by the fast path, or by Liquid. */
export const forms = {
  'a column piece': (column: string) => `{{ ${column} }}`,
  'a piece left to Liquid': (column: string) => `{{ ${column} | append: '' }}`,
} as const;

const longName = /display name of (?:To|Reply-To) has \d+ characters, at most 500/;
const notMailbox = /^replyTo is not a mailbox: /;
const notAddress = /^replyTo is not a mailbox: |^address cannot be written in a header/;
const longUrl = /^the unsubscribe URL has \d+ characters, at most 900 fit$/;
const longWord = /^header \S+ has a word that does not fit in a line of 998 characters$/;
const scheme = /begins a link with a scheme other than/;

export const places: readonly MergePlace[] = [
  { column: 'subject', encode: normaliseHeader },
  { column: 'preheader', encode: escapeHtml },
  { column: 'text', encode: normaliseText },
  { column: 'html_text', encode: escapeHtml },
  { column: 'html_attribute', encode: escapeHtml },
  { column: 'html_link', encode: escapeHtml, refusal: scheme },
  { column: 'html_parameter', encode: escapeHtml },
  { column: 'to', encode: cleanName, refusal: longName },
  {
    column: 'reply_name',
    // A quote ends the quoting that the template wrote; what it makes must still be one mailbox.
    encode: (value) => cleanName(value.replaceAll('"', '')),
    refusal: new RegExp(`${longName.source}|${notMailbox.source}`),
  },
  { column: 'reply_address', encode: (value) => value, refusal: notAddress },
  { column: 'custom', encode: normaliseHeader, refusal: longWord },
  { column: 'unsubscribe', encode: encodeUrl, refusal: longUrl },
  { column: 'unsubscribe_mail', encode: encodeUrl, refusal: longUrl },
  { column: 'feedback', encode: (value) => normaliseHeader(`a${value}a`).slice(1, -1), refusal: longWord },
  { column: 'filename', encode: cleanFilename },
  { column: 'row_filename', encode: cleanFilename },
  // No file is called any of that; a name that leads to none is the row's mistake.
  { column: 'files', encode: () => 'never', refusal: /^(?:column "files"|the file ") ?/ },
  { column: 'summary', encode: escapeCalendar },
  {
    column: 'attendee',
    encode: (value) =>
      cleanCalendar(value)
        .replaceAll('"', "'")
        .replace(/[\t\r\n]+/g, ' '),
  },
];

/** What a harmless message has at a place, and no other text has. */
export function markOf(column: string): string {
  return `mark-of-${column}-end`;
}

/** `root` holds the only file that the column "files" may name: a.pdf. */
export function campaignOf(print: (column: string) => string, root: string): Partial<Campaign> {
  const template = (source: string) => templateOf(source.replace(/<<(\w+)>>/g, (_, column) => print(column)));
  return {
    subject: template('<<subject>>'),
    to: template('<<to>>'),
    replyTo: template('"<<reply_name>>" <help+<<reply_address>>@example.com>'),
    preheader: template('<<preheader>>'),
    text: template('Dear [<<text>>],\n\n.\n'),
    html: template(
      '<body><p title="<<html_attribute>>">[<<html_text>>]</p><a href="<<html_link>>">1</a>' +
        '<a href="https://a.example/?q=<<html_parameter>>">2</a></body>',
    ),
    headers: [['X-Custom', template('<<custom>>')]],
    feedbackId: template('a:<<feedback>>:b'),
    listId: 'News <news.example.com>',
    unsubscribe: {
      url: template('https://a.example/u?t=<<unsubscribe>>'),
      mailto: template('u+<<unsubscribe_mail>>@a.example'),
      oneClick: true,
    },
    attachments: [
      { filename: 'b.pdf', filenameTemplate: template('<<filename>>.pdf'), content: Buffer.from('%PDF') },
      { filename: 'logo.png', content: Buffer.from('PNG'), cid: 'logo' },
    ],
    rowAttachments: [
      {
        column: 'files',
        root,
        separator: ';',
        isOptional: false,
        mostBytes: 1000,
        filenameTemplate: template('<<row_filename>>.pdf'),
        where: 'c.yaml:1:1',
      },
    ],
    calendar: {
      source: template(
        'BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nATTENDEE;CN="<<attendee>>":mailto:a@example.net\n' +
          'SUMMARY:[<<summary>>]\nEND:VEVENT\nEND:VCALENDAR\n',
      ),
      method: 'REQUEST',
      filename: 'invite.ics',
    },
  };
}

function escapeHtml(value: string): string {
  return normaliseText(value).replace(/[&<>"']/g, (one) => entities[one] ?? one);
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

/** Readers take these two separators for line ends. */
function cleanName(value: string): string {
  return normaliseHeader(value.replace(/[\u2028\u2029]/g, ' '));
}

function encodeUrl(value: string): string {
  return encodeURIComponent(value.toWellFormed()).replaceAll('(', '%28').replaceAll(')', '%29');
}

/** No folders, no controls, nothing that turns letters around, nothing like an encoded-word, 200 characters. */
function cleanFilename(value: string): string {
  const clean = `${value}.pdf`
    .toWellFormed()
    .replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ')
    .replace(/[/\\]+/g, '_')
    .replaceAll('=?', '=_')
    .trim();
  return Array.from(clean.slice(0, -4)).slice(0, 196).join('');
}

/** RFC 5545 §3.1: no controls but line breaks and tabs. */
function cleanCalendar(value: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what goes away
  return value.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '').toWellFormed();
}

/** RFC 5545 §3.3.11. */
function escapeCalendar(value: string): string {
  return cleanCalendar(value)
    .replace(/[\\;,]/g, '\\$&')
    .replace(/\r\n?|\n/g, '\\n');
}
