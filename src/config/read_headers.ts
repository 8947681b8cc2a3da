// What a campaign file says of header and envelope becomes the campaign's: addresses parsed, the secret read.
import { dirname } from 'node:path';
import { parseAddress, parseMailbox } from '../mail/address.ts';
import type { Campaign, Mailbox, TemplateSource } from '../mail/campaign.ts';
import { maxVerpBaseOctets } from '../mail/verp.ts';
import type { Path } from './problem.ts';
import { tell, type Reading } from './reading.ts';
import { readSecret } from './secret.ts';

type HeaderKeys = Pick<
  Campaign,
  | 'from'
  | 'to'
  | 'replyTo'
  | 'sender'
  | 'headers'
  | 'listId'
  | 'unsubscribe'
  | 'feedbackId'
  | 'precedence'
  | 'autoSubmitted'
  | 'reversePath'
  | 'verp'
  | 'dsn'
  | 'requireTls'
>;

export function readHeaderKeys(reading: Reading): HeaderKeys {
  const { written } = reading;
  const from = readMailbox(reading, 'from', written.from);
  const reversePath =
    written.returnPath === undefined ? from.address : readAddress(reading, written.returnPath);
  return {
    from,
    to: templateAt(reading, ['to'], written.to),
    replyTo: readReplyTo(reading),
    sender: written.sender === undefined ? undefined : readMailbox(reading, 'sender', written.sender),
    headers: readHeaders(reading),
    listId: written.listId,
    unsubscribe: readUnsubscribe(reading),
    feedbackId: templateAt(reading, ['feedbackId'], written.feedbackId),
    precedence: written.precedence,
    autoSubmitted: written.autoSubmitted,
    reversePath,
    verp: readVerp(reading, reversePath),
    dsn: written.dsn,
    requireTls: written.requireTls,
  };
}

/**
 * What of header and envelope makes up the message, for the campaign's digest; empty where none of these keys is used, so that
 * a campaign without them keeps the digest that it had before they were known.
 */
export function headerDigestParts(campaign: Campaign): unknown[] {
  const { to, sender, listId, unsubscribe, feedbackId, precedence, autoSubmitted, verp } = campaign;
  const parts = [
    to?.source,
    sender && [sender.name, sender.address],
    listId,
    unsubscribe && [
      unsubscribe.url?.source ?? null,
      unsubscribe.mailto?.source ?? null,
      unsubscribe.oneClick,
    ],
    feedbackId?.source,
    precedence,
    autoSubmitted,
    // The reverse-path is to stay the same on every attempt: another secret makes another campaign.
    verp?.secret,
  ];
  return parts.every((part) => part === undefined) ? [] : [parts.map((part) => part ?? null)];
}

function templateAt(reading: Reading, path: Path, source: string | undefined): TemplateSource | undefined {
  return source === undefined
    ? undefined
    : { file: reading.path, line: reading.file.contentLine(path), source };
}

function readMailbox(reading: Reading, key: 'from' | 'sender', written: string): Mailbox {
  const mailbox = parseMailbox(written);
  if (mailbox.kind === 'mailbox') return { name: mailbox.name, address: mailbox.address };
  tell(reading, [key], { what: `is not a mailbox: ${mailbox.reason}`, expected: 'Name <local@domain>' });
  return { name: '', address: '' };
}

/** A template is looked at when its row is there, anything else now. */
function readReplyTo(reading: Reading): TemplateSource | undefined {
  const { replyTo } = reading.written;
  if (replyTo !== undefined && !/\{[{%]/.test(replyTo)) {
    const mailbox = parseMailbox(replyTo);
    if (mailbox.kind === 'invalid')
      tell(reading, ['replyTo'], {
        what: `is not a mailbox: ${mailbox.reason}`,
        expected: 'Name <local@domain>',
      });
  }
  return templateAt(reading, ['replyTo'], replyTo);
}

function readAddress(reading: Reading, written: string): string {
  const parsed = parseAddress(written);
  if (parsed.kind === 'address') return parsed.address;
  tell(reading, ['returnPath'], { what: `is not an address: ${parsed.reason}`, expected: 'local@domain' });
  return '';
}

function readHeaders(reading: Reading): [string, TemplateSource][] {
  const seen = new Set<string>();
  return Object.entries(reading.written.headers).map(([name, source]) => {
    if (seen.has(name.toLowerCase())) tell(reading, ['headers', name], { what: 'occurs twice' });
    seen.add(name.toLowerCase());
    return [name, { file: reading.path, line: reading.file.contentLine(['headers', name]), source }];
  });
}

function readUnsubscribe(reading: Reading): Campaign['unsubscribe'] {
  const { unsubscribe } = reading.written;
  if (unsubscribe === undefined) return undefined;
  const { url, mailto, oneClick } = unsubscribe;
  if (url === undefined && mailto === undefined)
    tell(reading, ['unsubscribe'], { what: 'has neither url nor mailto', expected: 'at least one of them' });
  return {
    url: templateAt(reading, ['unsubscribe', 'url'], url),
    mailto: templateAt(reading, ['unsubscribe', 'mailto'], mailto),
    oneClick,
  };
}

const leastSecretChars = 16;

function readVerp(reading: Reading, reversePath: string): Campaign['verp'] {
  const { verp } = reading.written;
  if (verp === undefined) return undefined;
  const { env } = reading;
  if (env === 'elsewhere') return { secret: '' };
  const found = readSecret(verp.secret, { directory: dirname(reading.path), env });
  const path = ['verp', 'secret'];
  if (found.kind === 'problem') tell(reading, path, { what: found.what, expected: found.expected });
  else if (found.text.length < leastSecretChars)
    tell(reading, path, {
      what: 'is too short to be a secret',
      expected: `at least ${leastSecretChars} characters`,
    });
  const split = reversePath.lastIndexOf('@');
  if (
    Buffer.byteLength(reversePath.slice(0, Math.max(0, split))) > maxVerpBaseOctets ||
    reversePath.startsWith('"')
  )
    tell(reading, ['verp'], {
      what: 'has no room for its token in the reverse-path',
      expected: `a returnPath with at most ${maxVerpBaseOctets} octets and no quotes before the @`,
    });
  return found.kind === 'found' ? { secret: found.text } : undefined;
}
