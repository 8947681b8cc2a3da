// What a reader finds in a message, in the same shape whichever of three parsers reads it.
import { MailParser, type AddressObject, type HeaderValue } from 'mailparser';
import PostalMime, { decodeWords, type Address } from 'postal-mime';
import { readWithPython } from './python_email.ts';

/** Display name and address. */
export type ReadMailbox = readonly [name: string, address: string];

export interface ReadAttachment {
  readonly name: string;
  readonly type: string;
  readonly disposition: string;
  readonly cid: string;
  readonly base64: string;
}

export interface ReadMail {
  /** Of the header fields, lower-case, sorted: the order is the writer's. */
  readonly names: readonly string[];
  /** From, To, Reply-To, by lower-case name. */
  readonly mailboxes: Readonly<Record<string, readonly ReadMailbox[]>>;
  /** What is not a mailbox and not about MIME, decoded, by lower-case name. */
  readonly fields: Readonly<Record<string, string>>;
  /** "multipart/mixed(text/plain,image/png)". */
  readonly structure: string;
  readonly text: string;
  readonly html: string;
  /** Every part that is neither text nor html, in order. */
  readonly attachments: readonly ReadAttachment[];
}

export type Reader = (messages: readonly Buffer[]) => Promise<readonly ReadMail[]>;

/** The first two have one author, who wrote nodemailer, too; Python's shares nothing with them. */
export const readers: Readonly<Record<'postal-mime' | 'mailparser' | 'Python', Reader>> = {
  'postal-mime': (messages) => readEach(messages, readWithPostalMime),
  mailparser: (messages) => readEach(messages, readWithMailparser),
  Python: (messages) => Promise.resolve(readWithPython(messages).map(settlePython)),
};

function settlePython(mail: ReadMail): ReadMail {
  const { structure, attachments } = mail;
  return {
    structure,
    attachments,
    names: mail.names.toSorted(),
    text: normaliseEnd(mail.text),
    html: normaliseEnd(mail.html),
    // Where the line is folded behind the colon, it keeps the blank.
    fields: Object.fromEntries(Object.entries(mail.fields).map(([key, value]) => [key, value.trim()])),
    mailboxes: Object.fromEntries(
      // Python makes one blank of many, and of the fold between encoded-words another (RFC 2047 §6.2 wants none).
      Object.entries(mail.mailboxes).map(([field, boxes]) => [
        field,
        boxes.map(([name, address]) => [withoutBlanks(name), address] as const),
      ]),
    ),
  };
}

export function withoutBlanks(name: string): string {
  return name.replace(/\s/gu, '');
}

async function readEach(
  messages: readonly Buffer[],
  read: (message: Buffer) => Promise<ReadMail>,
): Promise<readonly ReadMail[]> {
  const mails: ReadMail[] = [];
  for (const message of messages) mails.push(await read(message));
  return mails;
}

export async function readWithPostalMime(message: Buffer): Promise<ReadMail> {
  const parser = new PostalMime({ attachmentEncoding: 'base64', maxHeadersSize: 4_000_000 });
  const email = await parser.parse(message);
  return {
    names: email.headers.map(({ key }) => key).sort(),
    mailboxes: {
      from: boxesOf(email.from === undefined ? [] : [email.from]),
      to: boxesOf(email.to ?? []),
      'reply-to': boxesOf(email.replyTo ?? []),
    },
    fields: Object.fromEntries(
      email.headers.filter(({ key }) => isField(key)).map(({ key, value }) => [key, decodeWords(value)]),
    ),
    structure: outlineOf(Reflect.get(parser, 'root'), 'childNodes', (node) =>
      textAt(node, 'contentType', 'parsed', 'value'),
    ),
    text: normaliseEnd(email.text),
    html: normaliseEnd(email.html),
    attachments: email.attachments.map((one) => ({
      name: one.filename ?? '',
      type: one.mimeType,
      disposition: one.disposition ?? '',
      cid: one.contentId ?? '',
      base64: typeof one.content === 'string' ? one.content : '',
    })),
  };
}

export async function readWithMailparser(message: Buffer): Promise<ReadMail> {
  const parser = new MailParser({ skipHtmlToText: true, skipTextToHtml: true, maxHeadSize: 4_000_000 });
  const attachments: ReadAttachment[] = [];
  parser.end(message);
  for await (const part of parser) {
    if (part.type !== 'attachment') continue;
    const content = Buffer.concat(await part.content.toArray());
    attachments.push({
      name: part.filename || '',
      type: part.contentType,
      disposition: part.contentDisposition,
      cid: part.contentId ?? '',
      base64: content.toString('base64'),
    });
    part.release();
  }
  const { headers, headerLines } = parser;
  if (headers === false || headerLines === false) throw new Error('there is no header');
  return {
    names: headerLines.map(({ key }) => key).sort(),
    mailboxes: {
      from: boxesIn(parser.from),
      to: boxesIn(parser.to),
      'reply-to': boxesIn(parser.replyTo),
    },
    fields: Object.fromEntries(
      // It forgets empty fields, gathers those of lists in one, and leaves encoded-words in what it does not know.
      [...withoutLists(headerLines.map(({ key }) => key)), ...headers]
        .filter(([key]) => isField(key))
        .map(([key, value]) => [key, key === 'subject' ? textOf(value) : decodeWords(textOf(value))]),
    ),
    structure: outlineOf(Reflect.get(parser, 'tree'), 'children', (node) => textAt(node, 'contentType')),
    text: normaliseEnd(parser.text || ''),
    html: normaliseEnd(parser.html || ''),
    attachments,
  };
}

function withoutLists(names: readonly string[]): (readonly [name: string, value: string])[] {
  return names.filter((name) => !name.startsWith('list-')).map((name) => [name, '']);
}

/** The fields of a message that are neither mailboxes nor about MIME. */
function isField(key: string): boolean {
  return !/^(?:from|to|reply-to|content-.*|mime-version)$/.test(key);
}

function boxesOf(addresses: readonly Address[]): ReadMailbox[] {
  return addresses.map(({ name, address }) => [name, address ?? '(group)']);
}

function boxesIn(addresses: AddressObject | AddressObject[] | undefined): ReadMailbox[] {
  return [addresses ?? []]
    .flat()
    .flatMap(({ value }) => value.map(({ name, address }): ReadMailbox => [name, address ?? '(group)']));
}

function textOf(value: HeaderValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The tree of types; neither parser's declarations tell of its tree. */
function outlineOf(node: unknown, children: string, typeOf: (node: unknown) => string): string {
  const below: unknown = typeof node === 'object' && node !== null ? Reflect.get(node, children) : undefined;
  const inner = Array.isArray(below) ? below.map((one) => outlineOf(one, children, typeOf)) : [];
  return `${typeOf(node)}${inner.length === 0 ? '' : `(${inner.join(',')})`}`;
}

function textAt(node: unknown, ...path: readonly string[]): string {
  let value = node;
  for (const key of path) value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : '';
  return String(value);
}

/** Line ends as LF; the last one may be the message's own. */
function normaliseEnd(text: string | undefined): string {
  return (text ?? '').replaceAll('\r\n', '\n').replace(/\n$/, '');
}
